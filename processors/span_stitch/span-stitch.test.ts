// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  KEY_AT_CONNECT,
  KEY_PEER_OBSERVED,
  KEY_POOL_BUSY,
  KEY_SAME_CONNECTION,
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  TRIGGER_GOROUTINE,
  TRIGGER_JAVA,
  TRIGGER_PYTHON,
  TRIGGER_REQUEST,
  TRIGGER_RESPONSE,
} from "../../src/model/stitch-key.ts";
import { Harness } from "./testing/harness.ts";
import { encodeChunk, id16, type TestKey } from "./testing/otlp.ts";

const hex = (bytes: readonly number[]): string => Buffer.from(bytes).toString("hex");

function server(id: number, counterpart = 0, more: Partial<TestKey> = {}): TestKey {
  const flags = counterpart === 0 ? 0 : KEY_PEER_OBSERVED;
  return { id, role: "server", counterpart: counterpart || id + 5000, flags, ...more };
}

function client(id: number, more: Partial<TestKey> = {}): TestKey {
  return { id, role: "client", ...more };
}

/** A call made while `trigger` (a server span) was the only open request of its thread. */
function called(id: number, trigger: number, more: Partial<TestKey> = {}): TestKey {
  const flags = KEY_TRIGGER_OPEN | (more.flags ?? 0);
  return client(id, { triggerKind: TRIGGER_REQUEST, trigger, open: 1, ...more, flags });
}

/** A call made after the response to `trigger` (a client span). */
function followed(id: number, trigger: number, more: Partial<TestKey> = {}): TestKey {
  return client(id, { triggerKind: TRIGGER_RESPONSE, trigger, open: 1, ...more });
}

describe("a server span", () => {
  test("is the child of the client span that names the same bytes", () => {
    const harness = new Harness();
    harness.add(server(2, 1), client(1));
    assert.deepEqual(harness.links, { 1: 0, 2: 1 });
    assert.equal(harness.span(2).evidence, "byte_name");
    assert.equal(harness.span(2).confidence, 1);
    assert.equal(harness.span(1).evidence, undefined);
    assert.equal(harness.span(1).traceId, harness.span(2).traceId);
  });

  test("is a root when its client span was lost, and its trace is its own", async () => {
    const harness = new Harness({ wait_max: "5s" });
    harness.add(called(3, 2), server(2, 1));
    harness.advance(5000);
    assert.deepEqual(harness.links, { 2: 0, 3: 2 });
    assert.equal(harness.span(2).traceId, harness.span(3).traceId);
    assert.equal(await harness.count("unlinked_spans", { reason: "timeout" }), 1);
  });

  test("finds a client span that was sent before", () => {
    const harness = new Harness();
    harness.add(client(1), server(2, 1));
    assert.deepEqual(harness.links, { 1: 0, 2: 1 });
    assert.equal(harness.span(1).traceId, harness.span(2).traceId);
  });

  test("is a root after the reorder wait when its client is not watched", async () => {
    const harness = new Harness();
    harness.add(server(2));
    harness.advance(49);
    assert.equal(harness.sent.length, 0);
    harness.advance(1);
    assert.equal(harness.span(2).parent, 0);
    assert.equal(await harness.count("unlinked_spans", { reason: "no_client" }), 1);
  });

  test("is linked to an unexpected client within the reorder wait", () => {
    const harness = new Harness();
    harness.add(server(2));
    harness.advance(10);
    harness.add(client(5002));
    assert.deepEqual(harness.links, { 2: 5002, 5002: 0 });
  });

  test("takes parent and trace from its header when nobody else is there", () => {
    const harness = new Harness();
    harness.add(server(2, 0, { header: { traceId: 77, spanId: 66 } }));
    harness.advance(50);
    assert.equal(harness.span(2).parent, 66);
    assert.equal(harness.span(2).traceId, hex(id16(77)));
    assert.equal(harness.span(2).evidence, "trace_header");
  });

  test("prefers our client span to the header's span, in the header's trace", () => {
    const harness = new Harness();
    const header = { traceId: 77, spanId: 66 };
    harness.add(server(2, 1, { header }), client(1, { header }));
    harness.advance(50);
    assert.deepEqual(harness.links, { 1: 66, 2: 1 });
    assert.equal(harness.span(2).traceId, hex(id16(77)));
    assert.equal(harness.span(2).evidence, "byte_name");
  });
});

describe("a client span", () => {
  test("belongs to the request that its thread had read, by how sure that is", () => {
    const cases: readonly (readonly [TestKey, string | undefined, number | undefined])[] = [
      [called(1, 9), "same_thread", 1],
      [called(1, 9, { flags: KEY_SLEPT }), "same_thread", 0.9],
      [called(1, 9, { open: 3 }), "event_loop", 0.95],
      [called(1, 9, { open: 3, flags: KEY_AT_CONNECT }), "event_loop", 0.95],
      [called(1, 9, { open: 3, flags: KEY_SLEPT }), undefined, undefined],
      [{ ...called(1, 9), flags: 0 }, undefined, undefined],
    ];
    for (const [key, evidence, confidence] of cases) {
      const harness = new Harness();
      harness.add(key, server(9));
      harness.advance(50);
      const span = harness.span(1);
      assert.deepEqual([span.evidence, span.confidence], [evidence, confidence]);
      assert.equal(span.parent, evidence === undefined ? 0 : 9);
      assert.equal(span.traceId === harness.span(9).traceId, evidence !== undefined);
    }
  });

  test("after another call's response has the parent of that call", () => {
    const harness = new Harness();
    harness.add(called(1, 9), followed(2, 1), followed(3, 2), server(9));
    harness.advance(50);
    assert.deepEqual(harness.links, { 1: 9, 2: 9, 3: 9, 9: 0 });
  });

  test("after a response on the same connection in an event loop is less sure", () => {
    const harness = new Harness();
    const key = followed(2, 1, { open: 4, flags: KEY_SAME_CONNECTION });
    harness.add(called(1, 9, { open: 4 }), key, server(9));
    harness.advance(50);
    assert.equal(harness.span(2).parent, 9);
    assert.equal(harness.span(2).confidence, 0.9);
  });

  test("that may have waited for its connection is not linked by the event loop", () => {
    const harness = new Harness({ inference: { enabled: false } });
    const flags = KEY_SAME_CONNECTION | KEY_POOL_BUSY;
    harness.add(called(1, 9, { open: 4 }), followed(2, 1, { open: 4, flags }), server(9));
    harness.advance(50);
    assert.equal(harness.span(2).parent, 0);
    assert.equal(harness.span(2).evidence, undefined);
  });

  test("goes to the request that its goroutine or context works for, whatever the thread read", () => {
    for (const [triggerKind, evidence] of [
      [TRIGGER_GOROUTINE, "goroutine"],
      [TRIGGER_PYTHON, "python_context"],
      [TRIGGER_JAVA, "java_task"],
    ] as const) {
      const harness = new Harness({ inference: { enabled: false } });
      const named = { triggerKind, trigger: 9, open: 64 };
      const open = client(1, { ...named, flags: KEY_TRIGGER_OPEN | KEY_SLEPT });
      harness.add(open, client(2, named), server(9), server(8));
      harness.advance(50);
      assert.deepEqual(harness.links, { 1: 9, 2: 0, 8: 0, 9: 0 });
      assert.equal(harness.span(1).evidence, evidence);
      assert.equal(harness.span(1).confidence, 1);
    }
  });

  test("is no surer than the call it follows", () => {
    const harness = new Harness();
    harness.add(called(1, 9, { flags: KEY_SLEPT }), followed(2, 1), server(9));
    harness.advance(50);
    assert.equal(harness.span(2).confidence, 0.9);
  });

  test("follows a call whose whole trace was sent already", async () => {
    const harness = new Harness();
    harness.add(called(1, 9), server(9));
    harness.advance(50);
    harness.add(followed(2, 1));
    assert.equal(harness.span(2).parent, 9);
    assert.equal(harness.span(2).traceId, harness.span(9).traceId);
    assert.equal(await harness.count("late_spans"), 1);
  });

  test("written after the request was answered is not linked to it", async () => {
    const harness = new Harness();
    harness.addChunk(
      encodeChunk([
        { key: called(1, 9), startNs: 1_100_000_000n, endNs: 1_200_000_000n },
        { key: server(9), startNs: 1_000_000_000n, endNs: 2_000_000_000n },
        { key: followed(2, 1), startNs: 2_100_000_000n, endNs: 2_200_000_000n },
      ]),
      3,
    );
    harness.advance(50);
    assert.equal(harness.span(2).parent, 0);
    assert.equal(await harness.count("unlinked_spans", { reason: "not_nested" }), 1);
  });

  test("with the header of an incoming request was passed on by a proxy", () => {
    const header = { traceId: 77, spanId: 66 };
    for (const trigger of [called(1, 9, { header }), client(1, { header })]) {
      const harness = new Harness();
      harness.add(trigger, server(9, 0, { header }));
      harness.advance(50);
      assert.deepEqual(harness.links, { 1: 9, 9: 66 });
      assert.equal(harness.span(1).evidence, "trace_header");
      assert.equal(harness.span(1).traceId, hex(id16(77)));
    }
  });

  test("with the header of two incoming requests keeps the header's parent", () => {
    const header = { traceId: 77, spanId: 66 };
    const harness = new Harness();
    harness.add(client(1, { header }), server(8, 0, { header }), server(9, 0, { header }));
    harness.advance(50);
    assert.deepEqual(harness.links, { 1: 66, 8: 66, 9: 66 });
  });

  test("with a header of another process's request is not linked to that", () => {
    const header = { traceId: 77, spanId: 66 };
    const harness = new Harness();
    harness.add(client(1, { header, pid: 2 }), server(9, 0, { header, pid: 1 }));
    harness.advance(50);
    assert.deepEqual(harness.links, { 1: 66, 9: 66 });
  });

  test("with a header of its own is the child of the SDK's span, and its request joins", () => {
    const harness = new Harness();
    const header = { traceId: 77, spanId: 66 };
    harness.add(called(1, 9, { header }), server(9));
    harness.advance(100);
    assert.deepEqual(harness.links, { 1: 66, 9: 0 });
    assert.equal(harness.span(1).traceId, hex(id16(77)));
    assert.equal(harness.span(9).traceId, hex(id16(77)));
  });

  test("without header follows a call that the SDK made, to the request of both", () => {
    const harness = new Harness();
    const header = { traceId: 77, spanId: 66 };
    harness.add(called(1, 9, { header }), followed(2, 1));
    harness.advance(100);
    harness.add(server(9, 0, { header: { traceId: 77, spanId: 55 } }));
    harness.advance(100);
    assert.deepEqual(harness.links, { 1: 66, 2: 9, 9: 55 });
  });

  test("without any trigger is a root at once", async () => {
    const harness = new Harness();
    harness.add(client(1));
    assert.equal(harness.span(1).parent, 0);
    assert.equal(await harness.count("unlinked_spans", { reason: "no_trigger" }), 1);
  });
});

describe("a trace", () => {
  test("spans that are sent stand below their parents, in one trace", () => {
    const harness = new Harness();
    harness.add(server(6, 5), called(5, 4), server(4, 3), called(3, 2), server(2, 1));
    assert.equal(harness.sent.length, 0);
    harness.add(client(1));
    assert.deepEqual(
      harness.sent.map((span) => span.spanId),
      [1, 2, 3, 4, 5, 6],
    );
    assert.equal(new Set(harness.sent.map((span) => span.traceId)).size, 1);
  });

  test("is promised when a parent stays in flight, and that one takes it over", async () => {
    const harness = new Harness({ wait_max: "5s" });
    harness.add(called(1, 9), followed(2, 1));
    harness.advance(4999);
    assert.equal(harness.sent.length, 0);
    harness.advance(1);
    assert.deepEqual(harness.links, { 1: 9, 2: 9 });
    assert.equal(await harness.count("forced_out_spans", { reason: "wait_max" }), 2);
    harness.add(called(3, 9));
    assert.equal(harness.span(3).traceId, harness.span(1).traceId);
    harness.add(server(9, 8));
    assert.equal(harness.sent.length, 3);
    harness.add(client(8));
    assert.deepEqual(harness.links, { 1: 9, 2: 9, 3: 9, 9: 8, 8: 0 });
    assert.equal(new Set(harness.sent.map((span) => span.traceId)).size, 1);
  });

  test("is the same for a root that comes after its promise was forgotten", () => {
    const harness = new Harness({ wait_max: "5s", remember: "1s" });
    harness.add(called(1, 9));
    harness.advance(5000);
    harness.advance(1000);
    harness.add(server(9));
    harness.advance(50);
    assert.equal(harness.span(9).traceId, harness.span(1).traceId);
    assert.equal(harness.stitch.held, 0);
  });

  test("takes no more spans than the limit; the next starts its own", async () => {
    const harness = new Harness({ max_spans_per_trace: 3 });
    harness.add(called(1, 9), called(2, 9), called(3, 9), called(4, 9), server(9));
    harness.advance(50);
    const linked = harness.sent.filter((span) => span.parent === 9);
    assert.equal(linked.length, 2);
    assert.equal(await harness.count("unlinked_spans", { reason: "trace_limit" }), 2);
    assert.equal(new Set(harness.sent.map((span) => span.traceId)).size, 3);
  });

  test("takes no span that starts too long after its first", async () => {
    const harness = new Harness({ max_trace_duration: "1m" });
    const startNs = 1_700_000_000_000_000_000n;
    const root = server(2);
    const inTime = called(3, 2);
    const tooLate = called(4, 2);
    const spans = [
      { key: root, startNs, endNs: startNs + 90_000_000_000n },
      { key: inTime, startNs: startNs + 59_000_000_000n },
      { key: tooLate, startNs: startNs + 62_000_000_000n },
    ];
    harness.addChunk(encodeChunk(spans), spans.length);
    harness.advance(50);
    assert.deepEqual(harness.links, { 2: 0, 3: 2, 4: 0 });
    assert.notEqual(harness.span(4).traceId, harness.span(2).traceId);
    assert.equal(await harness.count("unlinked_spans", { reason: "trace_too_long" }), 1);
  });

  test("has no cycle: a span is never its own ancestor", async () => {
    const harness = new Harness();
    harness.add(server(2, 1), called(3, 2), server(4, 3), called(1, 4));
    harness.finish();
    assert.deepEqual(harness.links, { 1: 0, 2: 1, 3: 2, 4: 3 });
    assert.equal(await harness.count("unlinked_spans", { reason: "cycle" }), 1);
    const own = new Harness();
    own.add(called(7, 7), followed(8, 8), server(9, 9));
    own.finish();
    assert.deepEqual(own.links, { 7: 0, 8: 0, 9: 0 });
  });

  test("two calls that wait for each other are sent unlinked", () => {
    const harness = new Harness({ wait_max: "1s" });
    harness.add(followed(1, 2), followed(2, 1));
    harness.advance(1000);
    assert.deepEqual(harness.links, { 1: 0, 2: 0 });
    assert.equal(harness.stitch.held, 0);
  });

  test("a second span with the same id is sent, and nobody is linked to either", async () => {
    const harness = new Harness();
    harness.add(server(2, 1), server(9, 0), { ...server(9, 0), pid: 5 }, called(3, 9));
    harness.advance(50);
    harness.add(client(1));
    assert.equal(harness.sent.filter((span) => span.spanId === 9).length, 2);
    assert.equal(new Set(harness.sent.map((span) => `${span.traceId}${span.spanId}`)).size, 5);
    assert.equal(harness.span(3).parent, 0);
    assert.equal(harness.span(2).parent, 1);
    assert.equal(await harness.count("duplicate_spans"), 1);
  });
});
