// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { toOtlpJson } from "../pdata/json-encode.ts";
import { REQUESTS } from "../pdata/requests.ts";
import { zipkinSpansOf } from "./from-otlp.ts";
import { decodeZipkinProto, encodeZipkinProto } from "./protobuf.ts";
import type { ZipkinSpan } from "./span.ts";
import { tracesRequestOf } from "./to-otlp.ts";

const TRACE = "5af7183fb1d4cf5f0102030405060708";

function otlp(request: object): Uint8Array {
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(request));
  assert.ok(encoded.ok, JSON.stringify(encoded));
  return encoded.bytes;
}

const text = (key: string, stringValue: string): object => ({ key, value: { stringValue } });

const CLIENT = {
  resourceSpans: [
    {
      resource: { attributes: [text("service.name", "shop"), text("host.name", "h1")] },
      scopeSpans: [
        {
          scope: { name: "lib", version: "1.2" },
          spans: [
            {
              traceId: TRACE,
              spanId: "6b221d5bc9e6496c",
              parentSpanId: "5b4185666d50f68b",
              traceState: "a=b",
              name: "GET /x",
              kind: 3,
              startTimeUnixNano: "1700000000000001999",
              endTimeUnixNano: "1700000000250003999",
              attributes: [
                text("server.address", "backend"),
                text("network.peer.address", "10.1.2.3"),
                { key: "network.peer.port", value: { intValue: "8080" } },
                {
                  key: "list",
                  value: { arrayValue: { values: [{ intValue: "1" }, { stringValue: "b" }] } },
                },
              ],
              events: [
                { timeUnixNano: "1700000000100000000", name: "first" },
                {
                  timeUnixNano: "1700000000200000000",
                  name: "second",
                  attributes: [text("k", "v")],
                },
              ],
              status: { code: 2, message: "no route" },
            },
          ],
        },
      ],
    },
  ],
};

test("a span is written as OpenTelemetry maps it to Zipkin", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(zipkinSpansOf(otlp(CLIENT), "none"))), [
    {
      traceId: TRACE,
      id: "6b221d5bc9e6496c",
      parentId: "5b4185666d50f68b",
      kind: "CLIENT",
      name: "GET /x",
      timestamp: 1_700_000_000_000_001,
      duration: 250_002,
      localEndpoint: { serviceName: "shop" },
      remoteEndpoint: { serviceName: "backend", ipv4: "10.1.2.3", port: 8080 },
      annotations: [
        { timestamp: 1_700_000_000_100_000, value: "first" },
        { timestamp: 1_700_000_000_200_000, value: '"second":{"k":"v"}' },
      ],
      tags: {
        "host.name": "h1",
        "server.address": "backend",
        "network.peer.address": "10.1.2.3",
        "network.peer.port": "8080",
        list: '[1,"b"]',
        "otel.scope.name": "lib",
        "otel.scope.version": "1.2",
        "w3c.tracestate": "a=b",
        "otel.status_code": "ERROR",
        error: "no route",
      },
    },
  ]);
});

test("a span of internal kind, without service and time, keeps to Zipkin's rules", () => {
  const spans = [{ traceId: TRACE, spanId: "6b221d5bc9e6496c", kind: 1 }, { name: "no ids" }];
  const [span, ...others] = zipkinSpansOf(
    otlp({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
    "unknown",
  );
  assert.deepEqual(others, []);
  assert.equal(span?.kind, undefined);
  assert.equal(span?.duration, 1);
  assert.deepEqual(span?.localEndpoint, { serviceName: "unknown" });
});

const ZIPKIN: ZipkinSpan = {
  traceId: "b1d4cf5f01020304",
  id: "0a",
  parentId: "0b",
  kind: "SERVER",
  name: "get /",
  timestamp: 1_700_000_000_000_001,
  duration: 1_500,
  localEndpoint: { serviceName: "shop", ipv4: "10.0.0.1", port: 80 },
  remoteEndpoint: { serviceName: "browser", ipv6: "2001:db8::5" },
  annotations: [{ timestamp: 1_700_000_000_000_500, value: "cache miss" }],
  tags: { "http.method": "GET", retries: "3", cached: "true", error: "timeout" },
};

test("a span of Zipkin becomes one of OTLP", () => {
  const result = toOtlpJson(
    REQUESTS.traces.request,
    otlp(tracesRequestOf([ZIPKIN, { ...ZIPKIN, localEndpoint: undefined }], { parseTags: true })),
  );
  assert.ok(result.ok);
  const { resourceSpans } = JSON.parse(result.json);
  assert.equal(resourceSpans.length, 2, "a resource for each service");
  assert.deepEqual(resourceSpans[0].resource.attributes, [text("service.name", "shop")]);
  const [span] = resourceSpans[0].scopeSpans[0].spans;
  assert.equal(span.traceId, `${"0".repeat(16)}b1d4cf5f01020304`);
  assert.equal(span.spanId, "000000000000000a");
  assert.equal(span.parentSpanId, "000000000000000b");
  assert.equal(span.kind, 2);
  assert.equal(span.startTimeUnixNano, "1700000000000001000");
  assert.equal(span.endTimeUnixNano, "1700000000001501000");
  assert.deepEqual(span.status, { message: "timeout", code: 2 });
  assert.deepEqual(span.events, [{ timeUnixNano: "1700000000000500000", name: "cache miss" }]);
  assert.deepEqual(span.attributes, [
    text("http.method", "GET"),
    { key: "retries", value: { intValue: "3" } },
    { key: "cached", value: { boolValue: true } },
    text("error", "timeout"),
    text("network.local.address", "10.0.0.1"),
    { key: "network.local.port", value: { intValue: "80" } },
    text("peer.service", "browser"),
    text("network.peer.address", "2001:db8::5"),
  ]);
});

test("protobuf says what JSON says", () => {
  const full = { ...ZIPKIN, traceId: TRACE, id: "6b221d5bc9e6496c", parentId: "5b4185666d50f68b" };
  const decoded = decodeZipkinProto(encodeZipkinProto([full, full]));
  const plain = JSON.parse(JSON.stringify(decoded));
  assert.deepEqual(
    plain,
    [full, full].map((span) => ({ ...span, debug: false, shared: false })),
  );
  // zipkin.proto by hand: ListOfSpans {spans {trace_id: 8 bytes, id: 8 bytes, kind: SERVER}}.
  const ids = [0x0a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 8, 9, 9, 9, 9, 9, 9, 9, 9, 0x20, 2];
  const [span] = decodeZipkinProto(Uint8Array.from([0x0a, ids.length, ...ids])) ?? [];
  assert.equal(span?.traceId, "0102030405060708");
  assert.equal(span?.kind, "SERVER");
  assert.equal(decodeZipkinProto(Uint8Array.of(0x0a, 5, 1)), undefined);
});

test("what goes to Zipkin and comes back has lost nothing that it can hold", () => {
  const [there] = zipkinSpansOf(otlp(CLIENT), "none");
  assert.ok(there !== undefined);
  const [back] = zipkinSpansOf(otlp(tracesRequestOf([there], { parseTags: false })), "none");
  assert.deepEqual(back?.tags?.["otel.status_code"], "ERROR");
  assert.deepEqual(
    { ...back, tags: {} },
    { ...there, remoteEndpoint: back?.remoteEndpoint, tags: {} },
  );
  for (const [key, value] of Object.entries(there.tags ?? {}))
    assert.equal(back?.tags?.[key], value);
});
