// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { MetricSample } from "../component/agent-view.ts";
import { fileName } from "./directory.ts";
import { metricHistory } from "./metrics-query.ts";
import { QueryClock } from "./query-clock.ts";
import { SeriesWriter } from "./series-writer.ts";
import { StoreReader } from "./store-reader.ts";
import { temporaryDirectory } from "./test-support.ts";

const NOW_MS = 1_800_000_000_000;

function sample(name: string, value: number, labels: Record<string, string> = {}): MetricSample {
  return { name, kind: "counter", unit: "1", description: "", labels, value };
}

/** A writer whose files are those of a store. */
function writerIn(directory: string, first = 1): SeriesWriter {
  let number = first;
  return new SeriesWriter(() => join(directory, fileName("series", number++)), 2 ** 20);
}

async function historyOf(directory: string, metric: string, seconds: number) {
  const reader = new StoreReader(directory, Date.now);
  const clock = new QueryClock(10_000);
  const history = await metricHistory(reader, { metric, seconds, nowMs: NOW_MS, clock });
  reader.close();
  return history;
}

test("a metric's history has its last values, and null where there were none", async (context) => {
  const directory = await temporaryDirectory(context);
  const writer = writerIn(directory);
  const at = (value: number): MetricSample => sample("m", value, { a: "1" });
  await writer.writeMetrics([at(1)], NOW_MS - 35_000);
  await writer.writeMetrics([sample("other", 7)], NOW_MS - 25_000);
  await writer.writeMetrics([at(2.5), sample("m", -3, { a: "2" })], NOW_MS - 9_000);
  await writer.writeMetrics([at(3e15)], NOW_MS - 1_000);
  await writer.close();
  assert.deepEqual(await historyOf(directory, "m", 40), {
    metric: "m",
    stepSeconds: 10,
    endUs: NOW_MS * 1000,
    series: [{ labels: { a: "1" }, values: [1, null, null, 3e15] }],
    truncated: false,
  });
  assert.deepEqual((await historyOf(directory, "nothing", 40)).series, []);
});

test("the history goes on over a restart, in steps that are never more than 360", async (context) => {
  const directory = await temporaryDirectory(context);
  const hours = 10 * 3_600;
  const first = writerIn(directory);
  await first.writeMetrics([sample("b", 0), sample("m", 1)], NOW_MS - 9.5 * 3_600_000);
  await first.close();
  const second = writerIn(directory, 2);
  await second.writeMetrics([sample("m", 2)], NOW_MS - 1_000);
  await second.close();
  const { stepSeconds, series } = await historyOf(directory, "m", hours);
  assert.equal(stepSeconds, 100);
  const values = series[0]?.values ?? [];
  assert.equal(values.length, 360);
  assert.deepEqual(
    values.flatMap((value, at) => (value === null ? [] : [[at, value]])),
    [
      [18, 1],
      [359, 2],
    ],
  );
});

test("a damaged frame costs its own values and the names that it brought", async (context) => {
  const directory = await temporaryDirectory(context);
  const writer = writerIn(directory);
  const ends: number[] = [];
  const path = join(directory, fileName("series", 1));
  for (const [at, name] of ["a", "b", "c"].entries()) {
    const samples = ["a", "b", "c"].slice(0, at + 1).map((one) => sample(one, at));
    await writer.writeMetrics(samples, NOW_MS - 25_000 + at * 10_000);
    ends.push((await readFile(path)).length);
    assert.equal((await historyOf(directory, name, 30)).series.length, 1, name);
  }
  await writer.close();
  const bytes = await readFile(path);
  // The last section of the second frame.
  const at = (ends[1] ?? 0) - 3;
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  await writeFile(path, bytes);
  assert.deepEqual((await historyOf(directory, "a", 30)).series[0]?.values, [0, null, 2]);
  // Its name is in a section that is whole.
  assert.deepEqual((await historyOf(directory, "b", 30)).series[0]?.values, [null, null, 2]);
  assert.deepEqual((await historyOf(directory, "c", 30)).series[0]?.values, [null, null, 2]);
  assert.deepEqual(await readdir(directory), [fileName("series", 1)]);
});
