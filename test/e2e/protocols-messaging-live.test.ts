// SPDX-License-Identifier: Apache-2.0
// Brokers and a client that the agent watches: what it makes of their sockets, recognised by bytes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { startKafka } from "../support/kafka.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { connectText } from "../support/text-client.ts";

const run = promisify(execFile);

function lineOf(span: FlatSpan): string {
  const { attributes, kind, name } = span;
  const words = [kind, name];
  for (const [word, key] of [
    ["partition", "messaging.destination.partition.id"],
    ["offset", "kafka.offset"],
    ["count", "messaging.batch.message_count"],
    ["error", "error.type"],
  ] as const) {
    const value = attributes.get(key);
    if (value !== undefined) words.push(`${word}=${String(value)}`);
  }
  return words.join(" ");
}

test("a watched NATS server and a watched Mosquitto give spans of what clients do", async () => {
  const [natsPort = 0, mqttPort = 0] = await freePorts(2);
  await using nats = await startProcess({
    command: "/usr/sbin/nats-server",
    args: ["-a", "127.0.0.1", "-p", String(natsPort)],
    readyPort: natsPort,
  });
  await using mosquitto = await startProcess({
    command: "/usr/sbin/mosquitto",
    args: ["-p", String(mqttPort)],
    readyPort: mqttPort,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${nats.pid}], name: nats}, {pids: [${mosquitto.pid}], name: mosquitto}]`,
  });
  const client = await connectText(natsPort);
  await client.received(/^INFO .*\r\n/);
  client.send(
    'CONNECT {"verbose":false,"name":"shop","headers":true,"no_responders":true}\r\nPING\r\n',
  );
  await client.received(/PONG\r\n/);
  client.send("SUB _INBOX.* 1\r\nPUB orders.new 5\r\nhello\r\nPUB nobody _INBOX.1 0\r\n\r\n");
  await client.received(/503/);
  await client.close();
  const common = ["-h", "127.0.0.1", "-p", String(mqttPort), "-V", "5", "-i", "kitchen"];
  await run("mosquitto_pub", [...common, "-t", "rooms/1", "-q", "2", "-m", "light"]);
  const spans = await agent.spansWhen(5);
  assert.deepEqual(spans.map(lineOf).sort(), [
    "server connect",
    "server connect",
    "server publish orders.new",
    "server publish rooms/1",
    "server request nobody error=503",
  ]);
  const systems = new Set(spans.map(({ attributes }) => attributes.get("messaging.system.name")));
  assert.deepEqual([...systems].sort(), ["mqtt", "nats"]);
});

test("a watched Kafka broker and its watched client agree about each operation", async () => {
  await using kafka = await startKafka();
  await using session = await kafka.startSession();
  await using agent = await startTestAgent({
    targets: `[{pids: [${kafka.pid}], name: kafka}, {pids: [${session.pid}], name: shop}]`,
  });
  kafka.openGate();
  await session.ended;
  assert.match(session.output(), /consumed 4/);
  const isSend = ({ name }: FlatSpan): boolean => name.startsWith("send");
  const spans = await eventually(
    () => agent.spansWhen(8),
    (seen) => seen.filter(isSend).length >= 8,
  ).catch(() => agent.spansWhen(0));
  const sends = spans.filter(isSend);
  const expected = [
    "send audit partition=0 count=1",
    "send orders partition=1 offset=0 count=3",
    "send orders partition=1 offset=3 count=1",
    "send strict partition=0 count=1 error=MESSAGE_TOO_LARGE",
  ];
  assert.deepEqual(sends.map(lineOf).sort(), [
    ...expected.map((line) => `producer ${line}`),
    ...expected.map((line) => `server ${line}`),
  ]);
  const clients = new Set(sends.filter(({ kind }) => kind === "producer").map((s) => s.spanId));
  for (const span of sends.filter(({ kind }) => kind === "server")) {
    assert.ok(clients.has(span.parentSpanId), lineOf(span));
  }
});
