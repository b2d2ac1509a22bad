// SPDX-License-Identifier: Apache-2.0
// What the kernel does not know: decided in user space by the first messages, and told to the kernel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccount, metricsAtRest } from "../support/account.ts";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";

/** Speaks first, as MySQL and NATS do; then answers a private frame, or a request with a rare method. */
const SERVER = `
const { createServer } = require("node:net");
for (const port of process.argv.slice(1)) {
  createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      const isHttp = data.includes("FROBNICATE");
      socket.write(isHttp ? "HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n" : "\\x07\\x02" + data);
    });
    if (port === process.argv[1]) socket.write("\\x07\\x01private server, version 1");
  }).listen(Number(port), "127.0.0.1");
}`;

const EXCHANGES = 200;
const QUESTION = `\x07\x03${"what is it? ".repeat(20)}`;
const CLIENT_HELLO = `\x16\x03\x01\x00\x60\x01\x00\x00\x5c\x03\x03${"h".repeat(90)}`;

function l7(metrics: ReadonlyMap<string, number>, name: string, label?: string): number {
  return total(metrics, `backstitch_ebpf_l7_${name}`, label);
}

async function startAll(): Promise<{
  readonly ports: readonly number[];
  readonly agent: TestAgent;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const ports = await freePorts(3);
  const [, , ignored = 0] = ports;
  const server = await startProcess({
    command: process.execPath,
    args: ["-e", SERVER, ...ports.map(String)],
    readyPort: ignored,
  });
  const agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: private}]`,
    capture: `{tls: {enabled: false}, protocols: {disabled: [redis], ports: {${ignored}: none}}}`,
  });
  return {
    ports,
    agent,
    [Symbol.asyncDispose]: async () => {
      await agent[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test("bytes that are nothing we know are left alone after a bounded part, and all are counted", async () => {
  await using all = await startAll();
  const [port = 0] = all.ports;
  await exchangeRaw({
    port,
    sends: new Array<Buffer>(EXCHANGES).fill(Buffer.from(QUESTION, "latin1")),
    pauseMs: 5,
    leave: "fin",
  });
  const metrics = await metricsAtRest(all.agent);
  assertAccount(metrics);
  assert.equal(l7(metrics, "connections_detected", 'protocol="unknown"'), 1);
  const seen = l7(metrics, "records_seen");
  assert.ok(seen > EXCHANGES, "a read may take two questions");
  assert.ok(l7(metrics, "records_captured") < seen / 2, "most calls were not captured");
  assert.ok(l7(metrics, "bytes_captured") <= 65_536 + 4096);
  assert.equal(
    l7(metrics, "records_dropped", 'reason="unclassified"'),
    seen - l7(metrics, "records_captured"),
  );
  assert.equal(
    l7(metrics, "unpaired", 'reason="unknown_protocol"'),
    l7(metrics, "records_captured"),
    "what was captured in vain is counted once",
  );
  assert.equal(all.agent.spans().length, 0);
});

test("what user space recognises becomes spans; TLS and ignored ports are counted", async () => {
  await using all = await startAll();
  const [, port = 0, ignored = 0] = all.ports;
  const request = "FROBNICATE /orders/7 HTTP/1.1\r\nHost: shop\r\n\r\n";
  await exchangeRaw({ port, sends: [request, request, request], pauseMs: 60, leave: "fin" });
  await exchangeRaw({ port, sends: [Buffer.from(CLIENT_HELLO, "latin1")], leave: "fin" });
  await exchangeRaw({ port: ignored, sends: [request], pauseMs: 20, leave: "fin" });
  const spans = await all.agent.spansWhen(3);
  assert.deepEqual(
    spans.map(({ kind, attributes }) => [kind, attributes.get("http.request.method_original")]),
    new Array(3).fill(["server", "FROBNICATE"]),
  );
  // Only when the process's TLS library was looked for.
  const opaque = 'reason="tls",service="private"';
  await eventually(
    async () => l7(await all.agent.metrics(), "connections_opaque", opaque),
    (count) => count > 0,
  );
  const metrics = await metricsAtRest(all.agent);
  assertAccount(metrics);
  assert.equal(l7(metrics, "connections_detected", 'protocol="http1"'), 1);
  assert.equal(l7(metrics, "connections_opaque", opaque), 1);
  assert.equal(l7(metrics, "records_dropped", 'reason="encrypted"'), 2);
  assert.equal(l7(metrics, "records_dropped", 'reason="unclassified"'), 2);
});
