// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

function create(signal: Signal, options: object) {
  const { telemetry } = createMemoryTelemetry();
  return factory.create(
    { id: "a", telemetry, buildInfo: { version: "0" }, signal, pipelineId: signal },
    configSchema.parse(options),
  );
}

/** The processor's output for one chunk. */
function runBytes(signal: OtlpSignal, options: object, chunk: Uint8Array): Uint8Array {
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  create(signal, options)
    .process(input)
    .subscribe((batch) => out.push(batch));
  input.next({ signal, chunks: [chunk], items: 1, bytes: chunk.length });
  const [batch] = out;
  assert.ok(batch !== undefined);
  assert.equal(
    batch.bytes,
    batch.chunks.reduce((sum, part) => sum + part.length, 0),
  );
  return batch.chunks[0] ?? new Uint8Array();
}

function run(signal: OtlpSignal, options: object, json: object): unknown {
  const { request } = REQUESTS[signal];
  const encoded = fromOtlpJson(request, JSON.stringify(json));
  assert.ok(encoded.ok);
  const result = toOtlpJson(request, runBytes(signal, options, encoded.bytes));
  assert.ok(result.ok);
  return JSON.parse(result.json);
}

const attribute = (key: string, value: object) => ({ key, value });
const text = (key: string, stringValue: string) => attribute(key, { stringValue });

function traces(attributes: object[], more: object = {}) {
  const spans = [{ name: "GET /", kind: 2, attributes, ...more }];
  const resource = { attributes: [text("service.name", "shop")] };
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "lib" }, spans }] }] };
}

function onSpan(actions: object[], attributes: object[]): unknown {
  return run("traces", { actions }, traces(attributes));
}

test("insert, update and upsert by value keep the order and act only where they should", () => {
  assert.deepEqual(
    onSpan(
      [
        { key: "a", action: "insert", value: "no" },
        { key: "b", action: "insert", value: 2 },
        { key: "a", action: "update", value: true },
        { key: "c", action: "update", value: "no" },
        { key: "d", action: "UPSERT", value: 1.5 },
        { key: "e", action: "upsert", value: ["x", 1] },
      ],
      [text("z", "0"), text("a", "1"), text("y", "2")],
    ),
    traces([
      text("z", "0"),
      attribute("a", { boolValue: true }),
      text("y", "2"),
      attribute("b", { intValue: "2" }),
      attribute("d", { doubleValue: 1.5 }),
      attribute("e", { arrayValue: { values: [{ stringValue: "x" }, { intValue: "1" }] } }),
    ]),
  );
});

test("a value from another attribute is copied with its type, or the default is used", () => {
  assert.deepEqual(
    onSpan(
      [
        { key: "copy", action: "insert", from_attribute: "n" },
        { key: "none", action: "insert", from_attribute: "missing" },
        { key: "other", action: "insert", from_attribute: "missing", default_value: "d" },
      ],
      [attribute("n", { intValue: "7" })],
    ),
    traces([
      attribute("n", { intValue: "7" }),
      attribute("copy", { intValue: "7" }),
      text("other", "d"),
    ]),
  );
});

test("delete and hash act on a key and on keys that match", () => {
  const sha = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
  const seven = Buffer.of(7, 0, 0, 0, 0, 0, 0, 0);
  const two = Buffer.alloc(8);
  two.writeDoubleLE(2);
  assert.deepEqual(
    onSpan(
      [
        { key: "gone", action: "delete", pattern: "^http\\." },
        { key: "email", action: "hash", pattern: "^id" },
        { key: "late", action: "delete" },
      ],
      [
        text("gone", "x"),
        text("http.a", "x"),
        text("xhttp.a", "x"),
        text("email", "me@x"),
        attribute("id1", { intValue: "7" }),
        attribute("id2", { doubleValue: 2 }),
        attribute("id3", { boolValue: true }),
        attribute("id4", { arrayValue: { values: [] } }),
      ],
    ),
    traces([
      text("xhttp.a", "x"),
      text("email", sha("me@x")),
      text("id1", sha(seven)),
      text("id2", sha(two)),
      text("id3", sha(Buffer.of(1))),
      text("id4", ""),
    ]),
  );
});

test("extract writes the groups of a text, and nothing when it does not match", () => {
  const pattern = "^(?P<scheme>\\w+)://(?P<host>[^/]+)(?P<rest>/never)?";
  assert.deepEqual(
    onSpan(
      [
        { key: "url", action: "extract", pattern },
        { key: "n", action: "extract", pattern },
      ],
      [text("url", "http://shop/x"), attribute("n", { intValue: "1" }), text("host", "old")],
    ),
    traces([
      text("url", "http://shop/x"),
      attribute("n", { intValue: "1" }),
      text("host", "shop"),
      text("scheme", "http"),
      text("rest", ""),
    ]),
  );
});

test("convert goes between kinds and leaves what cannot be converted", () => {
  const convert = (key: string, converted_type: string) => ({
    key,
    action: "convert",
    converted_type,
  });
  assert.deepEqual(
    onSpan(
      [
        convert("a", "int"),
        convert("b", "int"),
        convert("c", "double"),
        convert("d", "string"),
        convert("e", "int"),
        convert("f", "string"),
      ],
      [
        text("a", "-9007199254740993"),
        text("b", "4x"),
        text("c", "1e3"),
        attribute("d", { boolValue: false }),
        attribute("e", { doubleValue: -3.9 }),
        attribute("f", { arrayValue: { values: [{ intValue: "1" }, { stringValue: "x" }] } }),
      ],
    ),
    traces([
      attribute("a", { intValue: "-9007199254740993" }),
      text("b", "4x"),
      attribute("c", { doubleValue: 1000 }),
      text("d", "false"),
      attribute("e", { intValue: "-3" }),
      text("f", '[1,"x"]'),
    ]),
  );
});

test("data points of every kind of metric and log records are changed, too", () => {
  const actions = [{ key: "a", action: "upsert", value: "1" }];
  const point = (attributes: object[]) => ({ dataPoints: [{ timeUnixNano: "5", attributes }] });
  const metrics = (attributes: object[]) => ({
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: [
              { name: "g", gauge: point(attributes) },
              { name: "s", sum: { ...point(attributes), aggregationTemporality: 2 } },
              { name: "h", histogram: { ...point(attributes), aggregationTemporality: 1 } },
              { name: "e", exponentialHistogram: point(attributes) },
              { name: "q", summary: point(attributes) },
            ],
          },
        ],
      },
    ],
  });
  assert.deepEqual(
    run("metrics", { actions }, metrics([text("b", "2")])),
    run(
      "metrics",
      { actions: [{ key: "x", action: "delete" }] },
      metrics([text("b", "2"), text("a", "1")]),
    ),
  );
  const logs = (attributes: object[]) => ({
    resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: "b" }, attributes }] }] }],
  });
  assert.deepEqual(run("logs", { actions }, logs([])), logs([text("a", "1")]));
});

test("fields that we do not know survive, and what is not touched is the same chunk", () => {
  // Unknown field 100 (varint) in the request, the resource's data, the span and the KeyValue.
  const unknown = [0xa0, 0x06, 0x2a];
  const field = (tag: number, ...parts: number[][]) => {
    const body = parts.flat();
    return [tag, body.length, ...body];
  };
  const key = field(0x0a, [0x61]);
  const span = (value: number[]) =>
    field(0x12, unknown, field(0x4a, key, unknown, value), field(0x2a, [0x6e]), unknown);
  const request = (value: number[]) =>
    Uint8Array.from([...field(0x0a, unknown, field(0x12, span(value), unknown)), ...unknown]);
  const before = request(field(0x12, [0x18, 1]));
  const update = { actions: [{ key: "a", action: "update", value: 2 }] };
  assert.deepEqual(runBytes("traces", update, before), request(field(0x12, [0x18, 2])));
  const other = { actions: [{ key: "b", action: "update", value: 2 }] };
  assert.equal(runBytes("traces", other, before), before);
});

test("include and exclude decide which items are changed", () => {
  const actions = [{ key: "hit", action: "insert", value: true }];
  const isHit = (match: object): boolean =>
    JSON.stringify(run("traces", { actions, ...match }, traces([text("a", "1")]))).includes("hit");
  const strict = (more: object) => ({ match_type: "strict", ...more });
  const regexp = (more: object) => ({ match_type: "regexp", ...more });
  assert.equal(isHit({ include: strict({ services: ["shop"] }) }), true);
  assert.equal(isHit({ include: strict({ services: ["sho"] }) }), false);
  assert.equal(isHit({ include: regexp({ services: ["^sho"] }) }), true);
  assert.equal(isHit({ include: strict({ span_kinds: ["SPAN_KIND_SERVER"] }) }), true);
  assert.equal(isHit({ include: strict({ span_names: ["x", "GET /"] }) }), true);
  assert.equal(isHit({ include: strict({ libraries: [{ name: "lib", version: "1" }] }) }), false);
  assert.equal(isHit({ include: strict({ libraries: [{ name: "lib" }] }) }), true);
  assert.equal(isHit({ include: strict({ attributes: [{ key: "a" }] }) }), true);
  assert.equal(isHit({ include: strict({ attributes: [{ key: "a", value: 1 }] }) }), false);
  assert.equal(isHit({ exclude: strict({ attributes: [{ key: "a", value: "1" }] }) }), false);
  const both = {
    include: strict({ resources: [{ key: "service.name", value: "shop" }] }),
    exclude: regexp({ span_names: ["POST"] }),
  };
  assert.equal(isHit(both), true);
});

test("log records are matched by body and severity, metrics by name", () => {
  const actions = [{ key: "hit", action: "insert", value: true }];
  const logs = {
    resourceLogs: [
      { scopeLogs: [{ logRecords: [{ severityNumber: 9, body: { stringValue: "up" } }] }] },
    ],
  };
  const hits = (signal: OtlpSignal, include: object, json: object): boolean =>
    JSON.stringify(run(signal, { actions, include }, json)).includes("hit");
  assert.equal(hits("logs", { match_type: "regexp", log_bodies: ["^u"] }, logs), true);
  const least = (min: number) => ({ match_type: "strict", log_severity_number: { min } });
  assert.equal(hits("logs", least(9), logs), true);
  assert.equal(hits("logs", least(10), logs), false);
  const metrics = {
    resourceMetrics: [
      { scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: "1" }] } }] }] },
    ],
  };
  assert.equal(hits("metrics", { match_type: "strict", metric_names: ["m"] }, metrics), true);
  assert.equal(hits("metrics", { match_type: "strict", metric_names: ["n"] }, metrics), false);
});

test("mistakes are refused in the Collector's words", () => {
  const problemOf = (options: object): string | undefined =>
    configSchema.safeParse(options).error?.issues[0]?.message;
  const action = (body: object) => problemOf({ actions: [body] });
  assert.match(problemOf({}) ?? "", /^missing required field "actions"/);
  assert.equal(
    action({ action: "insert", value: 1 }),
    'error creating AttrProc due to missing required field "key" at the 0-th actions',
  );
  assert.equal(
    action({ key: "a", action: "invert" }),
    'error creating AttrProc due to unsupported action "invert" at the 0-th actions',
  );
  assert.equal(
    action({ key: "a", action: "insert" }),
    'error creating AttrProc. Either field "value", "from_attribute" or "from_context" setting must be specified for 0-th action',
  );
  assert.equal(
    action({ key: "a", action: "extract", pattern: "(x)" }),
    'error creating AttrProc. Field "pattern" contains at least one unnamed matcher group at the 0-th actions',
  );
  assert.equal(
    action({ key: "a", action: "convert", converted_type: "bool" }),
    'error creating AttrProc due to invalid value "bool" in field "converted_type" for action "convert" at the 0-th action',
  );
  assert.match(
    action({ key: "a", action: "insert", from_context: "x" }) ?? "",
    /^from_context is not supported/,
  );
  assert.throws(
    () =>
      create("traces", {
        actions: [{ key: "a", action: "delete" }],
        include: { match_type: "strict", log_bodies: ["x"] },
      }),
    /log_bodies should not be specified for trace spans/,
  );
});
