// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Harness } from "./testing/harness.ts";
import {
  attribute,
  bytesField,
  encodeChunk,
  encodeSpan,
  encodeSpans,
  id8,
  id16,
  keyBytes,
  restOf,
  stringAttribute,
  type TestSpan,
} from "./testing/otlp.ts";

const ROOT = { id: 7, role: "client" } as const;

describe("a stitched span", () => {
  test("is its ids, then its own bytes without the key, then the evidence", () => {
    const harness = new Harness();
    const span: TestSpan = { key: { id: 8, role: "server", counterpart: 7, flags: 1 } };
    harness.addChunk(encodeChunk([{ key: ROOT }, span]), 2);
    const root = harness.span(7);
    const traceId = [...Buffer.from(root.traceId, "hex")];
    assert.deepEqual(
      [...root.bytes],
      [...bytesField(1, traceId), ...bytesField(2, id8(7)), ...restOf({ key: ROOT })],
    );
    const evidence = [
      ...stringAttribute("stitch.evidence", "byte_name"),
      // 1.0 as IEEE 754 double, little-endian.
      ...attribute("stitch.confidence", [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
    ];
    assert.deepEqual(
      [...harness.span(8).bytes],
      [
        ...bytesField(1, traceId),
        ...bytesField(2, id8(8)),
        ...bytesField(4, id8(7)),
        ...restOf(span),
        ...evidence,
      ],
    );
  });

  test("keeps its resource and scope, and spans of one resource are joined", () => {
    const harness = new Harness();
    const server = (id: number) => ({ id, role: "server", counterpart: 7, flags: 1 }) as const;
    harness.addChunk(encodeChunk([{ key: server(1) }], "b"), 1);
    harness.addChunk(encodeChunk([{ key: server(2) }], "c"), 1);
    harness.addChunk(encodeChunk([{ key: server(3) }], "b"), 1);
    harness.addChunk(encodeChunk([{ key: ROOT }], "a"), 1);
    assert.equal(harness.batches.length, 1);
    const [batch] = harness.batches;
    assert.equal(batch?.items, 4);
    const expected = ["a", "b", "c"];
    const bytes = Buffer.concat(batch?.chunks ?? []);
    for (const name of expected)
      assert.equal(bytes.toString("latin1").split(`\x01${name}`).length, 2);
    assert.deepEqual(
      new Map(harness.sent.map((span) => [span.spanId, span.service])),
      new Map([
        [7, "a"],
        [1, "b"],
        [3, "b"],
        [2, "c"],
      ]),
    );
  });

  test("has one trace id even when ids stood behind other fields", () => {
    const harness = new Harness();
    const tail = [...bytesField(1, id16(3)), ...bytesField(2, id8(3)), ...bytesField(4, id8(3))];
    harness.addChunk(encodeSpans([encodeSpan({ key: ROOT, tail })]), 1);
    const span = harness.span(7);
    const traceId = [...Buffer.from(span.traceId, "hex")];
    assert.deepEqual(
      [...span.bytes],
      [...bytesField(1, traceId), ...bytesField(2, id8(7)), ...restOf({})],
    );
  });

  test("may be larger than a batch, and batches hold at most 512 spans or 1 MiB", () => {
    const harness = new Harness();
    const big = { key: ROOT, tail: stringAttribute("big", "x".repeat(1_100_000)) };
    harness.addChunk(encodeChunk([big]), 1);
    assert.equal(harness.batches.length, 1);
    const tail = stringAttribute("pad", "x".repeat(3000));
    const some = Array.from({ length: 700 }, (_, at) => ({
      key: { id: 100 + at, role: "client" } as const,
      tail: at < 400 ? tail : [],
    }));
    harness.addChunk(encodeChunk(some), some.length);
    const batches = harness.batches.slice(1);
    assert.equal(
      batches.reduce((sum, batch) => sum + batch.items, 0),
      700,
    );
    for (const batch of batches) assert.ok(batch.items <= 512 && batch.bytes <= 2 ** 20 + 200);
  });

  test("that waits long is moved and comes out the same", () => {
    const moved = new Harness();
    const span: TestSpan = { key: { id: 8, role: "server", counterpart: 7, flags: 1 } };
    moved.addChunk(encodeChunk([span]), 1);
    moved.advance(2000);
    moved.addChunk(encodeChunk([{ key: ROOT }]), 1);
    const prompt = new Harness();
    prompt.addChunk(encodeChunk([span]), 1);
    prompt.addChunk(encodeChunk([{ key: ROOT }]), 1);
    assert.deepEqual(moved.span(8).bytes, prompt.span(8).bytes);
  });
});

describe("other spans", () => {
  const foreign: TestSpan = { name: "sdk", tail: stringAttribute("stitch.keys", "no") };

  test("alone in a batch: the very batch goes on, with its receipt", () => {
    const harness = new Harness();
    const chunk = encodeChunk([foreign]);
    const passed = harness.addChunk(chunk, 1);
    assert.equal(passed?.chunks[0], chunk);
    assert.equal(harness.stitch.held, 0);
  });

  test("beside ours go on at once, in order, their bytes unchanged", async () => {
    const harness = new Harness();
    const named = (name: string): TestSpan => ({ ...foreign, name });
    const held: TestSpan = { key: { id: 8, role: "server", counterpart: 7, flags: 1 } };
    const chunk = encodeChunk([named("one"), held, named("two"), held, named("three")]);
    const passed = harness.addChunk(chunk, 5);
    const expected = encodeChunk([named("one"), named("two"), named("three")]);
    assert.deepEqual(passed?.chunks, [expected]);
    assert.equal(passed?.items, 3);
    assert.equal(passed?.bytes, expected.length);
    assert.equal(await harness.count("passed_spans"), 3);
  });

  test("an emptied resource does not stay behind", () => {
    const harness = new Harness();
    const chunk = Buffer.concat([encodeChunk([{ key: ROOT }], "ours"), encodeChunk([foreign])]);
    const passed = harness.addChunk(chunk, 2);
    assert.deepEqual(
      passed?.chunks.map((bytes) => [...bytes]),
      [[...encodeChunk([foreign])]],
    );
  });
});

describe("malformed input", () => {
  test("a span with a broken key passes through unchanged and is counted", async () => {
    const broken: readonly number[][] = [
      bytesField(7, keyBytes({ ...ROOT, version: 2 })),
      bytesField(7, keyBytes(ROOT).slice(1)),
      bytesField(7, keyBytes({ ...ROOT, id: 0 })),
      bytesField(1, [0x61]),
      [],
    ];
    const harness = new Harness();
    for (const value of broken) {
      const chunk = encodeSpans([[...attribute("stitch.key", value), ...restOf({})]]);
      assert.equal(harness.addChunk(chunk, 1)?.chunks[0], chunk);
    }
    assert.equal(await harness.count("broken_keys"), broken.length);
    assert.equal(harness.sent.length, 0);
  });

  test("a chunk that is not OTLP passes through unchanged and is counted", async () => {
    const harness = new Harness();
    const whole = encodeChunk([{ key: ROOT }]);
    const chunk = whole.subarray(0, whole.length - 1);
    assert.equal(harness.addChunk(chunk, 1)?.chunks[0], chunk);
    assert.equal(await harness.count("malformed_chunks"), 1);
    assert.equal(harness.stitch.held, 0);
  });

  test("any bytes and any damage: no throw, and no span is lost", () => {
    const whole = encodeChunk([{ key: ROOT }, { name: "sdk" }, { key: { id: 9, role: "server" } }]);
    const damaged = fc
      .tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length))
      .map(([at, value, end]) => {
        const bytes = whole.slice(0, end);
        if (at < bytes.length) bytes[at] = value;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (chunk) => {
        const harness = new Harness();
        const passed = harness.addChunk(chunk, 3);
        harness.finish();
        assert.equal((passed?.items ?? 0) + harness.sentItems, 3);
        assert.equal(harness.stitch.held, 0);
      }),
      { numRuns: 500 },
    );
  });
});
