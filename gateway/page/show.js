// Shows an answer. What a script made is text to this page, whatever it says; only images are shown as what they are.

import { piece } from "./editor.js";
import { read, write } from "./json.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"];

// Beyond these, a result is shown without colours, and a table in part.
const MOST_PIECES = 20_000;
const MOST_ROWS = 500;
const MOST_COLUMNS = 40;

const $ = (id) => document.getElementById(id);

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

// The pane beside the editor. `jump(line, column)` is what a click on a line's number does.
export class Outcome {
  #jump;
  #links = [];

  constructor(jump) {
    this.#jump = jump;
  }

  // Clears the pane for what is to come.
  begin() {
    this.#say("running", "Running…");
    for (const id of ["result", "notes", "files", "stdout", "stderr"]) $(id).hidden = true;
    for (const id of ["usage", "error", "id"]) $(id).replaceChildren();
    for (const id of ["stdout", "stderr"]) this.#print(id, "");
    this.#links.splice(0).forEach(URL.revokeObjectURL);
    $("idle").hidden = true;
    $("progress").hidden = false;
    $("answer").setAttribute("aria-busy", "true");
  }

  // More of what is printed while it runs.
  told(stream, text) {
    const pre = $(stream).querySelector("pre");
    const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 4;
    pre.append(text);
    $(stream).hidden = false;
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  }

  // Shows the text of an answer; returns the parts of it that the page goes by.
  show(text) {
    const answer = JSON.parse(text);
    const { id, error, exit_code, usage, stdout = "", stderr = "", truncated = [], files = [] } = answer;
    const isProgram = !error && typeof exit_code === "number";
    this.#end();
    if (error) this.#fail(error, usage);
    else if (isProgram) this.#say(exit_code ? "bad" : "good", `Exit code ${exit_code}`);
    else this.#say("good", "Returned");
    if ("result" in answer && !isProgram) this.#result(read(text).fields.find(([name]) => name === "result")[1]);
    for (const [stream, printed] of Object.entries({ stdout, stderr })) {
      this.#print(stream, printed, truncated.includes(stream) ? "More was printed than is kept; this is the beginning." : "");
    }
    if (usage) this.#use(usage);
    this.#notes(answer);
    if (files.length) this.#files(files);
    $("id").textContent = id ? `Request ${id}` : "";
    return answer;
  }

  // It came to nothing on this side: stopped, or no answer.
  stop(title, message) {
    this.#end();
    this.#say(message ? "bad" : "stopped", title);
    if (message) $("error").replaceChildren(make("p", {}, message));
  }

  #end() {
    $("progress").hidden = true;
    $("answer").removeAttribute("aria-busy");
  }

  #say(kind, text) {
    $("status").className = kind;
    $("status").textContent = text;
  }

  #print(stream, text, note = "") {
    const section = $(stream);
    section.querySelector("pre").textContent = text;
    section.querySelector(".note").textContent = note;
    section.hidden = !text && !note;
  }

  #use({ wall_ms, cpu_ms, memory_peak_bytes }) {
    const used = { Time: time(wall_ms), CPU: time(cpu_ms), Memory: size(memory_peak_bytes) };
    $("usage").replaceChildren(...Object.entries(used).map(([what, much]) => make("div", {}, make("dt", {}, what), make("dd", {}, much))));
  }

  #fail(error, usage) {
    const { code, message, line, column, text, traceback, hint, denials = [] } = error;
    this.#say("bad", usage ? "Failed" : code === "lost" ? "Lost" : "Refused");
    const where = line ? [", ", this.#place(`line ${line}`, line, column)] : [];
    const title = make("h3", {}, code[0].toUpperCase() + code.slice(1).replaceAll("_", " "), ...where);
    const parts = [title, make("p", { class: "message" }, message)];
    if (hint && !message.includes(hint)) parts.push(make("p", {}, hint));
    if (traceback) parts.push(make("pre", { tabindex: 0, role: "region", "aria-label": "Traceback" }, ...this.#traceback(traceback)));
    else if (text && column) parts.push(make("pre", { tabindex: 0, role: "region", "aria-label": "Source" }, `${text.trimEnd()}\n${" ".repeat(column - 1)}^`));
    if (denials.length) parts.push(denialsOf(denials));
    $("error").replaceChildren(...parts);
  }

  // Each frame's place in the script is a button that leads there.
  #traceback(traceback) {
    return traceback.split(/(File "script\.py", line \d+)/).map((part, index) =>
      index % 2 ? this.#place(part, Number(/\d+$/.exec(part)[0])) : part);
  }

  #place(text, line, column) {
    const button = make("button", { class: "place", type: "button", title: `Go to line ${line}` }, text);
    button.addEventListener("click", () => this.#jump(line, column));
    return button;
  }

  #result(node) {
    const place = $("result").querySelector("div");
    const table = tableOf(node);
    const json = make("pre", { tabindex: 0, role: "region", "aria-label": "Result as JSON" }, ...coloured(write(node)));
    place.replaceChildren(...table ? [...table, make("details", {}, make("summary", {}, "As JSON"), json)] : [json]);
    $("result").hidden = false;
  }

  // What is told beside an answer, and is no failure.
  #notes({ unfinished, notes = [], files_left = [] }) {
    const left = files_left.map(({ path, size: bytes }) => make("li", {}, make("code", {}, path), ` ${size(bytes)}, left and not asked for`));
    const told = [...unfinished ? [`Did not end: ${unfinished}`] : [], ...notes].map((note) => make("li", {}, note));
    $("notes").querySelector("ul").replaceChildren(...told, ...left);
    $("notes").hidden = !told.length && !left.length;
  }

  #files(files) {
    $("files").querySelector("div").replaceChildren(...files.map((file) => this.#file(file)));
    $("files").hidden = false;
  }

  // An image is a `data:` address, which has no rights of this page wherever it is opened; for the same reason what
  // can be downloaded has no type by which a browser would show it.
  #file({ name, size: bytes, media_type, content_base64, omitted }) {
    if (content_base64 === undefined) return make("figure", {}, make("figcaption", {}, name, ` ${size(bytes)}, not here: ${omitted}`));
    const blob = new Blob([Uint8Array.from(atob(content_base64), (byte) => byte.charCodeAt(0))], { type: "application/octet-stream" });
    const link = URL.createObjectURL(blob);
    this.#links.push(link);
    const caption = make("figcaption", {}, make("a", { href: link, download: name.split("/").at(-1) }, name), ` ${size(bytes)}`);
    if (!IMAGES.includes(media_type)) return make("figure", {}, caption);
    return make("figure", {}, make("img", { src: `data:${media_type};base64,${content_base64}`, alt: name }), caption);
  }
}

export function denialsOf(denials) {
  const items = denials.map(({ layer, what, hint }) => make("li", {}, make("code", {}, what), ` by ${layer}: ${hint}`));
  return make("div", { class: "denials" }, make("p", {}, "The policy refused on the way:"), make("ul", {}, ...items));
}

function coloured(parts) {
  if (parts.length > MOST_PIECES) return [parts.map(([, text]) => text).join("")];
  return parts.map(([kind, text]) => kind ? piece(kind, text) : text);
}

// A list of flat records as a table; nothing for any other result.
function tableOf({ items = [] }) {
  const isFlat = ({ fields }) => fields?.length && fields.every(([, value]) => value.plain !== undefined);
  if (!items.length || !items.every(isFlat)) return null;
  const columns = [...new Set(items.flatMap(({ fields }) => fields.map(([name]) => name)))];
  if (columns.length > MOST_COLUMNS) return null;
  const row = ({ fields }) => {
    const values = new Map(fields);
    return make("tr", {}, ...columns.map((column) => cell(values.get(column))));
  };
  const kinds = new Map(items[0].fields.map(([name, { kind }]) => [name, kind]));
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", class: kinds.get(column) ?? "" }, column)));
  const rows = items.slice(0, MOST_ROWS).map(row);
  const table = make("table", { "aria-labelledby": "result-title" }, make("thead", {}, head), make("tbody", {}, ...rows));
  const parts = [make("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Result as a table" }, table)];
  if (items.length > MOST_ROWS) parts.push(make("p", { class: "note" }, `The first ${MOST_ROWS} of ${items.length} rows.`));
  return parts;
}

function cell(value) {
  if (!value) return make("td");
  return make("td", { class: value.kind }, value.kind === "s" ? JSON.parse(value.plain) : value.plain);
}

export function time(ms) {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export function size(bytes) {
  const unit = Math.min(3, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** unit).toFixed(unit ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}
