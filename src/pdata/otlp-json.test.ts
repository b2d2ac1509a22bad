// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { fromOtlpJson } from "./json-decode.ts";
import { toOtlpJson } from "./json-encode.ts";
import { OTLP_SIGNALS, type OtlpSignal, REQUESTS } from "./requests.ts";
import { validateRequest } from "./validate.ts";

/** Made by the Python protobuf library from opentelemetry-proto 1.45 with every field set. */
function golden(signal: OtlpSignal): { readonly bin: Uint8Array; readonly json: string } {
  const folder = new URL("./goldens/", import.meta.url);
  return {
    bin: readFileSync(new URL(`${signal}.bin`, folder)),
    json: readFileSync(new URL(`${signal}.json`, folder), "utf8"),
  };
}

function encode(messageName: string, bytes: Uint8Array): string {
  const result = toOtlpJson(messageName, bytes);
  assert.ok(result.ok);
  return result.json;
}

function decode(messageName: string, json: string): Uint8Array {
  const result = fromOtlpJson(messageName, json);
  assert.ok(result.ok, result.ok ? "" : result.message);
  return result.bytes;
}

function refusal(messageName: string, json: string | Uint8Array): string {
  const result = fromOtlpJson(messageName, json);
  assert.ok(!result.ok);
  return result.message;
}

const TRACES = REQUESTS.traces.request;

for (const signal of OTLP_SIGNALS) {
  const { request } = REQUESTS[signal];

  test(`${signal} protobuf becomes the JSON of the protobuf library with hex ids`, () => {
    const { bin, json } = golden(signal);
    assert.deepEqual(JSON.parse(encode(request, bin)), JSON.parse(json));
  });

  test(`${signal} JSON becomes protobuf that says the same`, () => {
    const { bin, json } = golden(signal);
    const bytes = decode(request, json);
    assert.ok(validateRequest(signal, bytes) > 0);
    assert.equal(bytes.length, bin.length);
    assert.equal(encode(request, bytes), encode(request, bin));
  });

  test(`${signal} protobuf cut or changed anywhere never throws`, () => {
    const { bin } = golden(signal);
    const change = fc.record({
      cut: fc.nat(bin.length),
      at: fc.nat(bin.length - 1),
      byte: fc.nat(255),
    });
    fc.assert(
      fc.property(change, ({ cut, at, byte }) => {
        const mutated = Uint8Array.from(bin.subarray(0, cut));
        if (at < cut) mutated[at] = byte;
        const items = validateRequest(signal, mutated);
        const result = toOtlpJson(request, mutated);
        if (items >= 0) assert.ok(result.ok, "what validates can be converted");
        if (result.ok) JSON.parse(result.json);
      }),
      { numRuns: 2000 },
    );
  });
}

test("any bytes are refused or converted, never thrown at", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const signal of OTLP_SIGNALS) {
        validateRequest(signal, bytes);
        toOtlpJson(REQUESTS[signal].request, bytes);
      }
    }),
    { numRuns: 2000 },
  );
});

test("any JSON is refused or converted, never thrown at", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom("resourceSpans", "x"), (value, key) => {
      fromOtlpJson(TRACES, JSON.stringify(value));
      fromOtlpJson(TRACES, JSON.stringify({ [key]: value }));
    }),
  );
});

test("keys come in declaration order, defaults are left out, 64-bit integers are strings", () => {
  const json =
    '{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":' +
    '"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"GET","kind":2,' +
    '"startTimeUnixNano":"1","endTimeUnixNano":"18446744073709551615","attributes":[{"key":"n",' +
    '"value":{"intValue":"-1"}},{"key":"empty","value":{"stringValue":""}}],"status":{"code":2}}]}]}]}';
  assert.equal(encode(TRACES, decode(TRACES, json)), json);
});

test("unknown keys and nulls are ignored, proto names and enum names are read", () => {
  const json =
    '{"x":1,"resource_spans":[{"resource":null,"scopeSpans":[{"spans":[' +
    '{"trace_id":"","kind":"SPAN_KIND_SERVER","future":{"a":[1]},"startTimeUnixNano":12}]}]}]}';
  assert.equal(
    encode(TRACES, decode(TRACES, json)),
    '{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":2,"startTimeUnixNano":"12"}]}]}]}',
  );
});

test("an integer that a double cannot hold is read exactly", () => {
  const json =
    '{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":1700000000123456789}]}]}]}';
  assert.match(encode(TRACES, decode(TRACES, json)), /"1700000000123456789"/);
});

test("a wrong value is named by its path", () => {
  const inSpan = (span: string): string =>
    `{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`;
  const at = "resourceSpans[0].scopeSpans[0].spans[0]";
  assert.equal(
    refusal(TRACES, inSpan('{"traceId":"abc"}')),
    `${at}.traceId: expected 32 hex digits`,
  );
  assert.equal(
    refusal(TRACES, inSpan('{"spanId":"zz02030405060708"}')),
    `${at}.spanId: expected 16 hex digits`,
  );
  assert.equal(refusal(TRACES, inSpan('{"name":1}')), `${at}.name: expected a string`);
  assert.equal(refusal(TRACES, inSpan('{"kind":1.5}')), `${at}.kind: expected an integer`);
  assert.match(refusal(TRACES, inSpan('{"flags":4294967296}')), /flags: out of range/);
  assert.match(refusal(TRACES, inSpan('{"startTimeUnixNano":"-1"}')), /out of range/);
  assert.equal(refusal(TRACES, inSpan('{"attributes":{}}')), `${at}.attributes: expected an array`);
  assert.equal(refusal(TRACES, inSpan("7")), `${at}: expected an object`);
  assert.match(refusal(TRACES, "{"), /^not JSON/);
  assert.match(refusal(TRACES, Uint8Array.of(0x22, 0xff, 0x22)), /UTF-8/);
});

test("nesting is bounded in both directions", () => {
  const deep = (depth: number): string =>
    `{"resourceSpans":[{"resource":{"attributes":[{"value":${'{"arrayValue":{"values":['.repeat(depth)}{}${"]}}".repeat(depth)}}]}}]}`;
  assert.match(refusal(TRACES, deep(100_000)), /nested deeper than 100/);
  let bytes: Uint8Array = new Uint8Array(0);
  const wrap = (field: number, inner: Uint8Array): Uint8Array =>
    Buffer.concat([
      Buffer.from([field * 8 + 2, (inner.length & 0x7f) | 0x80, inner.length >> 7]),
      inner,
    ]);
  for (let depth = 0; depth < 200; depth++) bytes = wrap(1, wrap(5, bytes));
  const request = wrap(1, wrap(1, wrap(1, wrap(2, wrap(5, bytes)))));
  assert.ok(validateRequest("traces", request) < 0);
  assert.equal(toOtlpJson(TRACES, request).ok, false);
});

test("integers and bytes are kept wherever the output's buffer has to grow", () => {
  for (const count of [1, 100, 1_000, 5_000, 20_000, 20_001, 20_002, 20_003]) {
    const values = Array.from({ length: count }, (_, at) => [
      { intValue: String(at * 12_345) },
      { bytesValue: "AQID" },
    ]).flat();
    const attribute = { key: "k", value: { arrayValue: { values } } };
    const json = JSON.stringify({ resourceSpans: [{ resource: { attributes: [attribute] } }] });
    const encoded = fromOtlpJson(REQUESTS.traces.request, json);
    assert.ok(encoded.ok);
    const decoded = toOtlpJson(REQUESTS.traces.request, encoded.bytes);
    assert.ok(decoded.ok);
    assert.deepEqual(JSON.parse(decoded.json), JSON.parse(json));
  }
});
