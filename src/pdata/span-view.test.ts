// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { fromOtlpJson } from "./json-decode.ts";
import { REQUESTS } from "./requests.ts";
import { attributesOf, forEachSpan, textIn } from "./span-view.ts";

const JSON_TEXT = `{"resourceSpans":[{"resource":{"attributes":[
  {"key":"service.name","value":{"stringValue":"shop"}}]},
  "scopeSpans":[{"scope":{"name":"s"},"spans":[
   {"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"1112131415161718",
    "parentSpanId":"2122232425262728","name":"GET /","kind":2,
    "startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000501",
    "attributes":[
     {"key":"i","value":{"intValue":"-7"}},{"key":"l","value":{"intValue":"9223372036854775807"}},
     {"key":"d","value":{"doubleValue":0.5}},{"key":"b","value":{"boolValue":true}},
     {"key":"a","value":{"arrayValue":{"values":[{"stringValue":"x"},{}]}}},
     {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}}],
    "events":[{"name":"e"}],"status":{"code":2,"message":"no"}},
   {"name":"root"}]}]}]}`;

test("a span is read in place with its ids, times, status and attributes", () => {
  const result = fromOtlpJson(REQUESTS.traces.request, JSON_TEXT);
  assert.ok(result.ok);
  const seen: unknown[] = [];
  forEachSpan(result.bytes, (span, { resource }) => {
    seen.push({
      service: attributesOf(resource, 1).get("service.name"),
      ids: [span.traceId, span.spanId, span.parentSpanId],
      name: span.name,
      kind: span.kind,
      durationNs: span.durationNs,
      status: [span.statusCode, span.statusMessage],
      events: span.events,
      attributes: [...span.attributes().values()],
    });
  });
  assert.deepEqual(seen, [
    {
      service: "shop",
      ids: ["0102030405060708090a0b0c0d0e0f10", "1112131415161718", "2122232425262728"],
      name: "GET /",
      kind: 2,
      durationNs: 500,
      status: [2, "no"],
      events: 1,
      attributes: [-7, 9223372036854775807n, 0.5, true, ["x", undefined], new Map([["k", "v"]])],
    },
    {
      service: "shop",
      ids: ["", "", ""],
      name: "root",
      kind: 0,
      durationNs: 0,
      status: [0, ""],
      events: 0,
      attributes: [],
    },
  ]);
});

test("spans of cut and changed bytes are read without a throw", () => {
  const bin = readFileSync(new URL("./goldens/traces.bin", import.meta.url));
  const change = fc.record({
    cut: fc.nat(bin.length),
    at: fc.nat(bin.length - 1),
    byte: fc.nat(255),
  });
  fc.assert(
    fc.property(change, ({ cut, at, byte }) => {
      const mutated = Uint8Array.from(bin.subarray(0, cut));
      if (at < cut) mutated[at] = byte;
      forEachSpan(mutated, (span, { resource, scope }) => {
        attributesOf(resource, 1);
        textIn(scope, 1);
        span.attributes();
        void [span.traceId, span.name, span.durationNs, span.startTimeNs, span.events];
        void [span.statusCode, span.statusMessage];
      });
    }),
    { numRuns: 3000 },
  );
});
