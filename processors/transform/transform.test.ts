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

const KEYS = { traces: "trace_statements", metrics: "metric_statements", logs: "log_statements" };

function runBatch(signal: OtlpSignal, options: object, json: object) {
  const memory = createMemoryTelemetry();
  const settings = {
    id: "transform",
    telemetry: memory.telemetry,
    buildInfo: { version: "0" },
    signal,
    pipelineId: signal,
  };
  const processor = factory.create(settings, configSchema.parse(options));
  const encoded = fromOtlpJson(REQUESTS[signal].request, JSON.stringify(json));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  const outcomes: Outcome[] = [];
  processor.process(input).subscribe((batch) => out.push(batch));
  const receipt = { settle: (outcome: Outcome) => void outcomes.push(outcome) };
  const items = countItems(signal, bytes);
  input.next({ signal, chunks: [bytes], items, bytes: bytes.length, receipt });
  return { batch: out[0], outcomes, before: bytes, lines: memory.lines };
}

function run(signal: OtlpSignal, statements: readonly unknown[], json: object): unknown {
  const options = { error_mode: "propagate", [KEYS[signal]]: statements };
  const { batch, outcomes } = runBatch(signal, options, json);
  assert.ok(batch !== undefined, JSON.stringify(outcomes));
  const decoded = toOtlpJson(REQUESTS[signal].request, Buffer.concat(batch.chunks));
  assert.ok(decoded.ok);
  return JSON.parse(decoded.json);
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const int = (key: string, intValue: string) => ({ key, value: { intValue } });

interface Span {
  readonly [key: string]: unknown;
}
const GET: Span = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "00f067aa0ba902b7",
  name: "GET /orders/17",
  kind: 2,
  startTimeUnixNano: "1700000000000000000",
  endTimeUnixNano: "1700000000250000000",
  attributes: [text("route", "/orders"), int("n", "5")],
  status: {},
};
const traces = (span: object, service = "shop") => ({
  resourceSpans: [
    {
      resource: { attributes: [text("service.name", service)] },
      scopeSpans: [{ scope: { name: "lib", version: "2" }, spans: [span] }],
    },
  ],
});

/** The span after the statements, which are run in the span context. */
function spanAfter(statements: string | readonly string[], span: object = GET): Span {
  const list = typeof statements === "string" ? [statements] : statements;
  const result = run("traces", [{ context: "span", statements: list }], traces(span));
  const path = result as { resourceSpans: [{ scopeSpans: [{ spans: [Span] }] }] };
  return path.resourceSpans[0].scopeSpans[0].spans[0];
}

/** The AnyValue that an expression has for a span, in OTLP's JSON. */
function resultOf(expression: string, span: object = GET): unknown {
  const after = spanAfter(`set(attributes["result"], ${expression})`, span);
  const attributes = after["attributes"] as { key: string; value: unknown }[];
  return attributes.find(({ key }) => key === "result")?.value;
}

test("fields and attributes are set, and nothing else of the span changes", () => {
  const statements = [
    'set(name, "checkout")',
    'set(attributes["environment"], "production")',
    'set(attributes["route"], "/all")',
    "set(status.code, STATUS_CODE_ERROR)",
    'set(status.message, "bad")',
    "set(kind, SPAN_KIND_CLIENT)",
    "set(end_time_unix_nano, 1700000000500000000)",
  ];
  assert.deepEqual(spanAfter(statements), {
    ...GET,
    name: "checkout",
    kind: 3,
    endTimeUnixNano: "1700000000500000000",
    attributes: [text("route", "/all"), int("n", "5"), text("environment", "production")],
    status: { code: 2, message: "bad" },
  });
});

test("a later statement sees what an earlier one did; where decides; nil sets nothing", () => {
  const after = spanAfter([
    'set(name, "a")',
    'set(attributes["copy"], name)',
    'set(attributes["x"], attributes["missing"])',
    'set(name, "b") where attributes["copy"] == "a"',
    'set(name, "c") where attributes["copy"] == "b"',
    'set(cache["seen"], true) where name == "b"',
    'set(attributes["cached"], "yes") where cache["seen"] == true',
  ]);
  assert.equal(after["name"], "b");
  assert.deepEqual(after["attributes"], [
    ...(GET["attributes"] as object[]),
    text("copy", "a"),
    text("cached", "yes"),
  ]);
});

test("data that no statement changes is the object it was", () => {
  const options = { trace_statements: ['set(span.name, "x") where span.name == "none"'] };
  const { batch, before } = runBatch("traces", options, traces(GET));
  assert.equal(batch?.chunks[0], before);
});

// Results by pkg/ottl/ottlfuncs/README.md.
const EDITED: readonly (readonly [string, readonly object[]])[] = [
  ['delete_key(attributes, "route")', [int("n", "5")]],
  ['delete_keys(attributes, ["route", "x"])', [int("n", "5")]],
  ['keep_keys(attributes, ["route"])', [text("route", "/orders")]],
  ['delete_matching_keys(attributes, "^r")', [int("n", "5")]],
  ['keep_matching_keys(attributes, "^r")', [text("route", "/orders")]],
  ["truncate_all(attributes, 3)", [text("route", "/or"), int("n", "5")]],
  ['limit(attributes, 1, ["n"])', [int("n", "5")]],
  ["limit(attributes, 1, [])", [text("route", "/orders")]],
  [
    'merge_maps(attributes, {"n": 6, "m": 7}, "insert")',
    [text("route", "/orders"), int("n", "5"), int("m", "7")],
  ],
  ['merge_maps(attributes, {"n": 6, "m": 7}, "update")', [text("route", "/orders"), int("n", "6")]],
  ['merge_maps(attributes, {"n": 6}, "upsert")', [text("route", "/orders"), int("n", "6")]],
  [
    'replace_pattern(attributes["route"], "o(r)", "$1-$$")',
    [text("route", "/r-$ders"), int("n", "5")],
  ],
  ['replace_match(attributes["route"], "/ord*", "/o")', [text("route", "/o"), int("n", "5")]],
  [
    'replace_all_patterns(attributes, "value", "[aeiou]", "_")',
    [text("route", "/_rd_rs"), int("n", "5")],
  ],
  ['replace_all_patterns(attributes, "key", "^r", "R")', [text("Route", "/orders"), int("n", "5")]],
  ['replace_all_matches(attributes, "/*", "path")', [text("route", "path"), int("n", "5")]],
  [
    'set(attributes["route"], ["a"])',
    [{ key: "route", value: { arrayValue: { values: [{ stringValue: "a" }] } } }, int("n", "5")],
  ],
];

test("editors of maps do what they are documented to", () => {
  for (const [statement, expected] of EDITED) {
    assert.deepEqual(spanAfter(statement)["attributes"], expected, statement);
  }
});

test("flatten takes nested maps and lists apart, append makes a list longer", () => {
  const nested = 'set(attributes["m"], {"a": {"b": 1}, "l": ["x", "y"]})';
  const after = spanAfter(["keep_keys(attributes, [])", nested, "flatten(attributes)"]);
  assert.deepEqual(after["attributes"], [
    int("m.a.b", "1"),
    text("m.l.0", "x"),
    text("m.l.1", "y"),
  ]);
  const appended = spanAfter([
    'keep_keys(attributes, ["route"])',
    'append(attributes["route"], value="b")',
  ]);
  const values = [{ stringValue: "/orders" }, { stringValue: "b" }];
  assert.deepEqual(appended["attributes"], [{ key: "route", value: { arrayValue: { values } } }]);
});

// By pkg/ottl/ottlfuncs/README.md and the specifications of the hashes and formats.
const VALUES: readonly (readonly [string, object | undefined])[] = [
  ['Concat(["a", 1, 2.5, true], "-")', { stringValue: "a-1-2.5-true" }],
  ['Split("a|b|c", "|")[1]', { stringValue: "b" }],
  ['Substring("abcdef", 2, 3)', { stringValue: "cde" }],
  ['Len("héllo")', { intValue: "6" }],
  ['Int("42")', { intValue: "42" }],
  ['Int("4.2")', undefined],
  ["Int(4.9)", { intValue: "4" }],
  ['Double("2")', { doubleValue: 2 }],
  ["2.0", { doubleValue: 2 }],
  ["7 / 2", { intValue: "3" }],
  ["7 / 2.0", { doubleValue: 3.5 }],
  ["2 + 3 * 4", { intValue: "14" }],
  ["9223372036854775807 - 1", { intValue: "9223372036854775806" }],
  ['String(attributes["n"])', { stringValue: "5" }],
  ['Bool("true")', { boolValue: true }],
  ['ConvertCase("httpServer Name", "snake")', { stringValue: "http_server_name" }],
  ['ToCamelCase("http_server")', { stringValue: "HttpServer" }],
  ['Trim("  a ")', { stringValue: "a" }],
  ['TrimPrefix("GET /a", "GET ")', { stringValue: "/a" }],
  ['Format("%04d-%s-%.2f", [7, "x", 1.5])', { stringValue: "0007-x-1.50" }],
  ['Index("hello", "l")', { intValue: "2" }],
  [
    'SHA256("abc")',
    { stringValue: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  ],
  ['SHA1("abc")', { stringValue: "a9993e364706816aba3e25717850c26c9cd0d89d" }],
  ['MD5("abc")', { stringValue: "900150983cd24fb0d6963f7d28e17f72" }],
  ['FNV("a")', { intValue: String(BigInt.asIntN(64, 0xaf63dc4c8601ec8cn)) }],
  ['Hex("ab")', { stringValue: "6162" }],
  ['Base64Decode("aGVsbG8=")', { stringValue: "hello" }],
  ['ParseJSON("{\\"a\\": {\\"b\\": [1, \\"x\\"]}}")["a"]["b"][1]', { stringValue: "x" }],
  ['ParseKeyValue("a=1 b=\'2 3\'")["b"]', { stringValue: "2 3" }],
  ['ParseKeyValue("a!1,b!2", "!", ",")["b"]', { stringValue: "2" }],
  ['ParseCSV("1,\\"2,x\\",3", "a,b,c")["b"]', { stringValue: "2,x" }],
  [
    'ExtractPatterns(name, "^(?P<method>\\\\w+) (?P<path>\\\\S+)")["path"]',
    { stringValue: "/orders/17" },
  ],
  ['URL("https://u:p@h.example:8443/a/b.txt?q=1#f")["url.port"]', { intValue: "8443" }],
  ['URL("https://h.example/a/b.txt")["url.extension"]', { stringValue: "txt" }],
  ['UnixSeconds(Time("2024-02-29T12:30:45Z", "%Y-%m-%dT%H:%M:%SZ"))', { intValue: "1709209845" }],
  [
    'UnixSeconds(Time("2024-07-01 00:00", "%Y-%m-%d %H:%M", "Europe/Berlin"))',
    { intValue: "1719784800" },
  ],
  ['FormatTime(start_time, "%Y-%m-%d %H:%M:%S.%L")', { stringValue: "2023-11-14 22:13:20.000" }],
  ["Milliseconds(end_time - start_time)", { intValue: "250" }],
  ['Seconds(Duration("1m30s"))', { doubleValue: 90 }],
  ["Year(start_time)", { intValue: "2023" }],
  ["Weekday(start_time)", { intValue: "2" }],
  ['Sort([3, 1, 2], "desc")[0]', { intValue: "3" }],
  ['Keys({"a": 1})[0]', { stringValue: "a" }],
  ['ContainsValue(["a", "b"], "b")', { boolValue: true }],
  ["IsRootSpan()", { boolValue: true }],
  ["IsDouble(1.0)", { boolValue: true }],
  ["IsInt(1)", { boolValue: true }],
  ['IsMatch(attributes["n"], "^[0-9]$")', { boolValue: true }],
  ["trace_id.string", { stringValue: "0af7651916cd43dd8448eb211c80319c" }],
  ["kind.string", { stringValue: "Server" }],
];

test("converters and expressions have the values that they are documented to have", () => {
  for (const [expression, expected] of VALUES) {
    assert.deepEqual(resultOf(expression), expected, expression);
  }
});

test("a statement about a span may change its resource and scope", () => {
  const before = traces(GET);
  const statements = [
    'set(resource.attributes["env"], span.attributes["route"])',
    'set(scope.name, "other")',
    'set(span.name, "x")',
  ];
  assert.deepEqual(run("traces", statements, before), {
    resourceSpans: [
      {
        resource: { attributes: [text("service.name", "shop"), text("env", "/orders")] },
        scopeSpans: [{ scope: { name: "other", version: "2" }, spans: [{ ...GET, name: "x" }] }],
      },
    ],
  });
});

test("a resource that is missing is made", () => {
  const bare = { resourceSpans: [{ scopeSpans: [{ spans: [GET] }] }] };
  const after = run("traces", ['set(resource.attributes["a"], "b")'], bare);
  assert.deepEqual(after, {
    resourceSpans: [{ resource: { attributes: [text("a", "b")] }, scopeSpans: [{ spans: [GET] }] }],
  });
});

test("groups run in order, with conditions of their own, and infer their contexts", () => {
  const events = [{ timeUnixNano: "1", name: "retry", attributes: [text("k", "v")] }];
  const groups = [
    { statements: ['set(spanevent.attributes["from"], span.name)', 'set(span.name, "seen")'] },
    { conditions: ['span.name == "seen"'], statements: ['set(span.attributes["ok"], true)'] },
    { conditions: ['span.name == "no"'], statements: ['set(span.attributes["bad"], true)'] },
  ];
  const result = run("traces", groups, traces({ ...GET, events }));
  const ok = { key: "ok", value: { boolValue: true } };
  const after = {
    ...GET,
    name: "seen",
    attributes: [...(GET["attributes"] as object[]), ok],
    events: [{ ...events[0], attributes: [text("k", "v"), text("from", "GET /orders/17")] }],
  };
  assert.deepEqual(result, traces(after));
});

test("metrics: points, sums and gauges", () => {
  const point = { asDouble: 1.5, timeUnixNano: "1", attributes: [text("a", "b")] };
  const request = (metric: object) => ({
    resourceMetrics: [{ scopeMetrics: [{ metrics: [metric] }] }],
  });
  const sum = { dataPoints: [point], aggregationTemporality: 2, isMonotonic: true };
  assert.deepEqual(
    run(
      "metrics",
      [
        'set(metric.description, "S") where metric.type == METRIC_DATA_TYPE_SUM',
        "convert_sum_to_gauge()",
      ],
      request({ name: "m", sum }),
    ),
    request({ name: "m", description: "S", gauge: { dataPoints: [point] } }),
  );
  assert.deepEqual(
    run(
      "metrics",
      ['convert_gauge_to_sum("delta", true) where metric.name == "m"'],
      request({ name: "m", gauge: { dataPoints: [point] } }),
    ),
    request({
      name: "m",
      sum: { dataPoints: [point], aggregationTemporality: 1, isMonotonic: true },
    }),
  );
  const points = [
    "set(datapoint.value_int, Int(datapoint.value_double))",
    'set(datapoint.attributes["metric"], metric.name)',
    'set(metric.unit, "By")',
    "set(metric.aggregation_temporality, AGGREGATION_TEMPORALITY_DELTA)",
  ];
  const { asDouble, ...rest } = point;
  assert.equal(asDouble, 1.5);
  const changed = { ...rest, asInt: "1", attributes: [text("a", "b"), text("metric", "m")] };
  assert.deepEqual(
    run("metrics", points, request({ name: "m", sum })),
    request({
      name: "m",
      unit: "By",
      sum: { dataPoints: [changed], aggregationTemporality: 1, isMonotonic: true },
    }),
  );
});

test("logs: a body is parsed into attributes and changed", () => {
  const logs = (record: object) => ({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
  const before = logs({ severityNumber: 9, body: { stringValue: '{"user":"a","n":1}' } });
  const statements = [
    'merge_maps(log.attributes, ParseJSON(log.body), "upsert") where IsMatch(log.body, "^\\\\{")',
    'set(log.severity_text, "INFO") where log.severity_number == SEVERITY_NUMBER_INFO',
    'set(log.body, {"m": "x"})',
    'set(log.body["k"], "v")',
  ];
  const values = [text("m", "x"), text("k", "v")];
  assert.deepEqual(
    run("logs", statements, before),
    logs({
      severityNumber: 9,
      severityText: "INFO",
      body: { kvlistValue: { values } },
      attributes: [text("user", "a"), { key: "n", value: { doubleValue: 1 } }],
    }),
  );
});

test("an error costs the statement, or with propagate the batch", () => {
  const statements = [
    'set(span.name, "x")',
    'set(span.name, Substring("a", 5, 1))',
    "set(span.kind, 3)",
  ];
  const ignored = runBatch("traces", { trace_statements: statements }, traces(GET));
  const decoded = toOtlpJson(REQUESTS.traces.request, Buffer.concat(ignored.batch?.chunks ?? []));
  assert.ok(decoded.ok);
  assert.deepEqual(JSON.parse(decoded.json), traces({ ...GET, name: "x", kind: 3 }));
  assert.equal(ignored.lines.length, 1);
  const silent = runBatch(
    "traces",
    { error_mode: "silent", trace_statements: statements },
    traces(GET),
  );
  assert.equal(silent.lines.length, 0);
  const options = { error_mode: "propagate", trace_statements: statements };
  const propagated = runBatch("traces", options, traces(GET));
  assert.equal(propagated.batch, undefined);
  assert.equal(propagated.outcomes[0]?.kind, "refused");
});

test("statements that mean nothing are refused in the Collector's words", () => {
  const problem = (statements: readonly unknown[]): string =>
    configSchema.safeParse({ trace_statements: statements }).error?.issues[0]?.message ?? "";
  assert.equal(
    problem(["nope(span.name)"]),
    'unable to infer a valid context (["resource" "scope" "span" "spanevent"]) from statements ["nope(span.name)"] and conditions []: inferred context "span" does not support the function "nope"',
  );
  assert.match(problem(["set(log.body, 1)"]), /no context has the paths \["log"\]/);
  assert.match(problem(["set(name, 1)"]), /no context has the paths \["name"\]/);
  const span = (statement: string): string =>
    problem([{ context: "span", statements: [statement] }]);
  assert.match(span("set(name"), /statement has invalid syntax: 1:9: unexpected token "<EOF>"/);
  assert.match(span("set(name)"), /incorrect number of arguments. Expected: 2 Received: 1/);
  assert.match(span('set("a", 1)'), /must be a path that can be set/);
  assert.match(span('replace_pattern(name, "(", "")'), /not a valid regexp pattern/);
  assert.match(problem(["set(span.name, 1)", { statements: [] }]), /multiple configuration styles/);
});
