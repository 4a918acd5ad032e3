// Calls execute_python at the address given, with the official client, and prints what it saw as one line of JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "suite", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));
const { tools } = await client.listTools();
const call = (script, rest) => client.callTool({ name: "execute_python", arguments: { script, ...rest } });
const added = await call("def main(a, b):\n    print('adding')\n    return a + b", { args: [2, 3] });
const failed = await call("def main():\n    return 1 / 0");
await client.close();
console.log(JSON.stringify({ server: client.getServerVersion(), tools: tools.map((tool) => tool.name), added, failed }));
