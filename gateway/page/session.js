// A session of the node: what this page asks of it.

import { ask } from "./ask.js";

// What the node says instead of doing it, of the session that was asked for.
export class Refusal extends Error {
  constructor({ code, message, reason }, session) {
    super(message);
    [this.code, this.reason, this.session] = [code, reason, session];
  }
}

export class Session {
  #key;
  #opening = null;

  // `key()` is the key that the node is asked with; `id` that of a session that is there, or null.
  constructor(key, id = null) {
    [this.#key, this.id] = [key, id];
  }

  // One, however many ask for it meanwhile.
  async open(profile) {
    const body = JSON.stringify(profile ? { profile } : {});
    this.#opening ??= this.#ask("POST", "sessions", body, "application/json").then((response) => response.json());
    try {
      this.id = (await this.#opening).session;
    } finally {
      this.#opening = null;
    }
  }

  get isOpening() {
    return this.#opening !== null;
  }

  // One that is still being opened as well. Another may be opened before this one's end is told.
  async close() {
    if (this.isOpening) await this.#opening.catch(() => {});
    if (!this.id) return;
    const told = this.#ask("DELETE", `sessions/${this.id}`);
    this.id = null;
    await told;
  }

  // The text of the answer to a cell; `told` hears what it prints and shows meanwhile.
  run(code, told) {
    return ask(JSON.stringify({ code }), this.#key(), undefined, told, `sessions/${this.id}/execute`);
  }

  async interrupt() {
    return (await (await this.#ask("POST", `sessions/${this.id}/interrupt`)).json()).interrupted;
  }

  async files() {
    return (await this.#ask("GET", `sessions/${this.id}/files`)).json();
  }

  async put(path, content) {
    await this.#ask("PUT", this.#file(path), content, "application/octet-stream");
  }

  async get(path) {
    return (await this.#ask("GET", this.#file(path))).arrayBuffer();
  }

  async remove(path) {
    await this.#ask("DELETE", this.#file(path));
  }

  #file(path) {
    return `sessions/${this.id}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  async #ask(method, path, body, type) {
    const { id } = this;
    const headers = type ? { "Content-Type": type } : {};
    if (this.#key()) headers.Authorization = `Bearer ${this.#key()}`;
    const response = await fetch(path, { method, headers, body, cache: "no-store", redirect: "error" });
    if (response.ok) return response;
    throw new Refusal((await response.json()).error, id);
  }
}

// Whether an error says that there is no such session any more.
export function isOver({ code }) {
  return code === "session_ended" || code === "not_found";
}
