// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { countItems } from "./count.ts";
import { fromOtlpJson } from "./json-decode.ts";
import { toOtlpJson } from "./json-encode.ts";
import { OTLP_SIGNALS, type OtlpSignal, REQUESTS } from "./requests.ts";
import { itemRange, splitBatch, splitItems, splitResources } from "./split.ts";
import { validateRequest } from "./validate.ts";

/** Resources with scopes with so many spans each; every span has its number as name. */
function traces(shape: readonly (readonly number[])[]): Uint8Array {
  let number = 0;
  const spans = (count: number): { name: string }[] =>
    Array.from({ length: count }, () => ({ name: `s${number++}` }));
  return body("traces", {
    resourceSpans: shape.map((scopes, index) => ({
      resource: { attributes: [{ key: "r", value: { intValue: index } }] },
      scopeSpans: scopes.map((count) => ({ spans: spans(count), schemaUrl: "scope" })),
      schemaUrl: "resource",
    })),
  });
}

function metrics(points: readonly number[]): Uint8Array {
  return body("metrics", {
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: points.map((count, index) => ({
              name: `m${index}`,
              sum: {
                isMonotonic: true,
                aggregationTemporality: 2,
                dataPoints: Array.from({ length: count }, (_, at) => ({ asInt: at })),
              },
            })),
          },
        ],
      },
    ],
  });
}

function body(signal: OtlpSignal, json: unknown): Uint8Array {
  const result = fromOtlpJson(REQUESTS[signal].request, JSON.stringify(json));
  assert.ok(result.ok);
  return result.bytes;
}

function jsonOf(signal: OtlpSignal, bytes: Uint8Array): string {
  const result = toOtlpJson(REQUESTS[signal].request, bytes);
  assert.ok(result.ok);
  return result.json;
}

function namesIn(chunks: readonly Uint8Array[]): string[] {
  return [...jsonOf("traces", Buffer.concat(chunks)).matchAll(/"name":"(s\d+)"/g)].map(
    (match) => match[1] ?? "",
  );
}

test("counting agrees with the number of items in the library's messages", () => {
  for (const [signal, key] of [
    ["traces", '"endTimeUnixNano"'],
    ["logs", '"observedTimeUnixNano"'],
  ] as const) {
    const file = new URL(`./goldens/${signal}`, import.meta.url).pathname;
    const items = readFileSync(`${file}.json`, "utf8").split(key).length - 1;
    assert.equal(countItems(signal, readFileSync(`${file}.bin`)), items);
    assert.equal(validateRequest(signal, readFileSync(`${file}.bin`)), items);
  }
  assert.equal(countItems("metrics", metrics([2, 0, 3])), 5);
  assert.equal(validateRequest("metrics", metrics([2, 0, 3])), 5);
});

test("parts hold every span once, in order, and never more than asked", () => {
  const shape = fc.array(fc.array(fc.nat(5), { maxLength: 4 }), { maxLength: 4 });
  fc.assert(
    fc.property(fc.array(shape, { maxLength: 3 }), fc.integer({ min: 1, max: 9 }), (all, max) => {
      const chunks = all.map(traces).filter((chunk) => countItems("traces", chunk) > 0);
      const parts = splitItems("traces", chunks, max);
      assert.deepEqual(
        parts.flatMap((part) => namesIn(part.chunks)),
        chunks.flatMap((chunk) => namesIn([chunk])),
      );
      parts.forEach((part, index) => {
        const joined = Buffer.concat(part.chunks);
        assert.equal(validateRequest("traces", joined), part.items);
        assert.equal(joined.length, part.bytes);
        if (index < parts.length - 1) assert.equal(part.items, max);
        else assert.ok(part.items <= max);
      });
    }),
  );
});

test("a cut resource and scope keep their other fields in both parts", () => {
  const [first, second] = splitItems("traces", [traces([[3]])], 2);
  const expected = (names: readonly string[]): string =>
    `{"resourceSpans":[{"resource":{"attributes":[{"key":"r","value":{"intValue":"0"}}]},"scopeSpans":[{"spans":[${names
      .map((name) => `{"name":"${name}"}`)
      .join(",")}],"schemaUrl":"scope"}],"schemaUrl":"resource"}]}`;
  assert.equal(jsonOf("traces", Buffer.concat(first?.chunks ?? [])), expected(["s0", "s1"]));
  assert.equal(jsonOf("traces", Buffer.concat(second?.chunks ?? [])), expected(["s2"]));
});

test("a metric is cut between its points and keeps its name and temporality", () => {
  const parts = splitItems("metrics", [metrics([1, 3])], 2);
  const texts = parts.map((part) => jsonOf("metrics", Buffer.concat(part.chunks)));
  assert.deepEqual(
    parts.map((part) => part.items),
    [2, 2],
  );
  assert.match(
    texts[1] ?? "",
    /"name":"m1","sum":\{"dataPoints":\[\{"asInt":"1"\},\{"asInt":"2"\}\],"aggregationTemporality":2,"isMonotonic":true\}/,
  );
  assert.doesNotMatch(texts[1] ?? "", /m0/);
});

test("chunks that need no cut stay the same bytes", () => {
  const chunks = [traces([[1]]), traces([[2]])];
  const [part] = splitItems("traces", chunks, 3);
  assert.equal(part?.chunks[0], chunks[0]);
  assert.equal(part?.chunks[1], chunks[1]);
});

test("the range of all items is the chunk itself", () => {
  for (const signal of OTLP_SIGNALS) {
    const bin = readFileSync(new URL(`./goldens/${signal}.bin`, import.meta.url));
    const items = countItems(signal, bin);
    assert.equal(
      jsonOf(signal, itemRange(signal, bin, { from: 0, to: items })),
      jsonOf(signal, bin),
    );
  }
});

test("resources become bodies of their own", () => {
  const parts = splitResources(traces([[1], [2, 1]]));
  assert.deepEqual(
    parts.map((part) => countItems("traces", part)),
    [1, 3],
  );
});

test("malformed bytes are counted as malformed and splitting them does not throw", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      fc.constantFrom(...OTLP_SIGNALS),
      (bytes, signal) => {
        const items = countItems(signal, bytes);
        if (items < 0) assert.ok(validateRequest(signal, bytes) < 0);
        splitItems(signal, [bytes], 2);
      },
    ),
    { numRuns: 3000 },
  );
});

test("a batch is cut into its first spans and the rest", () => {
  const chunks = [traces([[2]]), traces([[2, 3]]), traces([[1]])];
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const batch = { signal: "traces" as const, chunks, items: 8, bytes };
  for (const items of [1, 2, 3, 7]) {
    const [head, rest] = splitBatch(batch, items);
    assert.ok(rest !== undefined);
    assert.deepEqual([head.items, rest.items], [items, 8 - items]);
    assert.equal(validateRequest("traces", Buffer.concat(head.chunks)), items);
    assert.equal(validateRequest("traces", Buffer.concat(rest.chunks)), 8 - items);
    assert.equal(Buffer.concat(rest.chunks).length, rest.bytes);
  }
  assert.deepEqual(splitBatch(batch, 8), [batch, undefined]);
});
