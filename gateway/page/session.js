// A session of the node: what this page asks of it.

import { ask } from "./ask.js";

// What the node says instead of doing it.
export class Refusal extends Error {
  constructor({ code, message, reason }) {
    super(message);
    [this.code, this.reason] = [code, reason];
  }
}

export class Session {
  #key;

  // `key()` is the key that the node is asked with; `id` that of a session that is there, or null.
  constructor(key, id = null) {
    [this.#key, this.id] = [key, id];
  }

  async open(profile) {
    const body = JSON.stringify(profile ? { profile } : {});
    this.id = (await (await this.#ask("POST", "sessions", body, "application/json")).json()).session;
  }

  async close() {
    const { id } = this;
    this.id = null;
    await this.#ask("DELETE", `sessions/${id}`);
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
    const headers = type ? { "Content-Type": type } : {};
    if (this.#key()) headers.Authorization = `Bearer ${this.#key()}`;
    const response = await fetch(path, { method, headers, body, cache: "no-store", redirect: "error" });
    if (response.ok) return response;
    throw new Refusal((await response.json()).error);
  }
}

// Whether an error says that there is no such session any more.
export function isOver({ code }) {
  return code === "session_ended" || code === "not_found";
}
