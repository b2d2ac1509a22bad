// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a span of the attributes, filter and resource processors: node bench/attributes.ts
import { Subject } from "rxjs";
import type { Batch } from "../src/model/batch.ts";
import { fromOtlpJson } from "../src/pdata/json-decode.ts";
import { REQUESTS } from "../src/pdata/requests.ts";
import { FACTORIES } from "../src/registry.ts";
import { createMemoryTelemetry } from "../src/telemetry/memory-telemetry.ts";

const SPANS = 100;
const ROUNDS = 3_000;

/** The load of the Collector's measurements: 100 spans a request with 10 attributes each. */
function request(): Uint8Array {
  const attributes = Array.from({ length: 10 }, (_, at) => ({
    key: `attribute.number.${at}`,
    value: { stringValue: `the value of number ${at}` },
  }));
  const span = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "00f067aa0ba902b7",
    name: "GET /orders",
    kind: 2,
    startTimeUnixNano: "1700000000000000000",
    endTimeUnixNano: "1700000000001000000",
    attributes,
  };
  const spans = Array.from({ length: SPANS }, () => span);
  const resource = { attributes: attributes.slice(0, 4) };
  const json = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  const encoded = fromOtlpJson(REQUESTS.traces.request, json);
  if (!encoded.ok) throw new Error("the request is valid");
  return encoded.bytes;
}

function nsPerSpan(type: string, options: object): number {
  const factory = FACTORIES.find((known) => known.kind === "processor" && known.type === type);
  if (factory?.kind !== "processor") throw new Error(`no processor ${type}`);
  const { telemetry } = createMemoryTelemetry();
  const processor = factory.create(
    { id: type, telemetry, buildInfo: { version: "0" }, signal: "traces", pipelineId: "traces" },
    factory.configSchema.parse(options),
  );
  const input = new Subject<Batch>();
  let bytes = 0;
  processor.process(input).subscribe((batch) => {
    bytes += batch.bytes;
  });
  const chunk = request();
  const batch: Batch = { signal: "traces", chunks: [chunk], items: SPANS, bytes: chunk.length };
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 4; run++) {
    const startNs = process.hrtime.bigint();
    for (let round = 0; round < ROUNDS; round++) input.next(batch);
    best = Math.min(best, Number(process.hrtime.bigint() - startNs) / ROUNDS / SPANS);
  }
  return bytes > 0 ? best : Number.NaN;
}

const CASES: readonly (readonly [string, string, object])[] = [
  [
    "attributes: upsert, update, delete",
    "attributes",
    {
      actions: [
        { key: "environment", value: "production", action: "upsert" },
        { key: "attribute.number.3", value: "new", action: "update" },
        { key: "attribute.number.7", action: "delete" },
      ],
    },
  ],
  [
    "attributes: nothing to change",
    "attributes",
    { actions: [{ key: "missing", action: "delete" }] },
  ],
  [
    "filter: two conditions, nothing dropped",
    "filter",
    {
      traces: {
        span: ['attributes["attribute.number.5"] == "no"', 'name == "GET /healthz" and kind == 3'],
      },
    },
  ],
  [
    "resource: upsert",
    "resource",
    { attributes: [{ key: "environment", value: "production", action: "upsert" }] },
  ],
];

for (const [name, type, options] of CASES) {
  process.stdout.write(`${name}: ${nsPerSpan(type, options).toFixed(0)} ns a span\n`);
}
