// A notebook as a file of Jupyter's: format 4.5.

export function notebookOf(cells) {
  const notebook = {
    cells: cells.map((cell, index) => ({
      cell_type: "code",
      id: `cell-${index + 1}`,
      metadata: metadataOf(cell.output.answer ?? {}),
      execution_count: cell.number ?? null,
      source: lines(cell.code),
      outputs: outputsOf(cell),
    })),
    metadata: { kernelspec: { display_name: "Python 3", language: "python", name: "python3" }, language_info: { name: "python" } },
    nbformat: 4,
    nbformat_minor: 5,
  };
  return JSON.stringify(notebook, null, 1) + "\n";
}

function metadataOf({ restored, not_kept = [] }) {
  return restored === undefined ? {} : { cloister: { restored, not_kept } };
}

function outputsOf({ output: { pieces, answer }, number = null }) {
  const outputs = pieces.map(({ kind, data }) => kind === "display"
    ? { output_type: "display_data", data: dataOf(data), metadata: {} }
    : { output_type: "stream", name: kind, text: lines(data) });
  const { data, text, error } = answer ?? {};
  if (data ?? text) {
    outputs.push({ output_type: "execute_result", execution_count: number, data: dataOf(data ?? { "text/plain": text }), metadata: {} });
  }
  if (error) {
    const { code, exception, message, traceback } = error;
    const name = exception ?? code;
    const value = message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
    outputs.push({ output_type: "error", ename: name, evalue: value, traceback: (traceback ?? message).trimEnd().split("\n") });
  }
  return outputs;
}

// JSON is what it says, if it is any, and all else text.
function dataOf(bundle) {
  return Object.fromEntries(Object.entries(bundle).map(([type, text]) => [type, /^application\/(.*\+)?json$/.test(type) ? parsed(text) : lines(text)]));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function lines(text) {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
