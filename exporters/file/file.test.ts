// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
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

/** Messages one after the other, each behind its length. */
function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    messages.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return messages;
}

test("protobuf and compressed messages stand behind their length", async (context) => {
  const path = join(await folder(context), "out");
  const sent = batch("traces", TRACES);
  const [bytes] = sent.chunks;
  for (const [options, unpack] of [
    [{ format: "proto" }, (message: Buffer) => message],
    [{ format: "proto", compression: "zstd" }, (message: Buffer) => zstdDecompressSync(message)],
    [
      { compression: "zstd" },
      (message: Buffer) => {
        const json = fromOtlpJson(REQUESTS.traces.request, zstdDecompressSync(message));
        assert.ok(json.ok);
        return json.bytes;
      },
    ],
  ] as const) {
    const traces = exporter("traces", { path, ...options });
    await traces.start(HOST);
    traces.accept(sent);
    traces.accept(sent);
    await traces.shutdown(ended());
    const messages = messagesOf(await readFile(path)).map(unpack);
    assert.deepEqual(
      messages.map(Buffer.from),
      [bytes, bytes].map((one) => Buffer.from(one ?? [])),
    );
  }
});

test("a file that is full is renamed, and the oldest are removed", async (context) => {
  const directory = await folder(context);
  const path = join(directory, "out.jsonl");
  await writeFile(join(directory, "out-notes.jsonl"), "not ours");
  const rotation = { max_megabytes: 1, max_backups: 2 };
  const traces = exporter("traces", { path, rotation });
  await traces.start(HOST);
  // Lines of 400 KB: two in a file of a MiB.
  const name = "n".repeat(400_000);
  for (let at = 0; at < 10; at++) {
    traces.accept(batch("traces", TRACES.replace('"a"', `"${at}${name}"`)));
  }
  await traces.shutdown(ended());
  const names = (await readdir(directory)).sort();
  const turned = names.filter((one) =>
    /^out-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.jsonl$/.test(one),
  );
  assert.equal(turned.length, 2);
  assert.deepEqual(names, [...turned, "out-notes.jsonl", "out.jsonl"].sort());
  const firstOf = async (file: string): Promise<string[]> =>
    (await readFile(join(directory, file), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => /"name":"(\d)n/.exec(line)?.[1] ?? "");
  assert.deepEqual(await Promise.all(turned.map(firstOf)), [
    ["4", "5"],
    ["6", "7"],
  ]);
  assert.deepEqual(await firstOf("out.jsonl"), ["8", "9"]);
});

test("group_by writes resources to files of their own, and nowhere else", async (context) => {
  const directory = await folder(context);
  const group_by = { enabled: true, resource_attribute: "service.name", max_open_files: 1 };
  const traces = exporter("traces", { path: join(directory, "logs/*.jsonl"), group_by });
  await traces.start(HOST);
  const of = (service: string | undefined, span: string): object => ({
    resource:
      service === undefined
        ? {}
        : { attributes: [{ key: "service.name", value: { stringValue: service } }] },
    scopeSpans: [{ spans: [{ name: span }] }],
  });
  const services = ["a", "team/b", undefined, "../../c", "a"];
  const resourceSpans = services.map((service, at) => of(service, String(at)));
  traces.accept(batch("traces", JSON.stringify({ resourceSpans })));
  traces.accept(batch("traces", JSON.stringify({ resourceSpans: [of("a", "5")] })));
  await traces.shutdown(ended());
  const spansIn = async (file: string): Promise<string[]> => {
    const text = await readFile(join(directory, "logs", file), "utf8");
    return [...text.matchAll(/"name":"(\d)"/g)].map(([, name = ""]) => name);
  };
  assert.deepEqual((await readdir(directory)).sort(), ["logs"]);
  assert.deepEqual(await spansIn("a.jsonl"), ["0", "4", "5"]);
  assert.deepEqual(await spansIn("team/b.jsonl"), ["1"]);
  assert.deepEqual(await spansIn("MISSING.jsonl"), ["2"]);
  assert.deepEqual(await spansIn("c.jsonl"), ["3"]);
});

test("options that exclude each other are refused", () => {
  const problem = (input: object): string =>
    configSchema.safeParse({ path: "x", ...input }).error?.issues[0]?.message ?? "";
  assert.match(problem({ append: true, compression: "zstd" }), /append and compression/);
  assert.match(problem({ append: true, rotation: {} }), /append and rotation/);
  assert.match(problem({ group_by: { enabled: true } }), /exactly one \*/);
  assert.match(problem({ path: "*/x", group_by: { enabled: true } }), /must not start with \*/);
  assert.match(problem({ path: "a/*", group_by: { enabled: true }, rotation: {} }), /rotation and/);
  assert.match(problem({ directory_permissions: "999" }), /octal/);
});
