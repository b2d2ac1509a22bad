// SPDX-License-Identifier: Apache-2.0
// A real Kafka broker and its Java client with a recorder between them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { KAFKA } from "../../src/protocols/kafka/protocol.ts";
import { messagingLine } from "../../src/protocols/messaging-testing.ts";
import { startKafka } from "../support/kafka.ts";
import { observeAll, updateGoldens } from "../support/message-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

/** What the session does with messages. */
const EXPECTED = [
  "send orders partition=1 offset=0 count=3",
  "send orders partition=1 offset=3 count=1",
  "send audit partition=0 count=1",
  "send strict partition=0 count=1 error=MESSAGE_TOO_LARGE",
  "commit group=billing",
].sort();

test("a session of Kafka's Java client gives exactly its operations, on either side", async () => {
  const [port = 0] = await freePorts(1);
  await using kafka = await startKafka(port);
  await using proxy = await startRecordingProxy(kafka.port, port);
  await using session = await kafka.startSession();
  kafka.openGate();
  await session.ended;
  assert.match(session.output(), /consumed 4[\s\S]*done/);
  updateGoldens(KAFKA, proxy, "Java client");
  for (const role of ["client", "server"] as const) {
    const observed = observeAll(KAFKA, proxy, role);
    const spans = observed.flatMap(({ ended }) => ended);
    const operations = spans.filter(({ name }) => /^(send|commit)\b/.test(name));
    assert.deepEqual(operations.map(messagingLine).sort(), EXPECTED);
    const polls = spans.filter(({ name }) => name.startsWith("poll"));
    assert.ok(polls.every(({ name }) => name === "poll orders"));
    const counts = polls.map(({ attributes }) =>
      Number(attributes["messaging.batch.message_count"]),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      4,
    );
    const names = new Set(spans.map(({ name }) => name));
    for (const name of ["ApiVersions", "Metadata", "CreateTopics", "FindCoordinator"]) {
      assert.ok(names.has(name), name);
    }
    const joins = spans.filter(({ name }) => name === "JoinGroup");
    assert.deepEqual(joins.map(messagingLine), [
      "JoinGroup group=billing error=MEMBER_ID_REQUIRED",
      "JoinGroup group=billing",
    ]);
    assert.ok(spans.every((span) => span.role === role));
    assert.deepEqual(
      observed.flatMap(({ losses }) => losses),
      [],
    );
  }
});
