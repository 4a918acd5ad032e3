// The notebook: cells that run in a session, one at a time and in turn; and the session's files.

import { Cell } from "./cell.js";
import { notebookOf } from "./ipynb.js";
import { keep, store, stored } from "./kept.js";
import { Refusal, Session, isOver } from "./session.js";
import { make, size } from "./show.js";

const $ = (id) => document.getElementById(id);

const EXAMPLE = ["squares = [n * n for n in range(10)]\nsquares", "sum(squares)"];
// What is said of a failure in a line; all of it stands below its cell.
const MOST_SAID = 200;
const ENDS = {
  closed: "it was closed", idle: "no cell came for too long", lifetime: "it has lasted for as long as any may",
  memory: "all sessions together held too much memory", crashed: "a cell cost it its process", reload: "its profile was taken away",
  root_ended: "it was a branch, and the session that it came from is over", node_going: "its node goes", node_restarted: "its node began anew",
};

const kept = JSON.parse(stored("notebook") ?? "{}");
const session = new Session(() => $("key").value.trim(), kept.session ?? null);
const cells = [];
const waiting = [];
let running = null;
// How often a new session was asked for, and the files were.
let renewals = 0;
let listings = 0;

const on = {
  run(cell, goOn) {
    if (goOn) (cells[cells.indexOf(cell) + 1] ?? add("")).focus();
    run([cell]);
  },
  remove(cell) {
    if (cell === running) return say("bad", `${cell.title} runs: interrupt it first`);
    const at = cells.indexOf(cell);
    cells.splice(at, 1);
    if (waiting.includes(cell)) waiting.splice(waiting.indexOf(cell), 1);
    cell.element.remove();
    if (!cells.length) add("");
    (cells[at] ?? cells.at(-1)).focus();
    number();
  },
  jump(ran, line, column) {
    cells.find((cell) => cell.number === ran)?.jump(line, column);
  },
  changed: save,
};

function add(code) {
  const cell = new Cell(code, on);
  cells.push(cell);
  $("cells").append(cell.element);
  number();
  return cell;
}

function number() {
  cells.forEach((cell, index) => cell.name(`Cell ${index + 1}`));
  save();
}

function save() {
  store("notebook", JSON.stringify({ session: session.id, cells: cells.map(({ code }) => code) }));
}

function say(kind, text) {
  $("status").className = kind;
  $("status").textContent = text;
}

function complain(message) {
  $("problem").replaceChildren(...message ? [make("p", {}, message)] : []);
}

function run(some) {
  const fresh = some.filter((cell) => cell !== running && !waiting.includes(cell) && cell.code.trim());
  for (const cell of fresh) cell.say("waiting", "Waiting");
  waiting.push(...fresh);
  if (!running && waiting.length) work();
}

// Runs what waits, until one fails: what waits behind that was meant for after it.
async function work() {
  complain("");
  $("interrupt").setAttribute("aria-disabled", "false");
  while (waiting.length) {
    running = waiting.shift();
    const before = renewals;
    const isWell = await runOne(running);
    // What waits for a new session by now was not meant for after it.
    if (!isWell && renewals === before) for (const cell of waiting.splice(0)) cell.say("", "Not run");
  }
  running = null;
  $("interrupt").setAttribute("aria-disabled", "true");
  await list();
}

async function runOne(cell) {
  cell.begin();
  say("running", `${cell.title}: running…`);
  let answer, id;
  try {
    const before = renewals;
    if (!session.id) await open();
    if (renewals !== before) throw new Refusal({ code: "session_ended", reason: "closed", message: "a new session was asked for before the cell began" });
    ({ id } = session);
    answer = JSON.parse(await session.run(cell.code, (kind, data) => cell.output.told(kind, data)));
  } catch (error) {
    const { code, reason, message } = error;
    const told = error instanceof Refusal ? { code, reason, message } : { code: "no answer", message: `The node gave no answer that can be read: ${message}.` };
    answer = { error: told };
  }
  const { error, restored } = answer;
  const word = cell.show(answer);
  say(error ? "bad" : "good", `${cell.title}: ${word.toLowerCase()}${error ? `, ${error.message.slice(0, MOST_SAID)}` : ""}`);
  if (error?.code === "unauthorized") $("key").focus();
  if (restored === false) over(id, ENDS.crashed);
  else if (error && isOver(error)) over(id, ENDS[error.reason] ?? error.message);
  return !error;
}

async function open() {
  await session.open($("profile").value.trim());
  for (const cell of cells) if (cell !== running && !waiting.includes(cell)) cell.forget();
  tell();
}

// The session is no more, and the next cell begins another. Nothing, where it is the page's no more: what is told late is told of nobody.
function over(ended, why) {
  if (session.id !== ended) return;
  session.id = null;
  complain(`The session is over: ${why}. The next cell begins a new one, in which nothing is known of this one.`);
  tell();
}

function tell() {
  $("session").textContent = session.id ? `Session ${session.id}` : "";
  save();
}

// Does something with the session beside its cells, and says what it comes to if that is nothing.
async function attempt(what, act) {
  try {
    return await act();
  } catch (error) {
    if (error.code === "session_ended") over(error.session, ENDS[error.reason] ?? error.message);
    else complain(`${what}: ${error.message}`);
    if (error.code === "unauthorized") $("key").focus();
    return null;
  }
}

async function list() {
  const turn = listings += 1;
  const { id } = session;
  const told = id ? await attempt("The files could not be listed", () => session.files()) : null;
  if (turn !== listings || told && session.id !== id) return;
  const { files = [], more = 0 } = told ?? {};
  $("files").replaceChildren(...files.map(fileOf));
  $("no-files").hidden = files.length > 0;
  $("more-files").textContent = more ? `And ${more} more.` : "";
}

function fileOf({ path, size: bytes }) {
  const fetch = make("button", { class: "place", type: "button", "aria-label": `Download ${path}` }, path);
  const remove = make("button", { class: "place", type: "button", "aria-label": `Delete ${path}` }, "Delete");
  fetch.addEventListener("click", () => attempt(`${path} could not be had`, async () => download(path.split("/").at(-1), await session.get(path))));
  remove.addEventListener("click", async () => {
    await attempt(`${path} could not be deleted`, () => session.remove(path));
    say("good", `${path} deleted`);
    await list();
    $("upload").focus();
  });
  return make("li", {}, fetch, ` ${size(bytes)} `, remove);
}

// With no type by which a browser would show it.
function download(name, content) {
  const address = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

async function upload(files) {
  await attempt("The files could not be uploaded", async () => {
    const before = renewals;
    if (!session.id) await open();
    for (const file of files) {
      if (renewals !== before) throw new Error(`a new session was asked for before ${file.name}`);
      say("running", `Uploading ${file.name}…`);
      await session.put(file.name, file);
    }
    say("good", "Uploaded");
  });
  $("upload").value = "";
  await list();
}

async function renew() {
  renewals += 1;
  complain("");
  for (const cell of waiting.splice(0)) cell.say("", "Not run");
  for (const cell of cells) if (cell !== running) cell.forget();
  say("good", "The next cell begins a new session");
  const closed = attempt("The session could not be closed", () => session.close());
  tell();
  await list();
  await closed;
}

async function interrupt() {
  if (!running || !session.id) return say("", "Nothing runs");
  for (const cell of waiting.splice(0)) cell.say("", "Not run");
  const heard = await attempt("The cell could not be interrupted", () => session.interrupt());
  if (heard === false) say("", "Nothing runs");
}

$("add").addEventListener("click", () => add("").focus());
$("run-all").addEventListener("click", () => run(cells));
$("interrupt").addEventListener("click", interrupt);
$("new").addEventListener("click", renew);
$("export").addEventListener("click", () => download("notebook.ipynb", notebookOf(cells)));
$("upload").addEventListener("change", ({ target }) => target.files.length && upload([...target.files]));
keep($("key"), "key");
for (const code of kept.cells?.length ? kept.cells : EXAMPLE) add(code);
tell();
list();
