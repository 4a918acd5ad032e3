// The editor: a textarea, and beneath it the same text in colours, line by line.

import { colour } from "./python.js";

const STEP = 4;

// A script beyond this is shown without colours and numbers: what is typed should appear at once.
const MOST_CHARACTERS = 200_000;
const MOST_LINES = 5_000;

export class Editor {
  #area;
  #under;
  #frame;
  #lines = [];
  #marked = null;
  #released = false;

  constructor(frame, area, under) {
    [this.#frame, this.#area, this.#under] = [frame, area, under];
    area.addEventListener("input", () => this.#paint());
    area.addEventListener("keydown", (event) => this.#press(event));
    area.addEventListener("blur", () => { this.#released = false; });
    this.#paint();
  }

  get text() {
    return this.#area.value;
  }

  // Puts another text in place of all of it, which can be undone.
  replace(text) {
    const focused = document.activeElement;
    this.#area.focus({ preventScroll: true });
    this.#insert(text, 0, this.#area.value.length);
    this.#area.setSelectionRange(0, 0);
    this.#frame.scrollTo(0, 0);
    focused?.focus({ preventScroll: true });
  }

  // Marks a line as the one that failed, until the text changes, and shows it; null marks none.
  mark(number) {
    this.#marked?.classList.remove("bad");
    this.#marked = this.#lines[number - 1]?.element ?? null;
    this.#marked?.classList.add("bad");
    this.#area.setAttribute("aria-invalid", Boolean(number));
    if (!this.#marked) return;
    const { offsetTop: top, offsetHeight: height } = this.#marked;
    const { scrollTop: from, clientHeight: seen } = this.#frame;
    if (top < from || top + height > from + seen) this.#frame.scrollTop = top - seen / 2;
  }

  // Moves the caret to a line and column, both counted from 1.
  jump(number, column = 1) {
    const lines = this.text.split("\n");
    const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
    const at = start + Math.min(column - 1, lines[number - 1]?.length ?? 0);
    this.#area.focus({ preventScroll: true });
    this.#area.setSelectionRange(at, at);
    (this.#lines[number - 1]?.element ?? this.#area).scrollIntoView({ block: "center", inline: "nearest" });
  }

  // Only lines that changed are made anew, and those after them for which a string was opened or closed.
  #paint() {
    const texts = this.text.split("\n");
    const plain = this.text.length > MOST_CHARACTERS || texts.length > MOST_LINES;
    this.#under.classList.toggle("plain", plain);
    this.mark(null);
    if (plain) {
      this.#lines = [];
      this.#under.textContent = this.text + "\n";
      return;
    }
    if (!this.#lines.length) this.#under.textContent = "";
    const least = Math.min(texts.length, this.#lines.length);
    let head = 0;
    while (head < least && texts[head] === this.#lines[head].text) head += 1;
    let tail = 0;
    while (tail < least - head && texts.at(-1 - tail) === this.#lines.at(-1 - tail).text) tail += 1;
    const fresh = texts.slice(head, texts.length - tail).map((text) => ({ text, element: piece("line") }));
    const gone = this.#lines.splice(head, this.#lines.length - tail - head, ...fresh);
    for (const { element } of gone) element.remove();
    this.#under.children[head - 1]?.after(...fresh.map((line) => line.element));
    if (!head) this.#under.prepend(...fresh.map((line) => line.element));
    let open = head ? this.#lines[head - 1].closed : "";
    for (const [index, line] of this.#lines.entries()) {
      if (index < head) continue;
      if (index >= head + fresh.length && line.open === open) break;
      const [parts, left] = colour(line.text, open);
      [line.open, line.closed] = [open, left];
      line.element.replaceChildren(...parts.map(([kind, text]) => kind ? piece(kind, text) : text));
      open = left;
    }
  }

  #press(event) {
    if (event.isComposing || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    const released = this.#released;
    this.#released = event.key === "Escape";
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const act = { Enter: () => this.#break(), Backspace: () => this.#back() }[event.key];
    const tab = event.key === "Tab" && !released;
    if (tab || act?.() === true) event.preventDefault();
    if (tab && event.shiftKey) this.#shift((line) => line.replace(/^(?:\t| {1,4})/, ""));
    else if (tab) this.#indent();
  }

  #indent() {
    const { selectionStart: start, selectionEnd: end } = this.#area;
    if (this.text.slice(start, end).includes("\n")) this.#shift((line) => line && " ".repeat(STEP) + line);
    else this.#insert(" ".repeat(STEP - (start - lineStart(this.text, start)) % STEP), start, end);
  }

  // A new line begins where this one does, or a step further after a colon.
  #break() {
    const { selectionStart: start, selectionEnd: end } = this.#area;
    const from = lineStart(this.text, start);
    const before = this.text.slice(from, start);
    const number = this.text.slice(0, from).split("\n").length;
    const [parts] = colour(before, this.#lines[number - 1]?.open ?? "");
    const code = parts.filter(([kind]) => kind !== "c").map(([kind, text]) => kind === "s" ? "''" : text).join("");
    const more = code.trimEnd().endsWith(":") ? STEP : 0;
    this.#insert("\n" + /^[ \t]*/.exec(before)[0] + " ".repeat(more), start, end);
    return true;
  }

  // In the indentation, a step is taken back at once.
  #back() {
    const { selectionStart: start, selectionEnd: end } = this.#area;
    const before = this.text.slice(lineStart(this.text, start), start);
    if (start !== end || !/^ {2,}$/.test(before)) return false;
    this.#insert("", start - ((before.length - 1) % STEP + 1), start);
    return true;
  }

  // Changes each line of the selection, which stays on what it was on.
  #shift(change) {
    const { selectionStart: start, selectionEnd: end } = this.#area;
    const from = lineStart(this.text, start);
    const last = end > start && this.text[end - 1] === "\n" ? end - 1 : end;
    const to = (this.text + "\n").indexOf("\n", last);
    const old = this.text.slice(from, to);
    const lines = old.split("\n");
    const changed = lines.map(change);
    const text = changed.join("\n");
    if (text === old) return;
    this.#insert(text, from, to);
    const first = Math.max(from, start + changed[0].length - lines[0].length);
    this.#area.setSelectionRange(first, Math.max(first, end + text.length - old.length));
  }

  // By the browser's own editing, so that it can be undone. There is no other way that leaves its history whole.
  #insert(text, from, to) {
    this.#area.setSelectionRange(from, to);
    if (document.execCommand(text ? "insertText" : "delete", false, text)) return;
    this.#area.setRangeText(text, from, to, "end");
    this.#area.dispatchEvent(new InputEvent("input"));
  }
}

export function piece(kind, text = "") {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

function lineStart(text, at) {
  return at ? text.lastIndexOf("\n", at - 1) + 1 : 0;
}
