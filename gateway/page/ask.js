// Asks the node to run a script, and listens while it does.

// The body of a request. args and kwargs go as they were typed, so that numbers keep their digits.
// Throws a Mistake if one is not what it should be.
export function bodyOf({ script, entry, args, kwargs, argv, stdin, files_out, profile, timeout_ms }) {
  const members = { script: JSON.stringify(script) };
  if (args.trim()) members.args = typed("args", args, Array.isArray, 'a JSON array, such as [1, "two"]');
  if (kwargs.trim()) members.kwargs = typed("kwargs", kwargs, isObject, 'a JSON object, such as {"n": 3}');
  if (entry) members.entry = JSON.stringify(entry);
  const areTexts = (value) => Array.isArray(value) && value.every((item) => typeof item === "string");
  if (argv.trim()) members.argv = typed("argv", argv, areTexts, 'a JSON array of strings, such as ["--seed", "7"]');
  if (files_out.trim()) members.files_out = typed("files_out", files_out, areTexts, 'a JSON array of strings, such as ["report.csv"]');
  if (stdin) members.stdin = JSON.stringify(stdin);
  if (profile.trim()) members.profile = JSON.stringify(profile.trim());
  const isTime = (value) => Number.isInteger(value) && value > 0;
  if (timeout_ms.trim()) members.timeout_ms = typed("timeout_ms", timeout_ms, isTime, "a whole number of milliseconds, such as 500");
  return "{" + Object.entries(members).map(([name, json]) => JSON.stringify(name) + ":" + json).join(",") + "}";
}

export class Mistake extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

function typed(field, text, fits, expected) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Mistake(field, `This is not JSON; expected ${expected}.`);
  }
  if (!fits(value)) throw new Mistake(field, `Expected ${expected}.`);
  return text.trim();
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// Sends a body and returns the text of the node's answer. `told(kind, data)` hears meanwhile what is printed, and what a
// cell shows, if the node tells. To abort the signal is to leave, and the node then ends the job.
export async function ask(body, key, signal, told, path = "execute") {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream, application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, { method: "POST", headers, body, signal, cache: "no-store", redirect: "error" });
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.startsWith("text/event-stream")) return response.text();
  for await (const { event, data } of events(response.body)) {
    if (event === "result" || event === "error") return data;
    if (event === "stdout" || event === "stderr") told(event, JSON.parse(data).text);
    if (event === "display") told(event, JSON.parse(data).data);
  }
  throw new Error("the answer broke off");
}

// The events of a stream, as the HTML standard has them (9.2.6), but for ids and reconnecting.
async function* events(body) {
  let [event, data] = ["", []];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length) yield { event: event || "message", data: data.join("\n") };
      [event, data] = ["", []];
      continue;
    }
    const [, field, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = [];
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    const [first, ...others] = chunk.value.replaceAll("\r", "").split("\n");
    rest.push(first);
    for (const line of others) {
      yield rest.join("");
      rest = [line];
    }
  }
}
