// The page: an editor, a button, and what came of it.

import { Mistake, ask, bodyOf } from "./ask.js";
import { Editor } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { keep } from "./kept.js";
import { Outcome, make } from "./show.js";

const $ = (id) => document.getElementById(id);
const FIELDS = ["entry", "args", "kwargs", "argv", "stdin", "files_out", "profile", "timeout_ms"];

const editor = new Editor($("editor"), $("script"), $("colours"));
const outcome = new Outcome((line, column) => editor.jump(line, column));
let running = null;

async function run() {
  if (running) return;
  const body = bodyOfPage();
  if (!body) return;
  running = new AbortController();
  const { signal } = running;
  editor.mark(null);
  outcome.begin();
  showRunning(true);
  try {
    const text = await ask(body, $("key").value.trim(), signal, (stream, text) => outcome.told(stream, text));
    follow(outcome.show(text));
  } catch (error) {
    if (signal.aborted) outcome.stop("Stopped");
    else outcome.stop("No answer", `The node gave no answer that can be read: ${error.message}.`);
  } finally {
    running = null;
    showRunning(false);
  }
}

function follow({ error }) {
  if (error?.line) editor.mark(error.line);
  if (error?.code === "unauthorized") $("key").focus();
}

// The request's body; nothing if a field is not what it should be, which is then said beside it.
function bodyOfPage() {
  for (const field of FIELDS) complain(field, "");
  try {
    return bodyOf({ script: editor.text, ...Object.fromEntries(FIELDS.map((field) => [field, $(field).value])) });
  } catch (mistake) {
    if (!(mistake instanceof Mistake)) throw mistake;
    complain(mistake.field, mistake.message);
    $("more").open = true;
    $(mistake.field).focus();
    return null;
  }
}

function complain(field, message) {
  const note = $(`${field}-note`);
  if (!note) return;
  note.textContent = message;
  $(field).setAttribute("aria-invalid", Boolean(message));
}

// One button at a time; whoever was on one is on the other.
function showRunning(is) {
  const [shown, gone] = is ? [$("stop"), $("run")] : [$("run"), $("stop")];
  const focused = document.activeElement === gone;
  shown.hidden = false;
  gone.hidden = true;
  if (focused) shown.focus();
}

function take({ script, args = "", kwargs = "", stdin = "" }) {
  editor.replace(script);
  Object.entries({ entry: "", args, kwargs, argv: "", stdin }).forEach(([field, value]) => { $(field).value = value; });
  if (args || kwargs || stdin) $("more").open = true;
}

if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  $("shortcut").textContent = "⌘ ⏎";
  $("run-keys").firstElementChild.textContent = "⌘";
}
$("example").append(...EXAMPLES.map(({ name }, index) => make("option", { value: index }, name)));
$("example").addEventListener("change", ({ target }) => target.value && take(EXAMPLES[target.value]));
$("run").addEventListener("click", run);
$("stop").addEventListener("click", () => running?.abort());
addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  run();
});
keep($("key"), "key");
$("script").value = EXAMPLES[0].script;
keep($("script"), "script");
$("script").dispatchEvent(new InputEvent("input"));
