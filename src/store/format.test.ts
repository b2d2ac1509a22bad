// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { metricHistory } from "./metrics-query.ts";
import { QueryClock } from "./query-clock.ts";
import { searchSpans } from "./search.ts";
import { sumSeries } from "./series-query.ts";
import { StoreReader } from "./store-reader.ts";
import { body, hex, openStore, temporaryDirectory, testSpan } from "./test-support.ts";
import { traceIdBytes, visitTrace } from "./trace.ts";

/** Written by the versions of these formats. Never made anew: a later format gets its own. */
const GOLDENS = join(import.meta.dirname, "goldens");
const FORMATS = ["format-1", "format-2"] as const;
const QUERY = { attributes: [], startUs: 0, endUs: 2 ** 52, limit: 1_000 };

async function copied(context: TestContext, format: string): Promise<string> {
  const directory = await temporaryDirectory(context);
  await cp(join(GOLDENS, format), directory, { recursive: true });
  return directory;
}

for (const format of FORMATS) {
  test(`files of ${format} are read: searches, traces, rates`, async (context) => {
    const reader = new StoreReader(await copied(context, format), Date.now);
    context.after(() => reader.close());
    const clock = new QueryClock(10_000);
    assert.deepEqual(reader.facts()?.setAside, []);
    const all = await searchSpans(reader, QUERY, clock);
    assert.equal(all.spans.length, 33);
    const failed = await searchSpans(reader, { ...QUERY, status: 2, service: "front" }, clock);
    assert.deepEqual(
      failed.spans.map(({ spanId }) => spanId),
      [21, 11, 1].map((id) => hex(id, 16)),
    );
    const back = await searchSpans(reader, { ...QUERY, service: "back", limit: 1 }, clock);
    assert.deepEqual(back.spans, [
      {
        traceId: hex(11, 32),
        spanId: hex(103, 16),
        parentSpanId: hex(21, 16),
        service: "back",
        name: "operation 0",
        kind: 3,
        status: 0,
        startUs: 1_767_225_600_102_000,
        durationNs: 1_000_000,
      },
    ]);
    let spans = 0;
    const traceId = traceIdBytes("2") ?? Buffer.alloc(0);
    await visitTrace(reader, { traceId, clock }, () => ++spans > 0);
    assert.equal(spans, 10);
    const sum = await sumSeries(reader, { range: { startMs: 0, endMs: 2 ** 45 }, clock });
    const requests = sum.operations.reduce((total, { tally }) => total + tally.requests, 0);
    assert.equal(requests, 33);
    const toDatabase = sum.edges.find(({ one }) => one.to.kind === "database");
    assert.deepEqual([toDatabase?.one.from.name, toDatabase?.one.to.system], ["back", "redis"]);
    assert.equal(toDatabase?.tally.requests, 3);
  });

  test(`a store of ${format} is written on`, async (context) => {
    const directory = await copied(context, format);
    const { writer } = await openStore(context, directory);
    await writer.append({ chunks: [body("front", [testSpan(500)])] });
    await writer.close();
    const reader = new StoreReader(directory, Date.now);
    context.after(() => reader.close());
    assert.equal(reader.facts()?.spans, 34);
  });
}

test("files of format 2 have attributes to search by and the agent's own metrics", async (context) => {
  const reader = new StoreReader(await copied(context, "format-2"), Date.now);
  context.after(() => reader.close());
  const clock = new QueryClock(10_000);
  const attributes = [{ key: "http.response.status_code", value: "207" }];
  const found = await searchSpans(reader, { ...QUERY, attributes }, clock);
  assert.deepEqual(
    found.spans.map(({ spanId }) => spanId),
    [hex(8, 16)],
  );
  const redis = [{ key: "db.system.name", value: "redis" }];
  assert.equal((await searchSpans(reader, { ...QUERY, attributes: redis }, clock)).spans.length, 3);
  const asked = { seconds: 60, nowMs: 1_767_225_712_000, clock };
  const queue = await metricHistory(reader, { ...asked, metric: "otelcol_exporter_queue_size" });
  assert.deepEqual(queue.series, [
    {
      labels: { exporter: "store", data_type: "traces" },
      values: [null, null, null, null, null, 3],
    },
  ]);
});

test("a file of a later format is left alone, and said so", async (context) => {
  const directory = await copied(context, "format-2");
  const path = join(directory, "spans-0000000001.seg");
  const bytes = await readFile(path);
  bytes.writeUInt16LE(9, 6);
  await writeFile(path, bytes);
  const reader = new StoreReader(directory, Date.now);
  context.after(() => reader.close());
  assert.deepEqual(reader.facts()?.setAside, [
    { file: "spans-0000000001.seg", reason: "format 9; this version reads formats 1 and 2" },
  ]);
  assert.deepEqual(await readFile(path), bytes);
});
