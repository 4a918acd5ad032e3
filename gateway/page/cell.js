// A cell: an editor, what came of it below, and how it stands.

import { Editor } from "./editor.js";
import { Output } from "./output.js";
import { make, time } from "./show.js";

let made = 0;

export class Cell {
  #parts;
  #editor;
  #title = "";

  // `on` has `run(cell, goOn)`, `remove(cell)`, `changed()` and `jump(number, line, column)`, a number being that of a cell that ran.
  constructor(code, on) {
    const id = `cell-${made += 1}`;
    const label = make("label", { for: `${id}-code` });
    const area = make("textarea", {
      id: `${id}-code`, wrap: "off", spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off",
      "aria-describedby": `keys ${id}-state`,
    });
    area.value = code;
    const colours = make("pre", { class: "colours", "aria-hidden": "true" });
    const frame = make("div", { class: "editor" }, colours, area);
    const [count, state, used] = ["count", "state", "used"].map((name) => make("span", { class: name }));
    state.id = `${id}-state`;
    const [run, remove] = ["Run", "Delete"].map((name) => make("button", { type: "button" }, name));
    const output = make("div", { class: "output", role: "group" });
    const bar = make("div", { class: "bar" }, make("h3", { id }, label), count, state, make("span", { class: "space" }), used, run, remove);
    this.element = make("section", { class: "cell", "aria-labelledby": id }, bar, frame, output);
    this.#parts = { label, area, count, state, used, run, remove, output };
    this.#editor = new Editor(frame, area, colours);
    this.output = new Output(output, on.jump);
    run.addEventListener("click", () => on.run(this, false));
    remove.addEventListener("click", () => on.remove(this));
    area.addEventListener("input", on.changed);
    // Before the editor hears of it, which would begin a line.
    frame.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || !(event.shiftKey || event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      event.stopPropagation();
      on.run(this, event.shiftKey);
    }, { capture: true });
  }

  get code() {
    return this.#parts.area.value;
  }

  get title() {
    return this.#title;
  }

  // The number of its last run in the session.
  get number() {
    return this.output.answer?.cell;
  }

  name(title) {
    const { label, run, remove, output } = this.#parts;
    this.#title = label.textContent = title;
    run.setAttribute("aria-label", `Run ${title.toLowerCase()}`);
    remove.setAttribute("aria-label", `Delete ${title.toLowerCase()}`);
    output.setAttribute("aria-label", `Output of ${title.toLowerCase()}`);
  }

  focus() {
    this.#parts.area.focus();
  }

  jump(line, column) {
    this.#editor.jump(line, column);
  }

  begin() {
    this.#editor.mark(null);
    this.output.clear();
    this.#parts.output.setAttribute("aria-busy", "true");
    this.#parts.count.textContent = this.#parts.used.textContent = "";
    this.say("running", "Running…");
  }

  // Shows an answer; returns how it ended in words.
  show(answer) {
    const { error, cell, usage, restored } = answer;
    this.#parts.output.removeAttribute("aria-busy");
    this.output.show(answer);
    this.#parts.count.textContent = cell ? `[${cell}]` : "";
    this.#parts.used.textContent = usage ? time(usage.wall_ms) : "";
    if (error?.line) this.#editor.mark(error.line);
    const word = { interrupted: "Interrupted", exception: "Failed" }[error?.code] ?? (usage ? "Failed" : "Refused");
    if (restored) this.say("restored", `${word}, restored`);
    else this.say(error ? "bad" : "good", error ? word : "Done");
    return this.#parts.state.textContent;
  }

  say(kind, text) {
    this.#parts.state.className = `state ${kind}`;
    this.#parts.state.textContent = text;
  }

  // As it was before any run: of a session that is no more, what came of it is told, and the number is not.
  forget() {
    this.#parts.count.textContent = "";
    this.say("", "");
    if (this.output.answer) delete this.output.answer.cell;
  }
}
