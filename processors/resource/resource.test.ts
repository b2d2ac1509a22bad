// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

const ATTRIBUTES = [
  { key: "env", value: "prod", action: "upsert" },
  { key: "host", action: "delete" },
];

function run(signal: OtlpSignal, json: object, attributes: object[] = ATTRIBUTES): unknown {
  const { telemetry } = createMemoryTelemetry();
  const processor = factory.create(
    { id: "resource", telemetry, buildInfo: { version: "0" }, signal, pipelineId: signal },
    configSchema.parse({ attributes }),
  );
  const { request } = REQUESTS[signal];
  const encoded = fromOtlpJson(request, JSON.stringify(json));
  assert.ok(encoded.ok);
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  processor.process(input).subscribe((batch) => out.push(batch));
  const { bytes } = encoded;
  input.next({ signal, chunks: [bytes], items: 1, bytes: bytes.length });
  const decoded = toOtlpJson(request, Buffer.concat(out[0]?.chunks ?? []));
  assert.ok(decoded.ok);
  return JSON.parse(decoded.json);
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });

test("the attributes of each resource are changed, of every signal", () => {
  const bodies = {
    traces: ["resourceSpans", { scopeSpans: [{ spans: [{ name: "s" }] }] }],
    metrics: [
      "resourceMetrics",
      { scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: "1" }] } }] }] },
    ],
    logs: ["resourceLogs", { scopeLogs: [{ logRecords: [{ severityText: "x" }] }] }],
  } satisfies Record<OtlpSignal, [string, object]>;
  for (const signal of ["traces", "metrics", "logs"] as const) {
    const [field, below] = bodies[signal];
    const request = (...lists: object[][]) => ({
      [field]: lists.map((attributes) => ({ resource: { attributes }, ...below })),
    });
    assert.deepEqual(
      run(signal, request([text("host", "a"), text("k", "v")], [text("env", "dev")])),
      request([text("k", "v"), text("env", "prod")], [text("env", "prod")]),
    );
  }
});

test("data without a resource gets one", () => {
  const below = { scopeLogs: [{ logRecords: [{ severityText: "x" }] }] };
  assert.deepEqual(run("logs", { resourceLogs: [below] }), {
    resourceLogs: [{ resource: { attributes: [text("env", "prod")] }, ...below }],
  });
});

test("without actions the configuration is refused", () => {
  const issue = configSchema.safeParse({}).error?.issues[0];
  assert.match(issue?.message ?? "", /^missing required field "attributes"/);
});
