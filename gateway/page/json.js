// JSON as it was written: numbers keep their digits, and objects their order and every key.

const WIDTH = 72;

// Reads text that is JSON into {items}, {fields} or {plain, kind}. A string's `plain` is in quotes, without needless escapes.
export function read(text) {
  let at = 0;
  const next = () => {
    while (" \t\r\n".includes(text[at])) at += 1;
    const from = at;
    if (text[at] === '"') at = endOfString(text, at);
    else if ("[]{},:".includes(text[at])) at += 1;
    else while (at < text.length && !"[]{},: \t\r\n".includes(text[at])) at += 1;
    return text.slice(from, at);
  };
  const list = (end, one) => {
    const members = [];
    for (let token = next(); token !== end; token = next()) if (token !== ",") members.push(one(token));
    return members;
  };
  const value = (token) => {
    if (token === "[") return { items: list("]", value) };
    if (token === "{") return { fields: list("}", (key) => [JSON.parse(key), (next(), value(next()))]) };
    if (token[0] === '"') return { plain: JSON.stringify(JSON.parse(token)), kind: "s" };
    return { plain: token, kind: /[a-z]$/.test(token) ? "k" : "n" };
  };
  return value(next());
}

function endOfString(text, at) {
  for (;;) {
    at = text.indexOf('"', at + 1);
    let slashes = 0;
    while (text[at - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}

// Writes what was read for people, as [kind, text] pairs: a list or an object that fits is on one line.
export function write(node, indent = 0, parts = []) {
  if (node.plain !== undefined) {
    parts.push([node.kind, node.plain]);
    return parts;
  }
  const [open, close] = node.items ? "[]" : "{}";
  const members = node.items ? node.items.map((item) => [null, item]) : node.fields;
  const length = members.reduce((sum, [key, { plain }]) => sum + (key ?? "").length + (plain ?? "").length + 6, 0);
  const plain = members.every(([, member]) => member.plain !== undefined);
  const fits = plain && length + indent < WIDTH;
  let column = WIDTH;
  const line = (by) => members.length && !fits ? "\n" + " ".repeat(indent + by) : "";
  parts.push(["", open]);
  for (const [index, [key, member]] of members.entries()) {
    if (index) parts.push(["", fits ? ", " : ","]);
    column += (member.plain ?? "").length + 2;
    const room = plain && node.items && column < WIDTH;
    parts.push(["", room ? " ".repeat(!fits) : line(2)]);
    if (!room) column = indent + 2 + (member.plain ?? "").length;
    if (key !== null) parts.push(["b", JSON.stringify(key)], ["", ": "]);
    write(member, indent + 2, parts);
  }
  parts.push(["", line(0) + close]);
  return parts;
}
