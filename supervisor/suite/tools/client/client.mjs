// A client of conversations, with the WebSocket of npm's `ws`: it runs a script that calls two tools of this program's.
import WebSocket from "ws";

const tools = { add: (a, b) => a + b, fail: () => { throw new Error("no such tool here"); } };
const script = `
from cloister import tools

def main():
    total = tools.add(2, 3)
    try:
        tools.fail()
    except Exception as error:
        return {"sum": total, "failed": f"{type(error).__name__}: {error}"}
`;

const node = new WebSocket(process.argv[2]);
let calls = 0;
node.on("open", () => node.send(JSON.stringify({ type: "execute", script, tools: Object.keys(tools).map((name) => ({ name })) })));
node.on("message", (data) => {
  const message = JSON.parse(data);
  if (message.type === "call") {
    calls += 1;
    let came;
    try {
      came = { value: tools[message.tool](...message.args) };
    } catch (error) {
      came = { error: { message: error.message } };
    }
    node.send(JSON.stringify({ type: "return", call: message.call, ...came }));
  } else if (message.type === "result" || message.type === "error") {
    console.log(JSON.stringify({ ...message.result, calls }));
    node.close();
  }
});
