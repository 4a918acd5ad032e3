// A table of HTML, as pandas writes it. The HTML is a stranger's: it is read here, not by the browser, and what is shown is made
// anew of rows and cells with text in them, and nothing else.

import { make } from "./show.js";

const TOKEN = /<!--[^]*?-->|<(?<close>\/?)(?<tag>[a-z][a-z0-9]*)(?<rest>(?:"[^"]*"|'[^']*'|[^'">])*)>|[^<]+|</gi;
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'", nbsp: "\u00a0", times: "×" };

// Beyond this many cells text will do.
const MOST_CELLS = 20_000;

// The table in it and what is said below that, as elements; nothing if there is not just one table.
export function tableOf(html) {
  const rows = [];
  let [row, cell, head, tables, inside, count, below] = [null, null, false, 0, false, 0, ""];
  for (const match of withoutPrograms(html).matchAll(TOKEN)) {
    const { close, tag = "", rest = "" } = match.groups;
    const name = tag.toLowerCase();
    if (!name) {
      if (match[0].startsWith("<!--")) continue;
      if (cell) cell.text += decoded(match[0]);
      else if (tables && !inside) below += decoded(match[0]);
    } else if (name === "table") {
      if (!close && (tables += 1) > 1) return null;
      inside = !close;
      cell = null;
    } else if (name === "thead") head = !close;
    else if (name === "tr") {
      row = cell = null;
      if (!close && inside) rows.push(row = { head, cells: [] });
    } else if (name === "td" || name === "th") {
      cell = null;
      if (close || !row) continue;
      row.cells.push(cell = { name, rest, text: "" });
      if ((count += 1) > MOST_CELLS) return null;
    } else if (name === "br" && cell) cell.text += "\n";
  }
  if (!tables || !count) return null;
  const parts = [true, false].map((isHead) => rows.filter(({ head }) => head === isHead).map(rowOf));
  const table = make("table", {}, ...parts[0].length ? [make("thead", {}, ...parts[0])] : [], make("tbody", {}, ...parts[1]));
  const note = below.trim();
  return [table, ...note ? [make("p", { class: "note" }, note)] : []];
}

function rowOf({ head, cells }) {
  return make("tr", {}, ...cells.map((cell) => cellOf(cell, head)));
}

function cellOf({ name, rest, text }, head) {
  const said = text.trim();
  // A heading that says nothing is none.
  const isHeading = name === "th" && said;
  const attributes = isHeading ? { scope: head ? "col" : "row" } : {};
  for (const span of ["colspan", "rowspan"]) {
    const [, many] = new RegExp(`\\b${span}\\s*=\\s*["']?(\\d{1,3})`, "i").exec(rest) ?? [];
    if (Number(many) > 1) attributes[span] = many;
  }
  return make(isHeading ? "th" : "td", attributes, said);
}

function withoutPrograms(html) {
  return html.replace(/<(style|script)\b[^]*?<\/\1\s*>/gi, "");
}

function decoded(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name.toLowerCase()] ?? whole;
    const point = decimal ? Number(decimal) : parseInt(hex, 16);
    return point && point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
