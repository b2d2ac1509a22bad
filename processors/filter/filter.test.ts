// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { countItems } from "../../src/pdata/count.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

const memory = createMemoryTelemetry();

function runBatch(signal: OtlpSignal, options: object, json: object) {
  const processor = factory.create(
    {
      id: "filter",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signal,
      pipelineId: signal,
    },
    configSchema.parse(options),
  );
  const encoded = fromOtlpJson(REQUESTS[signal].request, JSON.stringify(json));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  const outcomes: Outcome[] = [];
  processor.process(input).subscribe((batch) => out.push(batch));
  const items = countItems(signal, bytes);
  const receipt = { settle: (outcome: Outcome) => void outcomes.push(outcome) };
  input.next({ signal, chunks: [bytes], items, bytes: bytes.length, receipt });
  return { batch: out[0], outcomes, before: bytes };
}

/** What is left as JSON; undefined when nothing is. */
function run(signal: OtlpSignal, options: object, json: object): unknown {
  const { batch } = runBatch(signal, options, json);
  if (batch === undefined) return undefined;
  assert.equal(batch.items, countItems(signal, Buffer.concat(batch.chunks)));
  const decoded = toOtlpJson(REQUESTS[signal].request, Buffer.concat(batch.chunks));
  assert.ok(decoded.ok);
  return JSON.parse(decoded.json);
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const resource = (name: string) => ({ attributes: [text("service.name", name)] });

function traces(...services: [string, object[]][]) {
  return {
    resourceSpans: services.map(([name, spans]) => ({
      resource: resource(name),
      scopeSpans: [{ scope: { name: "lib", version: "2" }, spans }],
    })),
  };
}

const GET = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "00f067aa0ba902b7",
  name: "GET /",
  kind: 2,
  startTimeUnixNano: "1700000000000000001",
  attributes: [
    text("route", "/a"),
    { key: "n", value: { intValue: "5" } },
    { key: "map", value: { kvlistValue: { values: [text("x", "y")] } } },
  ],
  status: { code: 2, message: "bad" },
};
const POST = { name: "POST /", kind: 3, parentSpanId: "00f067aa0ba902b7" };

function isDropped(condition: string): boolean {
  const left = run("traces", { traces: { span: [condition] } }, traces(["shop", [GET]]));
  return left === undefined;
}

test("spans of which a condition is true are dropped, and what is left empty with them", () => {
  const before = traces(["shop", [GET, POST]], ["other", [POST]]);
  const span = (...conditions: string[]) => ({ traces: { span: conditions } });
  assert.deepEqual(
    run("traces", span('name == "nothing"', 'name == "POST /"'), before),
    traces(["shop", [GET]]),
  );
  assert.deepEqual(
    run("traces", span('name == "GET /"'), before),
    traces(["shop", [POST]], ["other", [POST]]),
  );
  assert.deepEqual(
    run("traces", { traces: { resource: ['attributes["service.name"] == "shop"'] } }, before),
    traces(["other", [POST]]),
  );
});

// Truth by pkg/ottl/LANGUAGE.md and the contexts' lists of paths.
const TRUE = [
  'attributes["route"] == "/a"',
  'span.attributes["route"] != "/b"',
  'attributes["missing"] == nil',
  'attributes["route"] != nil',
  'attributes["map"]["x"] == "y"',
  'attributes["n"] >= 5 and attributes["n"] < 5.5',
  'attributes["n"] + 1 == 2 * 3',
  'attributes["n"] != "5"',
  "kind == SPAN_KIND_SERVER",
  'kind.string == "Server"',
  "status.code == STATUS_CODE_ERROR",
  'status.message == "bad"',
  "trace_id == 0x0af7651916cd43dd8448eb211c80319c",
  'span_id.string == "00f067aa0ba902b7"',
  "parent_span_id == 0x0000000000000000",
  "start_time_unix_nano > 1700000000000000000",
  'resource.attributes["service.name"] == "shop"',
  'instrumentation_scope.name == "lib" and scope.version == "2"',
  'IsMatch(name, "^GET")',
  'not IsMatch(name, "^POST")',
  'IsMatch(attributes["n"], "^5$")',
  "IsRootSpan()",
  'name == "x" or kind == SPAN_KIND_SERVER and true',
  '(name == "x" or true) and not (false)',
  '(attributes["n"]) == 5',
  'IsMap(attributes["map"]) and IsString(name)',
  'Len(name) == 5 and HasPrefix(name, "GE") and ToLowerCase(name) == "get /"',
];
const FALSE = [
  'attributes["route"] == nil',
  'attributes["n"] == "5"',
  'attributes["n"] < "9"',
  'IsMatch(attributes["missing"], ".*")',
  'name == "x" and true or false',
  "not true",
  "kind == SPAN_KIND_CLIENT",
];
test("conditions mean what OTTL says", () => {
  for (const condition of TRUE) assert.equal(isDropped(condition), true, condition);
  for (const condition of FALSE) assert.equal(isDropped(condition), false, condition);
});

test("span events are dropped and their spans stay", () => {
  const events = (...names: string[]) => names.map((name) => ({ name, timeUnixNano: "1" }));
  const options = {
    traces: { spanevent: ['name == "noise" and span.kind == SPAN_KIND_SERVER'] },
  };
  const span = (...names: string[]) => ({ ...GET, events: events(...names) });
  const { events: none, ...bare } = { ...GET, events: undefined };
  assert.equal(none, undefined);
  assert.deepEqual(
    run("traces", options, traces(["shop", [span("noise", "a"), span("noise")]])),
    traces(["shop", [span("a"), bare]]),
  );
});

test("metrics and data points are dropped, and a metric without points", () => {
  const gauge = (name: string, ...values: number[]) => ({
    name,
    gauge: {
      dataPoints: values.map((value) => ({ asDouble: value, attributes: [text("v", `${value}`)] })),
    },
  });
  const sum = {
    name: "s",
    sum: { dataPoints: [{ asInt: "7" }], aggregationTemporality: 2, isMonotonic: true },
  };
  const request = (...metrics: object[]) => ({
    resourceMetrics: [{ scopeMetrics: [{ metrics }] }],
  });
  const before = request(gauge("g", 1, 2), gauge("h", 2), sum);
  const metric = (...conditions: string[]) => ({ metrics: { metric: conditions } });
  const point = (...conditions: string[]) => ({ metrics: { datapoint: conditions } });
  assert.deepEqual(
    run("metrics", metric("type == METRIC_DATA_TYPE_SUM and is_monotonic == true"), before),
    request(gauge("g", 1, 2), gauge("h", 2)),
  );
  assert.deepEqual(
    run("metrics", metric('HasAttrOnDatapoint("v", "1")', 'name == "s"'), before),
    request(gauge("h", 2)),
  );
  assert.deepEqual(run("metrics", metric('HasAttrKeyOnDatapoint("v")'), before), request(sum));
  assert.deepEqual(
    run("metrics", point("value_double == 2.0", 'metric.name == "s" and value_int == 7'), before),
    request(gauge("g", 1)),
  );
});

test("log records are dropped by severity and body", () => {
  const logs = (...records: object[]) => ({
    resourceLogs: [{ resource: resource("shop"), scopeLogs: [{ logRecords: records }] }],
  });
  const info = { severityNumber: 9, severityText: "INFO", body: { stringValue: "up" } };
  const warn = { severityNumber: 13, body: { kvlistValue: { values: [text("k", "v")] } } };
  const record = (condition: string) => ({ logs: { log_record: [condition] } });
  const left = (condition: string) => run("logs", record(condition), logs(info, warn));
  assert.deepEqual(left("severity_number < SEVERITY_NUMBER_WARN"), logs(warn));
  assert.deepEqual(left('body["k"] == "v"'), logs(info));
  assert.deepEqual(left('body == "up" or severity_text == "INFO"'), logs(warn));
  assert.equal(left('resource.attributes["service.name"] == "shop"'), undefined);
});

test("a batch of which nothing is left is settled and counted; one that is untouched is itself", async () => {
  const all = runBatch("traces", { traces: { span: ["true"] } }, traces(["shop", [GET, POST]]));
  assert.equal(all.batch, undefined);
  assert.deepEqual(all.outcomes, [{ kind: "dropped", reason: "filtered" }]);
  assert.ok((await memory.value('otelcol_processor_filter_spans_filtered{filter="filter"}')) >= 2);
  const none = runBatch("traces", { traces: { span: ["false"] } }, traces(["shop", [GET]]));
  assert.equal(none.batch?.chunks[0], none.before);
});

test("an error in a condition costs the batch, or with error_mode ignore nothing", () => {
  const options = {
    error_mode: "propagate",
    traces: { span: ['HasPrefix(attributes["n"], "x")'] },
  };
  const batch = traces(["shop", [GET]]);
  const failed = runBatch("traces", options, batch);
  assert.equal(failed.batch, undefined);
  assert.deepEqual(
    failed.outcomes.map((outcome) => outcome.kind),
    ["refused"],
  );
  assert.deepEqual(run("traces", { ...options, error_mode: "ignore" }, batch), batch);
});

test("conditions that are none are refused in the Collector's words", () => {
  const problem = (condition: string) =>
    configSchema.safeParse({ traces: { span: [condition] } }).error?.issues[0]?.message;
  assert.equal(
    problem("foo =="),
    'unable to parse OTTL condition "foo ==": condition has invalid syntax: 1:7: unexpected token "<EOF>" (expected Field ("." Field)*)',
  );
  assert.match(problem("Nope(name)") ?? "", /: undefined function "Nope"$/);
  assert.match(
    problem('foo == "x"') ?? "",
    /segment "foo" from path "foo" is not a valid path nor a valid OTTL keyword for the Span context/,
  );
  assert.match(problem("kind == SPAN_KIND_FOO") ?? "", /enum symbol "SPAN_KIND_FOO" not found/);
  assert.match(problem('IsMatch(name, "(")') ?? "", /not a valid regexp pattern/);
  assert.match(problem('name == "x') ?? "", /invalid input text/);
  for (const old of [{ spans: {} }, { metrics: { include: {} } }, { trace_conditions: [] }]) {
    assert.equal(configSchema.safeParse(old).success, false);
  }
});
