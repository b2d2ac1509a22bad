// SPDX-License-Identifier: Apache-2.0
// Bytes that begin like a database protocol and are none: no span, everything counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";

const ECHO = `require("node:net").createServer((socket) => {
  socket.on("data", (data) => socket.write("-" + data)).on("error", () => undefined);
}).listen(Number(process.argv[1]), "127.0.0.1")`;

/** Classified by the kernel as Redis or PostgreSQL, given up by the parsers. */
const WRONG = [
  "*1\r\n$9\r\ngarbage that goes on beyond its length\r\n",
  "*12\r\n$3\r\nfoo\r\nbar\r\n",
  "Q\0\0\0\x0bhello, this is longer than it says",
  "P\0\0\0\x10name text of something else",
  "B\0\0\0\x0cab\0cd and other private frames",
  "\0\0\0\x09\0\x03\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
];
/** Not classified as either: user space finds nothing in them. */
const OTHER = [
  "*3\r\n$x is no number",
  "*** hello ***\r\n",
  "Q is a letter\r\n",
  "Perhaps not\r\n",
  "\0\0\0\x10\x01\x02\x03\x04",
];

test("what only begins like Redis or PostgreSQL is given up and counted; HTTP/1 is seen beside it", async () => {
  const [port = 0] = await freePorts(1);
  await using server = await startProcess({
    command: process.execPath,
    args: ["-e", ECHO, String(port)],
    readyPort: port,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: echo}]`,
  });
  for (const text of [...WRONG, ...OTHER]) {
    const bytes = Buffer.from(text, "latin1");
    await exchangeRaw({
      port,
      sends: new Array<Buffer>(6).fill(bytes),
      pauseMs: 5,
      leave: "fin",
      timeoutMs: 100,
    });
  }
  await exchangeRaw({
    port,
    sends: ["GET /seen HTTP/1.1\r\nHost: a\r\n\r\n"],
    leave: "fin",
    pauseMs: 20,
  });
  const metric = (name: string): string => `backstitch_ebpf_l7_${name}`;
  const metrics = await eventually(
    async () => await agent.metrics(),
    (found) => total(found, metric("connections_closed")) >= WRONG.length + OTHER.length + 1,
  );
  // The echo is no HTTP response either.
  const spans = await agent.spansWhen(1, 1500);
  assert.deepEqual(
    spans.filter(({ attributes }) => attributes.has("db.system.name")).map(({ name }) => name),
    [],
  );
  assert.equal(total(metrics, metric("connections_opened")), WRONG.length + OTHER.length + 1);
  const started = total(metrics, metric("exchanges_started"));
  const completed = total(metrics, metric("exchanges_completed"));
  assert.equal(started, completed + total(metrics, metric("exchanges_abandoned")));
  assert.ok(total(metrics, metric("unpaired"), 'reason="malformed"') >= WRONG.length - 2);
});
