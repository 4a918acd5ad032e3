// The colours of Python: a line at a time, with what a string left open before it.

const KEYWORDS = new Set(("and as assert async await break class continue def del elif else except finally for from " +
  "global if import in is lambda nonlocal not or pass raise return try while with yield False None True").split(" "));
const SOFT = /^\s*(match|case|type)\b(?=\s+[^\s=.,)\]].*)/;
const BUILTINS = new Set(("abs all any bool bytes callable chr dict dir divmod enumerate filter float format frozenset " +
  "getattr hasattr hash hex id input int isinstance issubclass iter len list map max min next object open ord pow print " +
  "property range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip " +
  "Exception ValueError TypeError KeyError IndexError RuntimeError OSError StopIteration self cls").split(" "));

const TOKEN = new RegExp([
  /(?<comment>#.*)/,
  /(?<long>[rbfut]{0,2}(?<quotes>"""|'''))/,
  /(?<string>[rbfut]{0,2}(?:"(?:[^"\\]|\\.)*["\\]?|'(?:[^'\\]|\\.)*['\\]?))/,
  /(?<decorator>(?<=^\s*)@[\w.]*)/,
  /(?<number>0[xob][\da-f_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)?j?)/,
  /(?<word>[\p{L}_][\p{L}\p{N}_]*)/,
  /(?<other>\s+|.)/,
].map((part) => part.source).join("|"), "iuy");

// Splits a line into [kind, text] pairs. `open` is the quotes of a string that goes on from the line before, or "".
// Returns the pairs and the quotes that this line leaves open.
export function colour(line, open) {
  const parts = [];
  let at = 0;
  let before = "";
  const add = (kind, text) => {
    if (parts.length && parts.at(-1)[0] === kind) parts.at(-1)[1] += text;
    else parts.push([kind, text]);
    at += text.length;
  };
  const inside = () => {
    const end = closing(line, at, open);
    add("s", line.slice(at, end < 0 ? undefined : end));
    if (end >= 0) open = "";
  };
  if (open) inside();
  const soft = SOFT.exec(line)?.[1];
  while (at < line.length) {
    TOKEN.lastIndex = at;
    const { comment, long, quotes, string, decorator, number, word, other } = TOKEN.exec(line).groups;
    if (comment) add("c", comment);
    else if (long) {
      add("s", long);
      open = quotes;
      inside();
    } else if (string) add("s", string);
    else if (decorator) add("d", decorator);
    else if (number) add("n", number);
    else if (word) {
      add(kindOf(word, before, parts.length < 2 && soft), word);
      before = word;
    } else add("", other);
  }
  return [parts, open];
}

function kindOf(word, before, soft) {
  if (KEYWORDS.has(word) || word === soft) return "k";
  if (before === "def" || before === "class") return "d";
  return BUILTINS.has(word) ? "b" : "";
}

// Where a string that these quotes opened ends, past its quotes; -1 if not on this line.
function closing(line, at, quotes) {
  for (; at < line.length; at += line[at] === "\\" ? 2 : 1) {
    if (line.startsWith(quotes, at)) return at + quotes.length;
  }
  return -1;
}
