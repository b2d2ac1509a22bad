// SPDX-License-Identifier: Apache-2.0
// A private framed protocol, described in the agent's configuration, between processes of our own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { connectText } from "../support/text-client.ts";

/** Answers each frame of 12 bytes with its id, in reverse order of a batch; method 9 fails. */
const SERVER = `
require("node:net").createServer((socket) => {
  socket.on("data", (bytes) => {
    const answers = [];
    for (let at = 0; at + 12 <= bytes.length; at += 12) {
      const answer = Buffer.from(bytes.subarray(at, at + 12));
      answer[4] = 2;
      answer[10] = answer[9] === 9 ? 5 : 0;
      if (bytes[at + 4] === 1) answers.unshift(answer);
    }
    socket.write(Buffer.concat(answers));
  });
  socket.on("error", () => undefined);
}).listen(Number(process.argv[1]), "127.0.0.1");
`;

function frame(kind: number, id: number, method: number): string {
  return String.fromCharCode(0x53, 0x57, 0, 12, kind, 0, 0, 0, id, method, 0, 0);
}

for (const [how, selection] of [
  ["its port", (port: number) => `ports: [${port}]`],
  ["its first bytes", () => 'magic: "5357"'],
] as const) {
  test(`a described protocol is followed by the agent, found by ${how}`, async () => {
    const [port = 0] = await freePorts(1);
    const args = ["-e", SERVER, String(port)];
    await using server = await startProcess({ command: "node", args, readyPort: port });
    const custom = `{name: shop_wire, ${selection(port)}, length: {offset: 2, bytes: 2},
      kind: {offset: 4, bytes: 1, request: [1], response: [2], one_way: [3]},
      id: {offset: 5, bytes: 4}, method: {offset: 9, bytes: 1, names: {1: buy, 9: "return"}},
      status: {offset: 10, bytes: 1, names: {5: TOO_LATE}}}`;
    await using agent = await startTestAgent({
      targets: `[{pids: [${server.pid}], name: shop}]`,
      capture: `{protocols: {custom: [${custom.replaceAll(/\s+/g, " ")}]}}`,
    });
    const client = await connectText(port);
    client.send(frame(1, 1, 1) + frame(1, 2, 9) + frame(3, 3, 1));
    await client.received(/[\s\S]{24}/);
    client.send(frame(1, 4, 1));
    await client.received(/[\s\S]{36}/);
    await client.close();
    const spans = await agent.spansWhen(4);
    assert.deepEqual(
      spans
        .map(({ kind, name, attributes }) => {
          const error = attributes.get("error.type");
          return `${kind} ${name}${error === undefined ? "" : ` ${String(error)}`}`;
        })
        .sort(),
      ["server buy", "server buy", "server buy", "server return TOO_LATE"],
    );
  });
}
