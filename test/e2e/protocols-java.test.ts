// SPDX-License-Identifier: Apache-2.0
// Dubbo, SOFARPC and RocketMQ as Maven Central has them, watched: none is instrumented.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { startJavaSession } from "../support/java-session.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { startRocketMq } from "../support/rocketmq.ts";

function lineOf({ attributes, kind, name }: FlatSpan): string {
  const words = [kind, name];
  for (const [word, key] of [
    ["queue", "messaging.destination.partition.id"],
    ["bytes", "messaging.message.body.size"],
    ["tag", "rocketmq.message.tag"],
    ["count", "messaging.batch.message_count"],
    ["group", "messaging.consumer.group.name"],
    ["status", "rpc.status_code"],
    ["error", "error.type"],
  ] as const) {
    const value = attributes.get(key);
    if (value !== undefined) words.push(`${word}=${String(value)}`);
  }
  return words.join(" ");
}

const DUBBO = [
  "Session$Shop/price status=OK",
  "Session$Shop/price status=OK",
  "Session$Shop/price status=OK",
  "Session$Shop/note status=OK",
  "Session$Shop/price status=OK error=Session$SoldOut",
  "com.example.Nowhere/$invoke status=BAD_REQUEST error=BAD_REQUEST",
];
const SOFARPC = [
  "Session$Shop:1.0/price status=SUCCESS",
  "Session$Shop:1.0/price status=SUCCESS",
  "Session$Shop:1.0/price status=SUCCESS error=exception",
  // It is not answered.
  "Session$Shop:1.0/price",
];

/** Each call at either end, in one process, and linked. */
function assertCalls(
  spans: readonly FlatSpan[],
  system: string,
  expected: readonly string[],
): void {
  const calls = spans.filter(({ attributes }) => attributes.get("rpc.system.name") === system);
  const both = ["client", "server"].flatMap((kind) => expected.map((line) => `${kind} ${line}`));
  assert.deepEqual(calls.map(lineOf).sort(), both.sort());
  const ids = new Set(calls.filter(({ kind }) => kind === "client").map(({ spanId }) => spanId));
  for (const call of calls.filter(({ kind }) => kind === "server")) {
    assert.ok(ids.has(call.parentSpanId), lineOf(call));
  }
}

/** `send` and `receive` of the session; what else client and broker say is housekeeping. */
const MESSAGES = [
  "send orders queue=0 bytes=5 tag=new",
  "send orders queue=0 bytes=3000 tag=new",
  "send orders queue=0 bytes=6 tag=audit",
  "send orders queue=77 bytes=1 error=SYSTEM_ERROR",
];

/** At once: most of the time goes into the start of virtual machines. */
describe("services in Java", { concurrency: true }, () => {
  it("calls of Dubbo and SOFARPC are seen at either end", async () => {
    const [dubboPort = 0, sofaPort = 0] = await freePorts(2);
    const jvm = ["-Ddubbo.application.serialize-check-status=DISABLE"];
    await using dubbo = await startJavaSession("dubbo", dubboPort, { jvm });
    await using sofa = await startJavaSession("sofarpc", sofaPort);
    const targets = `[{pids: [${dubbo.pid}], name: dubbo}, {pids: [${sofa.pid}], name: sofa}]`;
    await using agent = await startTestAgent({ targets, readyTimeoutMs: 60_000 });
    await Promise.all([dubbo.run(), sofa.run()]);
    const spans = await agent.spansWhen(2 * (DUBBO.length + SOFARPC.length), 60_000);
    assertCalls(spans, "dubbo", DUBBO);
    assertCalls(spans, "sofarpc", SOFARPC);
  });

  it("a session of RocketMQ's client gives exactly its messages, on either side", async () => {
    await using broker = await startRocketMq();
    await using session = await startJavaSession("rocketmq", broker.nameServerPort);
    const targets = `[{pids: [${broker.pid}], name: broker}, {pids: [${session.pid}], name: shop}]`;
    await using agent = await startTestAgent({ targets, readyTimeoutMs: 60_000 });
    await session.run();
    const isPoll = ({ name }: FlatSpan): boolean => name === "receive orders";
    const isSend = ({ name }: FlatSpan): boolean => name === "send orders";
    const spans = await eventually(
      () => agent.spansWhen(12),
      (seen) => seen.filter(isSend).length >= 8 && seen.filter(isPoll).length >= 4,
      60_000,
    );
    assert.deepEqual(
      spans.filter(isSend).map(lineOf).sort(),
      MESSAGES.flatMap((line) => [`producer ${line}`, `server ${line}`]).sort(),
    );
    const empty = "receive orders queue=0 count=0 group=readers";
    const polls = spans.filter(isPoll).map(lineOf).sort();
    const isFull = (line: string): boolean => /queue=0 bytes=\d{4} group=readers$/.test(line);
    assert.equal(polls.filter(isFull).length, 2);
    assert.deepEqual(
      polls.filter((line) => !isFull(line)),
      [`consumer ${empty}`, `server ${empty}`],
    );
  });
});
