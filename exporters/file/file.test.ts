// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Exporter } from "../../src/component/component.ts";
import type { Batch, Outcome, Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

const HOST = { extension: () => undefined, fatal: () => undefined };
const TRACES = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}';
const LOGS = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9}]}]}]}';

async function folder(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "backstitch-file-"));
  context.after(() => rm(path, { recursive: true }));
  return path;
}

function exporter(signal: Signal, options: object): Exporter {
  const { telemetry } = createMemoryTelemetry();
  return factory.create(
    { id: "file", telemetry, buildInfo: { version: "1" }, signal },
    configSchema.parse(options),
  );
}

function batch(signal: "traces" | "logs", json: string, times = 1): Batch {
  const result = fromOtlpJson(REQUESTS[signal].request, json);
  assert.ok(result.ok);
  const chunks = Array.from({ length: times }, () => result.bytes);
  return { signal, chunks, items: times, bytes: result.bytes.length * times };
}

const ended = (): AbortSignal => AbortSignal.timeout(1_000);

test("every batch is one line of OTLP/JSON, several signals in one file", async (context) => {
  const path = join(await folder(context), "deep", "out.jsonl");
  const traces = exporter("traces", { path, create_directory: true });
  const logs = exporter("logs", { path });
  await traces.start(HOST);
  await logs.start(HOST);
  const outcomes: Outcome[] = [];
  const receipt = { settle: (outcome: Outcome) => void outcomes.push(outcome) };
  traces.accept({ ...batch("traces", TRACES), receipt });
  await traces.shutdown(ended());
  logs.accept(batch("logs", LOGS));
  await logs.shutdown(ended());
  assert.equal(await readFile(path, "utf8"), `${TRACES}\n${LOGS}\n`);
  assert.deepEqual(outcomes, [{ kind: "accepted" }]);
});

test("the chunks of a batch stand in one object", async (context) => {
  const path = join(await folder(context), "out.jsonl");
  const traces = exporter("traces", { path });
  await traces.start(HOST);
  traces.accept(batch("traces", TRACES, 2));
  await traces.shutdown(ended());
  const parsed: unknown = JSON.parse(await readFile(path, "utf8"));
  const one: unknown = JSON.parse(TRACES);
  assert.ok(typeof parsed === "object" && parsed !== null && "resourceSpans" in parsed);
  assert.ok(typeof one === "object" && one !== null && "resourceSpans" in one);
  assert.deepEqual(parsed.resourceSpans, [one.resourceSpans, one.resourceSpans].flat());
});

test("the file is emptied at start unless append is set", async (context) => {
  const path = join(await folder(context), "out.jsonl");
  for (const [append, expected] of [
    [true, `old\n${TRACES}\n`],
    [false, `${TRACES}\n`],
  ] as const) {
    await writeFile(path, "old\n");
    const traces = exporter("traces", { path, append });
    await traces.start(HOST);
    traces.accept(batch("traces", TRACES));
    await traces.shutdown(ended());
    assert.equal(await readFile(path, "utf8"), expected);
  }
});

test("a path that cannot be written is an error at start", async (context) => {
  const path = join(await folder(context), "missing", "out.jsonl");
  const traces = exporter("traces", { path });
  await assert.rejects(traces.start(HOST), /cannot write .*out\.jsonl: ENOENT.*Check the path/);
  await traces.shutdown(ended());
});

test("a path is required", () => {
  assert.match(configSchema.safeParse({}).error?.message ?? "", /path must be non-empty/);
});
