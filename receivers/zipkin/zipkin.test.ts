// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { BehaviorSubject } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { encodeZipkinProto } from "../../src/zipkin/protobuf.ts";
import { configSchema } from "./config.ts";
import { ZipkinReceiver } from "./zipkin.ts";

const SPAN = {
  traceId: "5af7183fb1d4cf5f",
  id: "6b221d5bc9e6496c",
  kind: "CLIENT",
  name: "get",
  timestamp: 1_700_000_000_000_001,
  duration: 10,
  localEndpoint: { serviceName: "shop" },
  tags: { a: "b" },
} as const;

async function run(context: TestContext) {
  const memory = createMemoryTelemetry();
  const demand = new BehaviorSubject(true);
  const receiver = new ZipkinReceiver(
    {
      id: "zipkin",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signals: new Set(["traces"] as const),
      demand,
    },
    configSchema.parse({ endpoint: "127.0.0.1:0" }),
  );
  const batches: Batch[] = [];
  const next: { outcome: Outcome } = { outcome: { kind: "accepted" } };
  receiver.output().subscribe((batch) => {
    batches.push(batch);
    batch.receipt?.settle(next.outcome);
  });
  await receiver.start({ extension: () => undefined, fatal: () => assert.fail() });
  context.after(() => receiver.shutdown(AbortSignal.abort()));
  const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${receiver.port}/api/v2/spans`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers },
    });
  return { memory, demand, batches, next, post };
}

function jsonOf(batch: Batch | undefined): string {
  const result = toOtlpJson(REQUESTS.traces.request, Buffer.concat(batch?.chunks ?? []));
  assert.ok(result.ok);
  return result.json;
}

test("JSON, packed JSON and protobuf give the same spans", async (context) => {
  const { batches, post } = await run(context);
  const json = JSON.stringify([SPAN, { ...SPAN, parentId: null, timestamp: "1700000000000001" }]);
  const answers = [
    await post(json),
    await post(gzipSync(json), { "content-encoding": "gzip" }),
    await post(Buffer.from(encodeZipkinProto([SPAN, SPAN])), {
      "content-type": "application/x-protobuf",
    }),
  ];
  assert.deepEqual(
    answers.map(({ status }) => status),
    [202, 202, 202],
  );
  assert.deepEqual(
    batches.map(({ items }) => items),
    [2, 2, 2],
  );
  assert.equal(jsonOf(batches[1]), jsonOf(batches[0]));
  assert.equal(jsonOf(batches[2]), jsonOf(batches[0]));
  assert.match(jsonOf(batches[0]), /"service.name","value":{"stringValue":"shop"}/);
});

test("what is wrong is said, and the pipeline's answer is passed on", async (context) => {
  const { memory, demand, batches, next, post } = await run(context);
  for (const [body, message] of [
    ["{", /not JSON/],
    ["{}", /expected array/],
    [JSON.stringify([{ ...SPAN, id: "xyz" }]), /0\.id: an id is up to 16 hex digits/],
    [JSON.stringify([SPAN, { ...SPAN, kind: "OTHER" }]), /1\.kind/],
    [JSON.stringify([{ ...SPAN, timestamp: -1 }]), /0\.timestamp/],
  ] as const) {
    const answer = await post(body);
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), message);
  }
  const malformed = 'backstitch_receiver_malformed_requests{receiver="zipkin",transport="http"}';
  assert.equal(await memory.value(malformed), 5);
  const proto = { "content-type": "application/x-protobuf" };
  assert.equal((await post(Uint8Array.of(0x0a, 9), proto)).status, 400);
  assert.equal((await post("[]")).status, 202);
  assert.equal((await post("x", { "content-type": "text/plain" })).status, 415);
  assert.equal(batches.length, 0);
  next.outcome = { kind: "refused", retryable: true, message: "sending queue is full" };
  const full = await post(JSON.stringify([SPAN]));
  assert.equal(`${full.status} ${await full.text()}`, "503 sending queue is full");
  assert.equal(full.headers.get("retry-after"), "1");
  next.outcome = { kind: "refused", retryable: false, message: "for good" };
  assert.equal((await post(JSON.stringify([SPAN]))).status, 500);
  demand.next(false);
  assert.equal((await post(JSON.stringify([SPAN]))).status, 503);
  const refused = 'otelcol_receiver_refused_spans{receiver="zipkin",transport="http"}';
  assert.equal(await memory.value(refused), 1);
});
