// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch } from "../../src/model/batch.ts";
import { countItems } from "../../src/pdata/count.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { forEachSpan } from "../../src/pdata/span-view.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

const NEVER_ABORTED = new AbortController().signal;

class Bench {
  readonly memory = createMemoryTelemetry();
  readonly input = new Subject<Batch>();
  readonly out: Batch[] = [];
  readonly processor;

  constructor(options: object) {
    const settings = {
      id: "groupbytrace",
      telemetry: this.memory.telemetry,
      buildInfo: { version: "0" },
      signal: "traces",
      pipelineId: "traces",
    } as const;
    this.processor = factory.create(settings, configSchema.parse(options));
    this.processor.process(this.input).subscribe((batch) => this.out.push(batch));
  }

  /** One span of each trace in one request. */
  add(...traces: number[]): void {
    const spans = traces.map((trace) => ({
      traceId: trace.toString(16).padStart(32, "0"),
      spanId: "00f067aa0ba902b7",
      name: "work",
    }));
    const json = { resourceSpans: [{ scopeSpans: [{ spans }] }] };
    const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(json));
    assert.ok(encoded.ok);
    const { bytes } = encoded;
    this.input.next({
      signal: "traces",
      chunks: [bytes],
      items: spans.length,
      bytes: bytes.length,
    });
  }

  /** Of each batch that came out, the traces of its spans. */
  batches(): number[][] {
    return this.out.map((batch) => {
      const chunk = Buffer.concat(batch.chunks);
      assert.equal(batch.items, countItems("traces", chunk));
      assert.equal(batch.bytes, chunk.length);
      const ids: number[] = [];
      forEachSpan(chunk, (span) => ids.push(Number.parseInt(span.traceId, 16)));
      return ids;
    });
  }
}

test("each trace comes out as one batch after its time", async () => {
  const bench = new Bench({ wait_duration: "30ms" });
  await bench.processor.start({ extension: () => undefined, fatal: () => undefined });
  bench.add(1, 2, 1);
  bench.add(2);
  assert.deepEqual(bench.batches(), []);
  await eventually(
    async () => bench.batches().length,
    (count) => count === 2,
  );
  assert.deepEqual(bench.batches(), [
    [1, 1],
    [2, 2],
  ]);
  await bench.processor.shutdown(NEVER_ABORTED);
});

test("what waits at the end is passed on", () => {
  const bench = new Bench({});
  bench.add(1, 2);
  bench.add(1);
  bench.input.complete();
  assert.deepEqual(bench.batches(), [[1, 1], [2]]);
});

test("the oldest trace is passed on when there are too many, and counted", async () => {
  const bench = new Bench({ num_traces: 2 });
  bench.add(1, 2, 3);
  assert.deepEqual(bench.batches(), [[1]]);
  const name = 'otelcol_processor_groupbytrace_traces_evicted{processor="groupbytrace"}';
  assert.equal(await bench.memory.value(name), 1);
});

test("options that the Collector refuses are refused", () => {
  for (const options of [{ discard_orphans: true }, { store_on_disk: true }]) {
    const issue = configSchema.safeParse(options).error?.issues[0];
    assert.match(issue?.message ?? "", /option not supported/);
  }
  assert.equal(configSchema.safeParse({ discard_orphans: false }).success, true);
});
