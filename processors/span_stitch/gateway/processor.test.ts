// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Outcome } from "../../../src/model/batch.ts";
import { fromOtlpJson } from "../../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../../src/pdata/requests.ts";
import { JointWriter } from "../../../src/stitching/joints.ts";
import { createMemoryTelemetry } from "../../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "../config.ts";
import { createGateway } from "./processor.ts";

function batch(n: number): Batch {
  const span = {
    ...{ traceId: String(n).padStart(32, "a"), spanId: String(n).padStart(16, "b") },
    ...{ kind: 3, name: "GET" },
  };
  const encoded = fromOtlpJson(
    REQUESTS.traces.request,
    JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }),
  );
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: 1, bytes: bytes.length };
}

function running(options: object) {
  const { telemetry, value } = createMemoryTelemetry();
  const processor = createGateway(
    {
      ...{ id: "span_stitch", telemetry, buildInfo: { version: "0" } },
      ...{ signal: "traces", pipelineId: "traces" },
    },
    configSchema.parse({ mode: "gateway", gateway: { window: "10m" }, ...options }),
  );
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  processor.process(input).subscribe((one) => out.push(one));
  const name = (metric: string): string =>
    `backstitch_span_stitch_gateway_${metric}{processor="span_stitch"}`;
  return { input, out, count: async (metric: string) => await value(name(metric)) };
}

test("who cannot send again is answered at once; a log waits until the batch is through", () => {
  const { input, out } = running({});
  const answers: string[] = [];
  const receipt = (name: string) => ({
    settle: ({ kind }: Outcome) => answers.push(`${name} ${kind}`),
  });
  input.next({ ...batch(1), receipt: receipt("agent") });
  input.next({ ...batch(2), receipt: receipt("log"), isReplayable: true });
  assert.deepEqual(answers, ["agent accepted"]);
  input.complete();
  assert.deepEqual(
    out.map((one) => one.receipt === undefined),
    [true, false],
  );
  out[1]?.receipt?.settle({ kind: "refused", retryable: true, message: "later" });
  assert.deepEqual(answers, ["agent accepted", "log refused"]);
});

test("joints are learnt, answered and not sent on", async () => {
  const { input, out, count } = running({});
  const joints = new JointWriter().jointsOf(batch(1));
  assert.ok(joints !== undefined);
  const answers: Outcome[] = [];
  const receipt = { settle: (outcome: Outcome) => answers.push(outcome) };
  input.next({ ...joints, receipt, isReplayable: true });
  const own = batch(2);
  const chunks = [...joints.chunks, ...own.chunks];
  input.next({ ...own, chunks, items: 2, bytes: own.bytes + joints.bytes });
  input.complete();
  assert.deepEqual(answers, [{ kind: "accepted" }]);
  assert.deepEqual(
    out.map(({ items, bytes }) => [items, bytes]),
    [[1, own.bytes]],
  );
  assert.equal(await count("learned_joints"), 2);
});

test("with more than it may hold, the oldest go on before their window is over, and it is counted", async () => {
  const { input, out, count } = running({ max_held_spans: 3 });
  for (let n = 1; n <= 5; n++) input.next(batch(n));
  assert.equal(out.length, 2);
  assert.equal(await count("forced_out_batches"), 2);
  input.complete();
  assert.equal(out.length, 5);
});

test("a batch that is no request is counted as failed, and the next goes on", () => {
  const { input, out } = running({});
  const bytes = Uint8Array.of(0x0a, 0x05, 0x12);
  const answers: Outcome[] = [];
  const receipt = { settle: (outcome: Outcome) => answers.push(outcome) };
  input.next({ signal: "traces", chunks: [bytes], items: 1, bytes: 3, receipt });
  input.next(batch(1));
  input.complete();
  assert.equal(out.length, 1);
  assert.equal(answers[0]?.kind, "refused");
});
