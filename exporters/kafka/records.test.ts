// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { forEachSpan } from "../../src/pdata/span-view.ts";
import { configSchema } from "./config.ts";
import { RecordMaker } from "./records.ts";

function batch(...spans: readonly object[]): Batch {
  const body = { resourceSpans: [{ scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

function span(digit: string, kind: number, name = "GET"): object {
  return { traceId: digit.repeat(32), spanId: digit.repeat(16), kind, name };
}

function make(options: object, given: Batch) {
  return new RecordMaker("traces", configSchema.parse(options)).make(given);
}

function namesOf(value: Buffer): string[] {
  const names: string[] = [];
  forEachSpan(new Uint8Array(value), (one) => names.push(`${one.traceId[0]}${one.name}`));
  return names;
}

test("a batch is one record, as protobuf or as JSON", () => {
  const given = batch(span("1", 2), span("2", 3));
  const [record, ...more] = make({ traces: { topic: "t" } }, given);
  assert.deepEqual([record?.topic, record?.key, more.length], ["t", undefined, 0]);
  assert.deepEqual(record?.value, Buffer.concat(given.chunks));
  const [json] = make({ traces: { encoding: "otlp_json" } }, given);
  assert.equal(json?.topic, "otlp_spans");
  const { resourceSpans } = JSON.parse(json?.value.toString() ?? "");
  assert.equal(resourceSpans[0].scopeSpans[0].spans[1].traceId, "2".repeat(32));
});

test("by trace there is one record a trace, its id is the key, and joints go to their topic", () => {
  const options = { partition_traces_by_id: true, traces: { stitch_topic: "joints" } };
  const records = make(options, batch(span("1", 2), span("2", 3), span("1", 3, "POST")));
  assert.deepEqual(
    records.map(({ topic, key, value }) => [topic, key?.toString(), namesOf(value)]),
    [
      ["otlp_spans", "1".repeat(32), ["1GET", "1POST"]],
      ["otlp_spans", "2".repeat(32), ["2GET"]],
      // Joints have no names.
      ["joints", undefined, ["2", "1"]],
    ],
  );
});

test("a batch that is too large is cut, a span that is too large is refused for good", () => {
  const spans = Array.from({ length: 40 }, (_, n) => span(String((n % 9) + 1), 2, "x".repeat(50)));
  const options = { producer: { max_message_bytes: 1000 } };
  const records = make(options, batch(...spans));
  assert.ok(records.length > 3);
  assert.ok(records.every(({ value }) => value.length <= 1000));
  assert.equal(records.flatMap(({ value }) => namesOf(value)).length, 40);
  assert.throws(() => make(options, batch(span("1", 2, "x".repeat(2000)))), {
    code: "BS_EXPORT",
    retryable: false,
  });
});

test("bytes that are no request are refused for good", () => {
  const bytes = Uint8Array.of(0x0a, 0x05, 0x12);
  const given: Batch = { signal: "traces", chunks: [bytes], items: 1, bytes: 3 };
  assert.throws(() => make({ partition_traces_by_id: true }, given), { retryable: false });
});

test("names of the configuration are the Collector's", () => {
  const config = configSchema.parse({
    ...{ brokers: ["a:9092"], protocol_version: "2.1.0", metadata: { refresh_interval: "10m" } },
    auth: { sasl: { username: "u", password: "p", mechanism: "SCRAM-SHA-512" } },
    producer: { compression: "zstd", required_acks: -1, flush_max_messages: 100 },
  });
  assert.equal(JSON.stringify(config.auth).includes('"p"'), false);
  assert.equal(config.metrics.topic, "otlp_metrics");
  assert.equal(configSchema.safeParse({ topic: "x" }).success, false);
});
