// SPDX-License-Identifier: Apache-2.0
// The same OTLP to a real Jaeger and to our store: their query APIs must answer alike.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { configSchema } from "../../extensions/ui/config.ts";
import { Ui } from "../../extensions/ui/ui.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { StoreWriter } from "../../src/store/store-writer.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../support/eventually.ts";
import { type Jaeger, startJaeger } from "../support/jaeger.ts";
import { type FlatSpan, parseTraces } from "../support/otlp-json.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SHORT_TRACE = "00000000000000000000000000abcdef";
const START_NS = BigInt(Date.now() - 60_000) * 1_000_000n;
const NOW_MS = Date.now();

function attribute(key: string, value: object): object {
  return { key, value };
}

function span(id: string, fields: object, traceId = TRACE): object {
  return {
    traceId,
    spanId: `00f067aa0ba9${id}`,
    startTimeUnixNano: String(START_NS),
    endTimeUnixNano: String(START_NS + 1_500_123n),
    ...fields,
  };
}

const FRONT = [
  span("02b7", {
    name: "GET /a",
    kind: 2,
    traceState: "a=b",
    attributes: [
      attribute("s", { stringValue: "ä <b>" }),
      attribute("i", { intValue: "5" }),
      attribute("d", { doubleValue: 1.5 }),
      attribute("b", { boolValue: true }),
      attribute("list", { arrayValue: { values: [{ stringValue: "a" }, { intValue: "2" }] } }),
      attribute("map", { kvlistValue: { values: [attribute("k", { stringValue: "v" })] } }),
      attribute("bytes", { bytesValue: "AQID" }),
    ],
    events: [
      {
        timeUnixNano: String(START_NS + 1_000n),
        name: "ev",
        attributes: [attribute("e", { stringValue: "1" })],
      },
    ],
  }),
  span("02b8", {
    name: "call",
    parentSpanId: "00f067aa0ba902b7",
    kind: 3,
    status: { code: 2, message: "bad" },
    links: [{ traceId: "0af7651916cd43dd8448eb211c80319d", spanId: "00f067aa0ba902b1" }],
  }),
  span("02ba", { name: "inner", parentSpanId: "00f067aa0ba902b7", kind: 1, status: { code: 1 } }),
  span("02bb", { name: "odd", kind: 0 }),
  span("02c0", { name: "GET /a", kind: 2 }, SHORT_TRACE),
];
const BACK = [
  span("02b9", { name: "POST /b", parentSpanId: "00f067aa0ba902b8", kind: 2 }),
  span("02bc", { name: "send", parentSpanId: "00f067aa0ba902b9", kind: 4 }),
  span("02bd", { name: "take", parentSpanId: "00f067aa0ba902bc", kind: 5 }),
];
const BODY = JSON.stringify({
  resourceSpans: [
    {
      resource: {
        attributes: [
          attribute("service.name", { stringValue: "front" }),
          attribute("process.pid", { intValue: "12" }),
        ],
      },
      scopeSpans: [{ scope: { name: "lib", version: "1.2" }, spans: FRONT }],
    },
    {
      resource: { attributes: [attribute("service.name", { stringValue: "back" })] },
      scopeSpans: [{ spans: BACK }],
    },
  ],
});

let jaeger: Jaeger;
let ui: Ui;
let directory = "";

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "backstitch-store-jaeger-"));
  jaeger = await startJaeger();
  const sent = await fetch(`${jaeger.otlpHttpEndpoint}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: BODY,
  });
  assert.equal(sent.status, 200);
  const quiet = (): void => undefined;
  const writer = await StoreWriter.open({
    directory,
    bytesMax: 2 ** 30,
    ageMaxMs: 0,
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    nowMs: Date.now,
    onDropped: quiet,
    onFailed: quiet,
  });
  const encoded = fromOtlpJson(REQUESTS.traces.request, BODY);
  assert.ok(encoded.ok);
  await writer.append({ chunks: [encoded.bytes] });
  await writer.close();
  const { telemetry } = createMemoryTelemetry();
  const config = configSchema.parse({ directory, endpoint: "127.0.0.1:0" });
  ui = new Ui({ id: "ui", telemetry, buildInfo: { version: "1" } }, config);
  await ui.start({ extension: () => undefined, fatal: () => undefined });
  await eventually(
    async () => (await ask(jaeger.queryUrl, `/api/traces/${SHORT_TRACE}`)).status,
    (status) => status === 200,
  );
});

after(async () => {
  await ui?.shutdown();
  await jaeger?.stop();
  await rm(directory, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly json: unknown;
}

async function ask(origin: string, path: string): Promise<Answer> {
  const response = await fetch(`${origin}${path}`, { signal: AbortSignal.timeout(10_000) });
  return { status: response.status, json: await response.json() };
}

/** Lists whose order means nothing are sorted, and processes are named by what they are. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .map(normal)
      .sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
  }
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value);
  const processes = members.find(([key]) => key === "processes")?.[1];
  const named = members.map(([key, member]): [string, unknown] => {
    if (key !== "spans" || !Array.isArray(member)) return [key, normal(member)];
    return [key, normal(member.map((one: unknown) => withProcess(one, processes)))];
  });
  const kept = named.filter(([key]) => key !== "processes" && key !== "processID");
  return Object.fromEntries(kept.sort(([one], [other]) => (one < other ? -1 : 1)));
}

function withProcess(one: unknown, processes: unknown): unknown {
  if (typeof one !== "object" || one === null || !("processID" in one)) return one;
  const process =
    typeof processes === "object" && processes !== null
      ? Object.entries(processes).find(([id]) => id === one.processID)?.[1]
      : undefined;
  return { ...one, process };
}

const SAME_ANSWER = [
  "/api/services",
  "/api/services/front/operations",
  "/api/services/back/operations",
  "/api/operations?service=front",
  "/api/operations?service=front&spanKind=server",
  `/api/traces/${TRACE}`,
  `/api/traces/${TRACE.slice(1)}`,
  "/api/traces/abcdef",
  "/api/traces?service=front",
  "/api/traces?service=none",
  "/api/traces?service=front&operation=call",
  "/api/traces?service=front&operation=nothing",
  "/api/traces?service=front&minDuration=1ms&maxDuration=2ms",
  "/api/traces?service=front&minDuration=2ms",
  `/api/traces?service=front&tags=${encodeURIComponent('{"i":"5"}')}`,
  `/api/traces?service=front&tags=${encodeURIComponent('{"error":"true"}')}`,
  `/api/traces?service=front&tags=${encodeURIComponent('{"process.pid":"12","s":"ä <b>"}')}`,
  `/api/traces?service=back&tags=${encodeURIComponent('{"i":"5"}')}`,
  `/api/traces?service=front&start=${(NOW_MS - 120_000) * 1000}&end=${NOW_MS * 1000}`,
  `/api/traces?service=front&start=${(NOW_MS - 20_000) * 1000}&end=${NOW_MS * 1000}`,
  `/api/traces?traceID=${TRACE}&traceID=${SHORT_TRACE}`,
  "/api/v3/services",
  "/api/v3/operations",
  "/api/v3/operations?service=front",
  "/api/v3/operations?service=front&span_kind=server",
];

const IN_TIME = `query.start_time_min=${at(-120_000)}&query.start_time_max=${at(60_000)}&query.num_traces=20`;
const SAME_SPANS = [
  `/api/v3/traces/${TRACE}`,
  "/api/v3/traces/abcdef",
  `/api/v3/traces?query.service_name=front&${IN_TIME}`,
  `/api/v3/traces?query.service_name=front&query.operation_name=call&${IN_TIME}`,
  `/api/v3/traces?query.service_name=front&query.duration_min=1ms&query.duration_max=2ms&${IN_TIME}`,
];

function at(offsetMs: number): string {
  return new Date(NOW_MS + offsetMs).toISOString();
}

function spansOf({ json }: Answer): readonly FlatSpan[] {
  const result = typeof json === "object" && json !== null && "result" in json ? json.result : {};
  const found = parseTraces(JSON.stringify(result));
  return found.toSorted((one, other) => (one.spanId < other.spanId ? -1 : 1));
}

for (const path of SAME_SPANS) {
  test(`${path.slice(0, 90)} has the spans that Jaeger has`, async () => {
    const theirs = await ask(jaeger.queryUrl, path);
    const ours = await ask(`http://127.0.0.1:${ui.port}`, path);
    assert.deepEqual([ours.status, theirs.status], [200, 200]);
    assert.deepEqual(spansOf(ours), spansOf(theirs));
  });
}

for (const path of SAME_ANSWER) {
  test(`${path} is answered as Jaeger answers it`, async () => {
    const theirs = await ask(jaeger.queryUrl, path);
    const ours = await ask(`http://127.0.0.1:${ui.port}`, path);
    assert.equal(ours.status, theirs.status);
    assert.deepEqual(normal(ours.json), normal(theirs.json));
  });
}

const SAME_STATUS = [
  "/api/traces",
  "/api/operations",
  "/api/traces/1",
  "/api/traces/xyz",
  "/api/traces?service=front&minDuration=abc",
  "/api/traces?service=front&limit=x",
  "/api/traces?service=front&start=x",
  "/api/traces?service=front&tags=%7B",
  "/api/metrics/calls?service=front",
  "/api/metrics/latencies?service=front&quantile=0.95",
  "/api/metrics/minstep",
  "/api/v3/traces/1234",
  "/api/v3/traces/xyz",
  "/api/v3/traces",
  "/api/v3/traces?query.service_name=front",
  `/api/v3/traces?query.service_name=front&${IN_TIME.replace("min=", "min=x")}`,
  `/api/v3/traces?query.service_name=front&${IN_TIME.replace("=20", "=x")}`,
];

for (const path of SAME_STATUS) {
  test(`${path} is refused with Jaeger's status, in its shape`, async () => {
    const theirs = await ask(jaeger.queryUrl, path);
    const ours = await ask(`http://127.0.0.1:${ui.port}`, path);
    assert.ok(theirs.status >= 400);
    assert.equal(ours.status, theirs.status);
    assert.deepEqual(shape(ours.json), shape(theirs.json));
  });
}

/** Everything but the words. */
function shape(json: unknown): unknown {
  return JSON.parse(
    JSON.stringify(json, (key, value) => (key === "msg" || key === "message" ? "" : value)),
  );
}

test("version 3 searches by attributes, which this Jaeger does not", async () => {
  const attributes = encodeURIComponent('{"i":"5"}');
  const path = `/api/v3/traces?query.service_name=front&query.attributes=${attributes}&${IN_TIME}`;
  const ours = await ask(`http://127.0.0.1:${ui.port}`, path);
  assert.deepEqual(new Set(spansOf(ours).map(({ traceId }) => traceId)), new Set([TRACE]));
});

test("dependencies are Jaeger's, but for the calls of a service to itself", async () => {
  const path = `/api/dependencies?endTs=${Date.now() + 60_000}&lookback=3600000`;
  const between = ({ json }: Answer): unknown => {
    const data = typeof json === "object" && json !== null && "data" in json ? json.data : [];
    assert.ok(Array.isArray(data));
    return data.filter((one: { parent?: unknown; child?: unknown }) => one.parent !== one.child);
  };
  const theirs = await ask(jaeger.queryUrl, path);
  const ours = await ask(`http://127.0.0.1:${ui.port}`, path);
  assert.deepEqual(between(ours), between(theirs));
  assert.deepEqual(between(ours), [{ parent: "front", child: "back", callCount: 1 }]);
});
