// A client written with the TypeScript SDK makes a defect: first step by step, then with `synthesize`.
//
//   node synthesize.mjs v1|v2 JSON-OF-TASK URL | COMMAND ARGS...
//
// v1 is @modelcontextprotocol/sdk (handshake), v2 @modelcontextprotocol/client (newest revision, no handshake).
const [generation, taskText, ...target] = process.argv.slice(2);
const task = JSON.parse(taskText);
const overHttp = target[0].startsWith("http://");

async function open() {
  const info = { name: `typescript-${generation}`, version: "0" };
  if (generation === "v1") {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const client = new Client(info);
    await client.connect(
      overHttp
        ? new StreamableHTTPClientTransport(new URL(target[0]))
        : new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: "inherit" }),
    );
    return client;
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
  const client = new Client(info, { versionNegotiation: { mode: "auto" } });
  await client.connect(
    overHttp
      ? new StreamableHTTPClientTransport(new URL(target[0]))
      : new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: "inherit" }),
  );
  return client;
}

const client = await open();
const call = async (name, args, options) => {
  const params = { name, arguments: args };
  const answer = await (generation === "v1" ? client.callTool(params, undefined, options) : client.callTool(params, options));
  if (answer.isError) throw new Error(`${name}: ${answer.content[0].text}`);
  return answer;
};
const { tools } = await client.listTools();
const named = { item_name: task.item_name, anomaly_type: task.anomaly_type };
const prompt = (await call("prompt_gen", task)).structuredContent;
const drawn = await call("image_gen", { image: task.image, prompt: prompt.prompt, spec: prompt.spec, preview: true });
const pair = { normal_image: task.image, anomaly_image: drawn.structuredContent.image };
const judged = (await call("quality_eval", { ...pair, ...named })).structuredContent;
const found = (await call("knowledge_retrieval", named)).structuredContent;
const masked = await call("mask_gen", pair);
const link = masked.content.find((block) => block.type === "resource_link");
const read = await client.readResource({ uri: link.uri });
const steps = [];
const made = await call("synthesize", task, { onprogress: (progress) => steps.push(progress.message.split(":")[0]) });
const refused = await client.callTool({ name: "mask_gen", arguments: { ...pair, normal_image: "../x.png" } });
await client.close();
console.log(
  JSON.stringify({
    tools: tools.map((tool) => tool.name),
    kinds: drawn.content.map((block) => block.type),
    score: judged.score,
    cards: found.cards.length,
    mask: masked.structuredContent.mask,
    mask_bytes: Buffer.from(read.contents[0].blob, "base64").length,
    steps,
    made: made.structuredContent,
    refused: [refused.isError, refused.content[0].text],
  }),
);
