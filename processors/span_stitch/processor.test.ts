// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { Subject, type Subscription } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { KEY_PEER_ABSENT, KEY_PEER_OBSERVED } from "../../src/model/stitch-key.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";
import { createSpanStitch } from "./processor.ts";
import { batchOf, Harness, testSettings } from "./testing/harness.ts";
import { encodeChunk, readChunk, stringAttribute, type TestKey } from "./testing/otlp.ts";

function server(id: number, counterpart: number): TestKey {
  return { id, role: "server", counterpart, flags: KEY_PEER_OBSERVED };
}

const open: Subscription[] = [];
afterEach(() => {
  for (const subscription of open.splice(0)) subscription.unsubscribe();
});

function stream(config: Readonly<Record<string, unknown>> = {}) {
  const { settings } = testSettings();
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  const ended: string[] = [];
  const processor = createSpanStitch(settings, configSchema.parse(config));
  const subscription = processor.process(input).subscribe({
    next: (batch) => out.push(batch),
    error: () => ended.push("error"),
    complete: () => ended.push("complete"),
  });
  open.push(subscription);
  const send = (keys: readonly TestKey[], receipt?: Batch["receipt"]): void => {
    const chunks = keys.map((key) => encodeChunk([{ key }]));
    const batch = batchOf(chunks, keys.length);
    input.next(receipt === undefined ? batch : { ...batch, receipt });
  };
  const ids = (): number[] =>
    out.flatMap((batch) => batch.chunks.flatMap(readChunk)).map((span) => span.spanId);
  return { processor, input, out, ended, subscription, send, ids };
}

describe("the stream", () => {
  test("sends what is held when its input ends, and then ends", () => {
    const { input, ended, send, ids } = stream();
    send([server(2, 1), server(4, 3)]);
    assert.deepEqual(ids(), []);
    input.complete();
    assert.deepEqual(ids().sort(), [2, 4]);
    assert.deepEqual(ended, ["complete"]);
  });

  test("sends a server span at once when its client is surely not watched", () => {
    const { send, ids } = stream();
    send([{ id: 2, role: "server", counterpart: 1, flags: KEY_PEER_ABSENT }]);
    assert.deepEqual(ids(), [2]);
  });

  test("sends a call that waits for inference by itself", async () => {
    const { out, send, ids } = stream({ inference: { window: "100ms" } });
    send([{ id: 2, role: "server", counterpart: 1 }]);
    send([{ id: 4, role: "client" }]);
    assert.deepEqual(ids(), []);
    await eventually(
      async () => ids(),
      (sent) => sent.includes(4),
    );
    assert.deepEqual(ids().sort(), [2, 4]);
    assert.ok(out.length > 0);
  });

  test("sends what is held before it passes an error on", () => {
    const { input, ended, send, ids } = stream();
    send([server(2, 1)]);
    input.error(new Error("broken"));
    assert.deepEqual(ids(), [2]);
    assert.deepEqual(ended, ["error"]);
  });

  test("lets a wait end by itself, with one timer while something is held", async () => {
    const { send, ids, input } = stream({ reorder_wait: "30ms" });
    send([{ id: 2, role: "server", counterpart: 1 }]);
    assert.deepEqual(ids(), []);
    const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    await eventually(
      async () => ids().length,
      (count) => count > 0,
    );
    assert.deepEqual(ids(), [2]);
    const later = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    assert.equal(later, timers - 1);
    input.complete();
  });

  test("ends a short wait in time although a longer one began before it", async () => {
    const { send, ids } = stream({ reorder_wait: "30ms" });
    send([server(4, 3)]);
    send([{ id: 2, role: "server", counterpart: 1 }]);
    await eventually(
      async () => ids().length,
      (count) => count > 0,
    );
    assert.deepEqual(ids(), [2]);
  });

  test("stops its timer when nobody listens any more", () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const { send, subscription } = stream();
    send([server(2, 1)]);
    subscription.unsubscribe();
    const after = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    assert.equal(after, before);
  });

  test("answers the producer when it takes all spans of a batch", () => {
    const { send, out } = stream();
    const outcomes: Outcome[] = [];
    send([server(2, 1)], { settle: (outcome) => outcomes.push(outcome) });
    assert.deepEqual(outcomes, [{ kind: "accepted" }]);
    assert.equal(out.length, 0);
  });

  test("hands the receipt on with the spans that are not ours", () => {
    const { input, out } = stream();
    const receipt = { settle: () => assert.fail("settled too early") };
    const chunks = [encodeChunk([{ key: server(2, 1) }]), encodeChunk([{}])];
    input.next({ ...batchOf(chunks, 2), receipt });
    assert.equal(out.length, 1);
    assert.equal(out[0]?.receipt, receipt);
    assert.deepEqual(out[0]?.chunks, [chunks[1]]);
  });

  test("may be shut down twice and without a start", async () => {
    const { processor } = stream();
    const signal = AbortSignal.timeout(1000);
    await processor.shutdown(signal);
    await processor.shutdown(signal);
  });
});

describe("bounds", () => {
  test("when too many spans are held the oldest go out, linked and counted", async () => {
    const harness = new Harness({ max_held_spans: 10 });
    for (let at = 0; at < 25; at++) harness.add(server(100 + at, 200 + at));
    assert.equal(harness.stitch.held, 10);
    assert.deepEqual(
      harness.sent.map((span) => span.spanId),
      Array.from({ length: 15 }, (_, at) => 100 + at),
    );
    assert.equal(harness.span(100).parent, 200);
    assert.equal(await harness.count("forced_out_spans", { reason: "held_spans" }), 15);
    harness.add({ id: 200, role: "client" });
    assert.equal(harness.span(200).traceId, harness.span(100).traceId);
  });

  test("when too many bytes are held the oldest go out", async () => {
    const harness = new Harness({ max_held_mib: 1 });
    const tail = stringAttribute("pad", "x".repeat(40_000));
    for (let at = 0; at < 40; at++) {
      harness.addChunk(encodeChunk([{ key: server(100 + at, 200 + at), tail }]), 1);
    }
    assert.ok((await harness.count("held_bytes")) <= 2 ** 20);
    assert.ok((await harness.count("forced_out_spans", { reason: "held_bytes" })) >= 14);
    harness.finish();
    assert.equal(harness.sentItems, 40);
    assert.equal(await harness.count("held_bytes"), 0);
  });

  test("no more sent spans are remembered than configured, nor for longer", async () => {
    const harness = new Harness({ max_remembered_spans: 5, remember: "10s" });
    for (let id = 1; id <= 20; id++) harness.add({ id, role: "client" });
    assert.equal(await harness.count("remembered_spans"), 5);
    harness.add(server(50, 20));
    assert.equal(harness.span(50).traceId, harness.span(20).traceId);
    harness.advance(10_000);
    assert.equal(await harness.count("remembered_spans"), 0);
    assert.equal(await harness.count("table_rows"), 0);
  });

  test("a thousand calls of one request, callees first, are one trace", () => {
    const harness = new Harness();
    const call = (id: number): TestKey => ({
      id,
      role: "client",
      triggerKind: id === 1000 ? 1 : 2,
      trigger: id === 1000 ? 9999 : id - 1,
      open: 1,
      flags: 8,
    });
    for (let id = 1999; id >= 1000; id--) harness.add(call(id));
    harness.add({ id: 9999, role: "server", counterpart: 1 });
    harness.advance(50);
    assert.equal(harness.sent.filter((span) => span.parent === 9999).length, 1000);
  });

  test("many spans over a long time leave nothing behind", async () => {
    const harness = new Harness({ wait_max: "1s", remember: "1s" });
    for (let round = 0; round < 200; round++) {
      const first = 1 + round * 100;
      const spans = Array.from({ length: 40 }, (_, at) => ({
        key: server(first + at, first + 50),
      }));
      harness.addChunk(encodeChunk(spans, `service-${round}`), spans.length);
      if (round % 2 === 0) harness.add({ id: first + 50, role: "client" });
      harness.advance(20);
    }
    harness.advance(1000);
    harness.advance(1000);
    harness.advance(1000);
    assert.equal(harness.sentItems, 200 * 40 + 100);
    for (const gauge of ["table_rows", "known_traces", "held_bytes"]) {
      assert.equal(await harness.count(gauge), 0, gauge);
    }
  });
});

describe("the configuration", () => {
  test("has a default for everything, and refuses what it does not know", () => {
    const parsed = configSchema.parse({});
    assert.equal(parsed.wait_max, 30_000);
    assert.equal(parsed.reorder_wait, 50);
    assert.equal(factory.configSchema.safeParse({ wait: "1s" }).success, false);
    assert.equal(factory.configSchema.safeParse({ min_confidence: 1.5 }).success, false);
    assert.equal(factory.configSchema.safeParse({ wait_max: "-1s" }).success, false);
  });

  test("the defaults are within their own bounds", () => {
    assert.deepEqual(
      configSchema.parse({ wait_max: "30s", remember: "1m" }),
      configSchema.parse({}),
    );
  });
});
