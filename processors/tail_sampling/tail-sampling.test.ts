// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { countItems } from "../../src/pdata/count.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { forEachSpan } from "../../src/pdata/span-view.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";
import { createPolicy } from "./policies.ts";
import type { Trace } from "./trace.ts";

const NEVER_ABORTED = new AbortController().signal;
const START = 1_700_000_000_000_000_000n;
const idOf = (trace: number): string => trace.toString(16).padStart(32, "0");
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });

let nextSpan = 1;
function span(trace: number, more: object = {}): object {
  return {
    traceId: idOf(trace),
    spanId: (nextSpan++).toString(16).padStart(16, "0"),
    name: "work",
    kind: 2,
    startTimeUnixNano: String(START),
    endTimeUnixNano: String(START + 1_000_000n),
    ...more,
  };
}

function encoded(spans: readonly object[], resource: object = {}): Uint8Array {
  const scopeSpans = [{ scope: { name: "lib" }, spans }];
  const json = { resourceSpans: [{ resource, scopeSpans, schemaUrl: "u" }] };
  const result = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(json));
  assert.ok(result.ok);
  return result.bytes;
}

class Bench {
  readonly memory = createMemoryTelemetry();
  readonly out: Batch[] = [];
  readonly outcomes: Outcome[] = [];
  readonly #input = new Subject<Batch>();
  readonly processor;

  constructor(options: object) {
    const settings = {
      id: "tail_sampling",
      telemetry: this.memory.telemetry,
      buildInfo: { version: "0" },
      signal: "traces",
      pipelineId: "traces",
    } as const;
    this.processor = factory.create(settings, configSchema.parse(options));
    this.processor.process(this.#input).subscribe((batch) => this.out.push(batch));
  }

  add(spans: readonly object[]): Uint8Array {
    const bytes = encoded(spans);
    const receipt = { settle: (outcome: Outcome) => void this.outcomes.push(outcome) };
    const items = countItems("traces", bytes);
    this.#input.next({ signal: "traces", chunks: [bytes], items, bytes: bytes.length, receipt });
    return bytes;
  }

  end(): void {
    this.#input.complete();
  }

  /** Last digits of the traces that came out, one for each span. */
  traces(): number[] {
    const ids: number[] = [];
    for (const batch of this.out) {
      const chunk = Buffer.concat(batch.chunks);
      assert.equal(batch.items, countItems("traces", chunk));
      forEachSpan(chunk, (view) => ids.push(Number.parseInt(view.traceId, 16)));
    }
    return ids.sort((a, b) => a - b);
  }
}

/** A policy that is asked without a processor. */
function decision(
  policy: object,
  spans: readonly object[],
  resource: object = {},
  nowMs = 0,
): string {
  return ask(policyOf(policy), spans, resource, nowMs);
}

function policyOf(policy: object) {
  const [first] = configSchema.parse({ policies: [{ name: "p", ...policy }] }).policies;
  assert.ok(first !== undefined);
  return createPolicy(first);
}

function ask(
  policy: ReturnType<typeof policyOf>,
  spans: readonly object[],
  resource: object = {},
  nowMs = 0,
): string {
  const chunk = encoded(spans, resource);
  const id = Buffer.from(idOf(1), "hex").toString("latin1");
  const trace: Trace = {
    id,
    chunks: [chunk],
    spans: spans.length,
    bytes: chunk.length,
    decideAtMs: 0,
  };
  return policy(trace, nowMs);
}

const ALWAYS = { policies: [{ name: "all", type: "always_sample" }] };
const ERRORS = { name: "errors", type: "status_code", status_code: { status_codes: ["ERROR"] } };
const BAD = { status: { code: 2 } };

test("a trace is kept or dropped as a whole, whatever batches its spans came in", async () => {
  const bench = new Bench({ policies: [ERRORS] });
  bench.add([span(1), span(2), span(1)]);
  bench.add([span(2, BAD), span(3)]);
  assert.deepEqual(bench.out, []);
  assert.deepEqual(
    bench.outcomes.map(({ kind }) => kind),
    ["accepted", "accepted"],
  );
  bench.end();
  assert.deepEqual(bench.traces(), [2, 2]);
  const count = (sampled: string) =>
    bench.memory.value(
      `otelcol_processor_tail_sampling_global_count_traces_sampled{processor="tail_sampling",sampled="${sampled}"}`,
    );
  assert.equal(await count("true"), 1);
  assert.equal(await count("false"), 2);
});

test("what comes out has its resource, scope and schema as they were", () => {
  const bench = new Bench(ALWAYS);
  const before = bench.add([span(1), span(1)]);
  bench.end();
  const out = toOtlpJson(REQUESTS.traces.request, Buffer.concat(bench.out[0]?.chunks ?? []));
  const expected = toOtlpJson(REQUESTS.traces.request, before);
  assert.ok(out.ok && expected.ok);
  assert.deepEqual(JSON.parse(out.json), JSON.parse(expected.json));
});

test("the decision comes after decision_wait, and late spans share it", async () => {
  const bench = new Bench({ decision_wait: "10ms", policies: [ERRORS] });
  await bench.processor.start({ extension: () => undefined, fatal: () => undefined });
  bench.add([span(1, BAD), span(2)]);
  await eventually(
    async () => bench.traces().length,
    (count) => count > 0,
  );
  assert.deepEqual(bench.traces(), [1]);
  bench.add([span(1), span(2, BAD)]);
  assert.deepEqual(bench.traces(), [1, 1]);
  await bench.processor.shutdown(NEVER_ABORTED);
});

test("the oldest trace goes when there are too many, and is counted", async () => {
  const bench = new Bench({ ...ALWAYS, num_traces: 2 });
  bench.add([span(1), span(2), span(3)]);
  bench.end();
  assert.deepEqual(bench.traces(), [2, 3]);
  const name =
    'otelcol_processor_tail_sampling_sampling_trace_dropped_too_early{processor="tail_sampling"}';
  assert.equal(await bench.memory.value(name), 1);
});

test("traces that wait at shutdown can be dropped", () => {
  const bench = new Bench({ ...ALWAYS, drop_pending_traces_on_shutdown: true });
  bench.add([span(1)]);
  bench.end();
  assert.deepEqual(bench.out, []);
});

test("policies are combined: drop before all, inverted before sampled, else one is enough", () => {
  const flag = (name: string, more: object) => ({
    name,
    type: "string_attribute",
    string_attribute: { key: "k", values: ["x"], ...more },
  });
  const drop = { name: "d", type: "drop", drop: { drop_sub_policy: [flag("s", {})] } };
  const all = { name: "all", type: "always_sample" };
  const kept = (policies: readonly object[]): boolean => {
    const bench = new Bench({ policies });
    bench.add([span(1, { attributes: [text("k", "x")] })]);
    bench.end();
    return bench.out.length > 0;
  };
  assert.equal(kept([all, drop]), false);
  assert.equal(kept([all, flag("i", { invert_match: true })]), false);
  assert.equal(kept([flag("i", { invert_match: true, values: ["y"] })]), true);
  assert.equal(kept([flag("i", { invert_match: true, values: ["y"] }), ERRORS]), false);
  assert.equal(kept([flag("a", {}), ERRORS]), true);
});

test("policies by what the spans are", () => {
  const long = [span(1), span(1, { endTimeUnixNano: String(START + 5_000_000_000n) })];
  const latency = (threshold_ms: number, upper_threshold_ms = 0) => ({
    type: "latency",
    latency: { threshold_ms, upper_threshold_ms },
  });
  assert.equal(decision(latency(5000), long), "sampled");
  assert.equal(decision(latency(5001), long), "not_sampled");
  assert.equal(decision(latency(1000, 4000), long), "not_sampled");
  const counted = (span_count: object) => decision({ type: "span_count", span_count }, long);
  assert.equal(counted({ min_spans: 2, max_spans: 20 }), "sampled");
  assert.equal(counted({ min_spans: 3 }), "not_sampled");
  assert.equal(counted({ min_spans: 1, max_spans: 1 }), "not_sampled");
  assert.equal(decision(ERRORS, [span(1), span(1, BAD)]), "sampled");
  assert.equal(decision({ type: "trace_flags" }, [span(1, { flags: 1 })]), "sampled");
  assert.equal(decision({ type: "trace_flags" }, [span(1)]), "not_sampled");
  const state = { type: "trace_state", trace_state: { key: "k", values: ["v"] } };
  assert.equal(decision(state, [span(1, { traceState: "a=b,k=v" })]), "sampled");
  assert.equal(decision(state, [span(1, { traceState: "k=w" })]), "not_sampled");
});

test("policies by attributes of spans and resources", () => {
  const attributes = [
    text("k", "value1"),
    { key: "n", value: { intValue: "60" } },
    { key: "b", value: { boolValue: true } },
  ];
  const number = (numeric_attribute: object) =>
    decision({ type: "numeric_attribute", numeric_attribute }, [span(1, { attributes })]);
  assert.equal(number({ key: "n", min_value: 50, max_value: 100 }), "sampled");
  assert.equal(number({ key: "n", min_value: 61 }), "not_sampled");
  const string = (string_attribute: object, resource: object = {}) =>
    decision({ type: "string_attribute", string_attribute }, [span(1, { attributes })], resource);
  assert.equal(string({ key: "k", values: ["value1"] }), "sampled");
  assert.equal(string({ key: "k", values: ["value"] }), "not_sampled");
  assert.equal(string({ key: "k", values: ["^val.*"], enabled_regex_matching: true }), "sampled");
  assert.equal(string({ key: "r", values: ["x"] }, { attributes: [text("r", "x")] }), "sampled");
  const bool = (value: boolean) =>
    decision({ type: "boolean_attribute", boolean_attribute: { key: "b", value } }, [
      span(1, { attributes }),
    ]);
  assert.equal(bool(true), "sampled");
  assert.equal(bool(false), "not_sampled");
  const ottl = (ottl_condition: object) =>
    decision({ type: "ottl_condition", ottl_condition }, [
      span(1, { attributes, events: [{ name: "e", timeUnixNano: "1" }] }),
    ]);
  assert.equal(ottl({ span: ['attributes["k"] == "value1"'] }), "sampled");
  assert.equal(ottl({ span: ['attributes["k"] == "no"'] }), "not_sampled");
  assert.equal(ottl({ spanevent: ['name == "e" and span.kind == SPAN_KIND_SERVER'] }), "sampled");
});

test("and, not and composite combine policies", () => {
  const has = (key: string) => ({
    name: key,
    type: "string_attribute",
    string_attribute: { key, values: ["x"] },
  });
  const both = [span(1, { attributes: [text("a", "x"), text("b", "x")] })];
  const one = [span(1, { attributes: [text("a", "x")] })];
  const and = { type: "and", and: { and_sub_policy: [has("a"), has("b")] } };
  assert.equal(decision(and, both), "sampled");
  assert.equal(decision(and, one), "not_sampled");
  assert.equal(decision({ type: "not", not: { not_sub_policy: has("b") } }, one), "sampled");
  const composite = {
    max_total_spans_per_second: 4,
    policy_order: ["a", "rest"],
    composite_sub_policy: [has("a"), { name: "rest", type: "always_sample" }],
    rate_allocation: [{ policy: "a", percent: 50 }],
  };
  const policy = policyOf({ type: "composite", composite });
  const second = [one, one, one].map((spans) => ask(policy, spans, {}, 1000));
  assert.deepEqual(second, ["sampled", "sampled", "not_sampled"]);
  assert.equal(ask(policy, one, {}, 2000), "sampled");
});

test("rates are kept in spans a second and in bytes", () => {
  const rate = policyOf({ type: "rate_limiting", rate_limiting: { spans_per_second: 3 } });
  const two = [span(1), span(1)];
  assert.deepEqual(
    [0, 500, 1000].map((ms) => ask(rate, two, {}, ms)),
    ["sampled", "not_sampled", "sampled"],
  );
  const size = encoded(two).length;
  const limit = { bytes_per_second: size, burst_capacity: size };
  const bytes = policyOf({ type: "bytes_limiting", bytes_limiting: limit });
  assert.deepEqual(
    [0, 500, 1000].map((ms) => ask(bytes, two, {}, ms)),
    ["sampled", "not_sampled", "sampled"],
  );
});

test("a share of the traces is kept, the same ones each time", () => {
  const kept = (): number[] => {
    const probabilistic = { sampling_percentage: 25 };
    const bench = new Bench({ policies: [{ name: "p", type: "probabilistic", probabilistic }] });
    const spans = Array.from({ length: 1000 }, (_, at) => span((at + 1) * 2_654_435));
    bench.add(spans);
    bench.end();
    return bench.traces();
  };
  const first = kept();
  assert.ok(first.length > 190 && first.length < 310, String(first.length));
  assert.deepEqual(kept(), first);
});

test("what is wrong in the configuration is said", () => {
  const problem = (options: object) =>
    configSchema.safeParse(options).error?.issues[0]?.message ?? "";
  assert.match(problem({ policies: [] }), /expected at least one policy/);
  assert.match(problem({ policies: [{ name: "a", type: "latency" }] }), /needs "latency"/);
  assert.match(
    problem({ policies: [{ name: "a", type: "nope" }] }),
    /unknown sampling policy type/,
  );
  const all = { name: "a", type: "always_sample" };
  assert.match(problem({ policies: [all, all] }), /duplicate policy name "a"/);
  const ottl = { name: "o", type: "ottl_condition", ottl_condition: { span: ["foo =="] } };
  assert.match(problem({ policies: [ottl] }), /unable to parse OTTL condition "foo =="/);
});
