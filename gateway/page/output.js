// What came of a cell, below it. All of it is text to this page, but for images, which are `data:` addresses, and tables, which are
// made anew.

import { denialsOf, make } from "./show.js";
import { tableOf } from "./table.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;

export class Output {
  #place;
  #jump;
  pieces = [];
  answer = null;

  // `jump(cell, line, column)` is what a click on a line of a traceback does; `cell` is the number in the session.
  constructor(place, jump) {
    [this.#place, this.#jump] = [place, jump];
  }

  clear() {
    [this.pieces, this.answer] = [[], null];
    this.#place.replaceChildren();
  }

  // More of what a cell prints (`stdout`, `stderr`) or shows (`display`).
  told(kind, data) {
    const last = this.pieces.at(-1);
    if (kind === "display") {
      this.pieces.push({ kind, data });
      this.#place.append(...shown(data));
    } else if (last?.kind === kind) {
      const atEnd = last.element.scrollTop + last.element.clientHeight >= last.element.scrollHeight - 4;
      last.data += data;
      last.element.append(data);
      if (atEnd) last.element.scrollTop = last.element.scrollHeight;
    } else {
      const element = printed(kind, data);
      this.pieces.push({ kind, data, element });
      this.#place.append(element);
    }
  }

  // The answer: what was heard on the way stays in its order, if it is all that there was.
  show(answer) {
    const { stdout = "", stderr = "", truncated = [], display = [], notes = [], unfinished, data, text, error } = answer;
    if (this.#said("stdout") !== stdout || this.#said("stderr") !== stderr || this.#count() !== display.length) {
      this.clear();
      for (const [kind, said] of Object.entries({ stdout, stderr })) if (said) this.told(kind, said);
      for (const bundle of display) this.told("display", bundle);
    }
    this.answer = answer;
    if (truncated.length) this.#place.append(make("p", { class: "note" }, `More was printed than is kept (${truncated.join(", ")}); this is the beginning.`));
    for (const note of [...unfinished ? [`Did not end: ${unfinished}`] : [], ...notes]) this.#place.append(make("p", { class: "note" }, note));
    if (data ?? text) this.#place.append(...shown(data ?? { "text/plain": text }));
    if (error) this.#place.append(this.#failure(error));
    const again = restoredOf(answer);
    if (again) this.#place.append(again);
  }

  #said(kind) {
    return this.pieces.filter((piece) => piece.kind === kind).map(({ data }) => data).join("");
  }

  #count() {
    return this.pieces.filter(({ kind }) => kind === "display").length;
  }

  #failure({ code, message, line, column, text, traceback, hint, denials = [] }) {
    const title = make("h4", {}, code[0].toUpperCase() + code.slice(1).replaceAll("_", " "));
    if (line) title.append(", ", this.#link(`line ${line}`, null, line, column));
    const parts = [title, make("p", { class: "message" }, message)];
    if (hint && !message.includes(hint)) parts.push(make("p", {}, hint));
    if (traceback) parts.push(make("pre", { tabindex: 0, role: "group", "aria-label": "Traceback" }, ...this.#traceback(traceback)));
    else if (text && column) parts.push(make("pre", { tabindex: 0, role: "group", "aria-label": "Source" }, `${text.trimEnd()}\n${" ".repeat(column - 1)}^`));
    if (denials.length) parts.push(denialsOf(denials));
    return make("div", { class: "failure" }, ...parts);
  }

  // Each frame's place in a cell is a button that leads there.
  #traceback(traceback) {
    return traceback.split(/(File "<cell \d+>", line \d+)/).map((part, index) => {
      const [cell, line] = index % 2 ? part.match(/\d+/g).map(Number) : [];
      return line ? this.#link(part, cell, line) : part;
    });
  }

  #link(text, cell, line, column) {
    const button = make("button", { class: "place", type: "button", title: `Go to line ${line}` }, text);
    button.addEventListener("click", () => this.#jump(cell ?? this.answer.cell, line, column));
    return button;
  }
}

// That a cell cost the session its process, and what that did not cost it.
function restoredOf({ restored, not_kept = [] }) {
  if (restored === undefined) return null;
  const [title, what] = restored
    ? ["Restored", "This cell cost the session its process. The session goes on as it was before it."]
    : ["Not restored", "This cell cost the session its process, and the session is over."];
  const lost = not_kept.length ? [make("p", {}, "Not brought back:"), make("ul", {}, ...not_kept.map((one) => make("li", {}, one)))] : [];
  return make("div", { class: "again" }, make("h4", {}, title), make("p", {}, what), ...lost);
}

function printed(kind, text) {
  return make("pre", { class: kind, tabindex: 0, role: "group", "aria-label": kind }, text);
}

// A value as the best of what it offers that may be shown here.
function shown(bundle) {
  const plain = bundle["text/plain"];
  const image = IMAGES.find((type) => BASE64.test(bundle[type] ?? ""));
  if (image) return [picture(`data:${image};base64,${bundle[image]}`, plain)];
  if ("image/svg+xml" in bundle) return [picture(`data:image/svg+xml;base64,${base64(bundle["image/svg+xml"])}`, plain)];
  const table = "text/html" in bundle ? tableOf(bundle["text/html"]) : null;
  if (table) return [make("div", { class: "table", tabindex: 0, role: "group", "aria-label": "Table" }, table[0]), ...table.slice(1)];
  const [type, text] = plain === undefined ? Object.entries(bundle)[0] ?? ["text/plain", ""] : ["text/plain", plain];
  return [make("pre", { class: "value", tabindex: 0, role: "group", "aria-label": type === "text/plain" ? "Value" : type }, text)];
}

// An image has no rights of this page, nor has a drawing that is one.
function picture(address, alt) {
  return make("figure", {}, make("img", { src: address, alt: alt || "Figure" }));
}

function base64(text) {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}
