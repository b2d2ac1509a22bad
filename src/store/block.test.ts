// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { REQUESTS } from "../pdata/requests.ts";
import { attributesOf, forEachSpan } from "../pdata/span-view.ts";
import { mayHaveAttributes, wantedHashes } from "./attribute-filter.ts";
import { type Block, BlockBuilder } from "./block-builder.ts";
import { BlockSpans } from "./block-spans.ts";
import { decodeDetails, encodeDetails } from "./detail-columns.ts";
import { NameTable } from "./name-table.ts";
import { decodeSearch, durationCodeOf, encodeSearch } from "./search-columns.ts";
import { body, testSpan } from "./test-support.ts";

function blockOf(chunks: readonly Uint8Array[]): Block {
  const builder = new BlockBuilder(new NameTable());
  for (const chunk of chunks) builder.add(chunk);
  return builder.take();
}

function requestOf(spans: readonly object[], resource: readonly object[]): Uint8Array {
  const resourceSpans = [{ resource: { attributes: resource }, scopeSpans: [{ spans }] }];
  const result = fromOtlpJson(REQUESTS.traces.request, JSON.stringify({ resourceSpans }));
  assert.ok(result.ok, JSON.stringify(result));
  return result.bytes;
}

const scalar: fc.Arbitrary<object> = fc.oneof(
  fc.string({ maxLength: 200, unit: "binary" }).map((stringValue) => ({ stringValue })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => ({ intValue: String(n) })),
  fc.integer({ min: -5, max: 300 }).map((n) => ({ intValue: String(n) })),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((doubleValue) => ({ doubleValue })),
  fc.boolean().map((boolValue) => ({ boolValue })),
  fc.base64String({ maxLength: 20 }).map((bytesValue) => ({ bytesValue })),
  fc.constant({}),
);
const value = fc.oneof(
  { weight: 5, arbitrary: scalar },
  {
    weight: 1,
    arbitrary: fc.array(scalar, { maxLength: 3 }).map((values) => ({ arrayValue: { values } })),
  },
);
const attribute = fc.record({ key: fc.string({ maxLength: 12, unit: "binary" }), value });
const span = fc.record({
  traceId: fc.constantFrom("", "0af7651916cd43dd8448eb211c80319c", "00".repeat(16)),
  spanId: fc.constantFrom("", "00f067aa0ba902b7", "ffffffffffffffff"),
  parentSpanId: fc.constantFrom("", "00f067aa0ba902b8"),
  name: fc.string({ maxLength: 5 }),
  attributes: fc.array(attribute, { maxLength: 6 }),
});
const request = fc
  .record({
    spans: fc.array(span, { minLength: 1, maxLength: 8 }),
    resource: fc.array(attribute, { maxLength: 4 }),
  })
  .map(({ spans, resource }) => requestOf(spans, resource));

test("no attribute of a block is ever said to be missing, whatever its key, type and value", () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 3 }), (chunks) => {
      const { attributes } = blockOf(chunks);
      const ask = (key: string, text?: string): boolean =>
        mayHaveAttributes(attributes, wantedHashes([{ key, value: text }]));
      for (const chunk of chunks) {
        forEachSpan(chunk, (one, { resource }) => {
          for (const [key, actual] of [...one.attributes(), ...attributesOf(resource, 1)]) {
            if (actual === undefined) continue;
            assert.ok(ask(key), key);
            assert.ok(ask(key, String(actual)), `${key}=${String(actual)}`);
          }
        });
      }
    }),
    { numRuns: 200 },
  );
});

test("the filter tells most of what is not there, and says nothing of malformed attributes", () => {
  const spans = Array.from({ length: 500 }, (_, at) =>
    testSpan(at, {
      attributes: [
        { key: "path", value: { stringValue: `/orders/${at}` } },
        { key: "port", value: { intValue: String(30_000 + at) } },
        { key: "method", value: { stringValue: "GET" } },
      ],
    }),
  );
  const { attributes } = blockOf([body("front", spans)]);
  assert.ok(attributes.length <= 4_096, `${attributes.length} bytes`);
  const ask = (key: string, text?: string): boolean =>
    mayHaveAttributes(attributes, wantedHashes([{ key, value: text }]));
  assert.ok(ask("path", "/orders/7") && ask("port", "30007") && ask("service.name", "front"));
  const wrong = Array.from({ length: 1_000 }, (_, at) => ask("path", `/nothing/${at}`));
  assert.ok(wrong.filter(Boolean).length < 50);
  // A value before its key: allowed by protobuf, written by nobody.
  const odd = Buffer.from(
    "0a1412121210" + "4a0e1207" + "0a05" + "6f74686572" + "0a0378797a",
    "hex",
  );
  assert.equal(blockOf([odd]).attributes.length, 0);
});

test("spans are read as the bytes that arrived, with their ids in place", () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 3 }), (chunks) => {
      const block = blockOf(chunks);
      const { columns } = block;
      const details = decodeDetails(encodeDetails(columns), columns.count);
      const spans = new BlockSpans(Buffer.from(block.spans), details?.ids);
      const all = new Set(Array.from({ length: columns.count }, (_, row) => row));
      const read: string[] = [];
      spans.visit(all, ({ bytes, start, end }) => {
        read.push(Buffer.from(bytes.subarray(start, end)).toString("hex"));
      });
      const arrived: string[] = [];
      for (const chunk of chunks) {
        forEachSpan(chunk, ({ bytes, start, end }) => {
          arrived.push(Buffer.from(bytes.subarray(start, end)).toString("hex"));
        });
      }
      assert.deepEqual(read, arrived);
    }),
    { numRuns: 200 },
  );
});

test("what arrived is not changed by storing it: others have it, too", () => {
  const chunk = body("a", [testSpan(1), testSpan(2)]);
  const before = Buffer.from(chunk).toString("hex");
  blockOf([chunk]);
  assert.equal(Buffer.from(chunk).toString("hex"), before);
});

test("columns survive their encoding, with few and with many sets of names", () => {
  for (const names of [3, 400]) {
    const spans = Array.from({ length: 512 }, (_, at) =>
      testSpan(at, { name: `operation ${at % names}`, status: at % 7 === 0 ? { code: 2 } : {} }),
    );
    const { columns, attributes } = blockOf([body("a", spans)]);
    const section = encodeSearch(columns, { attributes, spansBytes: 77 });
    const decoded = decodeSearch(section);
    assert.ok(decoded !== undefined);
    assert.equal(decoded.spansBytes, 77);
    for (let row = 0; row < 512; row++) {
      const set: number = decoded.set[row] ?? -1;
      assert.equal(decoded.operation[set], columns.operation[row]);
      assert.equal(decoded.flags[set], columns.flags[row]);
    }
    assert.equal(decodeSearch(section.subarray(0, section.length - 1)), undefined);
    assert.deepEqual(Buffer.from(decoded.attributes), Buffer.from(attributes));
  }
});

test("the code of a duration grows with it and is right to a thousandth", () => {
  const ns = fc.double({ min: 0, max: 2 ** 62, noNaN: true });
  fc.assert(
    fc.property(ns, ns, (one, other) => {
      const [less, more] = one <= other ? [one, other] : [other, one];
      assert.ok(durationCodeOf(less) <= durationCodeOf(more));
      if (more > less * 1.002 && more >= less + 2) {
        assert.notEqual(durationCodeOf(less), durationCodeOf(more));
      }
    }),
  );
  assert.deepEqual(
    [-1, 0, 1, 1023, 1024, 2 ** 80].map(durationCodeOf),
    [0, 0, 1, 1023, 1024, 65_535],
  );
});
