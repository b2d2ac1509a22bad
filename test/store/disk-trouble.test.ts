// SPDX-License-Identifier: Apache-2.0
// A disk that is full, read-only or slow: the pipeline goes on, what is lost is counted, the page
// says it. Whole services in this process, over real file systems.
import assert from "node:assert/strict";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { StoreReader } from "../../src/store/store-reader.ts";
import { hex, temporaryDirectory, testSpan } from "../../src/store/test-support.ts";
import { eventually } from "../support/eventually.ts";
import { readOtlpJsonLines } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { type ServiceInProcess, startService } from "../support/service-in-process.ts";
import { openTab, startBrowser } from "../ui/browser.ts";
import { type SmallDisk, smallDisk } from "./small-disk.ts";

const PATIENCE_MS = 60_000;
const SPANS_PER_REQUEST = 200;

interface Dropped {
  readonly reason: string;
  readonly spans: number;
}

interface StoreStatus {
  readonly problem?: string;
  readonly dropped: readonly Dropped[];
}

/** The answer has the shape of docs/store-api.md. */
function unsafeStatus(status: unknown): { readonly store?: StoreStatus } {
  return status as { readonly store?: StoreStatus };
}

class Bench {
  readonly service: ServiceInProcess;
  readonly page: string;
  /** Where the other exporter writes. */
  readonly output: string;
  readonly #receiver: string;
  sent = 0;

  private constructor(service: ServiceInProcess, ports: readonly number[], output: string) {
    this.service = service;
    this.#receiver = `http://127.0.0.1:${ports[0]}/v1/traces`;
    this.page = `http://127.0.0.1:${ports[1]}`;
    this.output = output;
  }

  static async start(context: TestContext, directory: string, queue = "{}"): Promise<Bench> {
    const ports = await freePorts(2);
    const output = join(await temporaryDirectory(context), "spans.jsonl");
    const service = await startService(`{
      receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${ports[0]}"}}}},
      exporters: {store: {directory: ${directory}, sending_queue: ${queue}}, file: {path: ${output}}},
      extensions: {ui: {directory: ${directory}, endpoint: "127.0.0.1:${ports[1]}"}},
      service: {extensions: [ui], pipelines: {traces: {receivers: [otlp], exporters: [store, file]}}}}`);
    context.after(() => service.stop(1_000));
    return new Bench(service, ports, output);
  }

  /** Noise that does not compress. The answer's status. */
  async send(): Promise<number> {
    const spans = Array.from({ length: SPANS_PER_REQUEST }, (_, at) => {
      const noise = Math.random().toString(36).repeat(20);
      const attributes = [{ key: "noise", value: { stringValue: noise } }];
      return testSpan(this.sent + at, { traceId: hex(1, 32), attributes });
    });
    this.sent += SPANS_PER_REQUEST;
    const response = await fetch(this.#receiver, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
    });
    return response.status;
  }

  async store(): Promise<StoreStatus> {
    const answer = await fetch(`${this.page}/api/ui/status`);
    const status: unknown = await answer.json();
    return unsafeStatus(status).store ?? { dropped: [] };
  }

  async dropped(reason: string): Promise<number> {
    return (await this.store()).dropped.find((one) => one.reason === reason)?.spans ?? 0;
  }

  /** Sends until the store says that it lost some for this reason. */
  async sendUntilDropped(reason: string): Promise<void> {
    const lost = await eventually(
      async () => {
        await this.send();
        return await this.dropped(reason);
      },
      (spans) => spans > 0,
      PATIENCE_MS,
    );
    assert.ok(lost > 0, this.service.lines.slice(-20).join("\n"));
  }

  /** What the page says in its alert. */
  async alert(text: RegExp): Promise<void> {
    const browser = await startBrowser();
    try {
      const { page } = await openTab(browser);
      page.setDefaultTimeout(PATIENCE_MS);
      await page.goto(this.page);
      await page.getByRole("alert").filter({ hasText: text }).waitFor();
      await page.getByText(/spans could not be stored since the start/).waitFor();
    } finally {
      await browser.close();
    }
  }

  /** The other exporter got everything. */
  async assertPipelineWentOn(): Promise<void> {
    const count = await eventually(
      async () => readOtlpJsonLines(this.output).length,
      (spans) => spans >= this.sent,
      PATIENCE_MS,
    );
    assert.equal(count, this.sent);
  }
}

function storedSpans(directory: string): number {
  const reader = new StoreReader(directory, Date.now);
  const spans = reader.facts()?.spans ?? 0;
  reader.close();
  return spans;
}

test("a full disk: counted, said, and over when there is room", async (context) => {
  const directory = join(await temporaryDirectory(context), "mount");
  await mkdir(directory);
  const disk = await smallDisk(directory);
  try {
    const bench = await Bench.start(context, directory);
    await bench.sendUntilDropped("disk_full");
    assert.match((await bench.store()).problem ?? "", /^The disk is full: .*mount\. No spans are/);
    await bench.alert(/The disk is full/);
    await disk.enlarge();
    const problem = await eventually(
      async () => {
        assert.equal(await bench.send(), 200);
        return (await bench.store()).problem;
      },
      (text) => text === undefined,
      PATIENCE_MS,
    );
    assert.equal(problem, undefined);
    await bench.assertPipelineWentOn();
    const before = bench.sent;
    await bench.service.stop();
    assert.equal(bench.sent, before);
    const lost = bench.service.lines.filter((line) => line.startsWith("Cannot write"));
    assert.match(lost.join("\n"), /ENOSPC/);
    assert.ok(storedSpans(directory) > 0 && storedSpans(directory) < bench.sent);
  } finally {
    await disk.remove();
  }
});

test("a disk that becomes read-only: counted and said, and the pipeline goes on", async (context) => {
  const directory = join(await temporaryDirectory(context), "mount");
  await mkdir(directory);
  const disk = await smallDisk(directory);
  try {
    const bench = await startThenReadOnly(context, directory, disk);
    await bench.sendUntilDropped("read_only");
    assert.match((await bench.store()).problem ?? "", /^The disk is read-only: /);
    await bench.alert(/The disk is read-only/);
    await bench.assertPipelineWentOn();
    await bench.service.stop();
    assert.equal(storedSpans(directory), 0);
  } finally {
    await disk.remove();
  }
});

/**
 * A file system with a file that is open for writing stays writable. None is before the first span,
 * but for the agent's own metrics after ten seconds: then it is begun anew.
 */
async function startThenReadOnly(
  context: TestContext,
  directory: string,
  disk: SmallDisk,
): Promise<Bench> {
  for (let attempt = 0; ; attempt++) {
    const bench = await Bench.start(context, directory);
    try {
      await disk.readOnly();
      return bench;
    } catch (error) {
      if (attempt === 5) throw error;
      await bench.service.stop();
    }
  }
}

test("a slow disk: what finds no place is counted, the rest is kept in the end", async (context) => {
  const directory = await temporaryDirectory(context);
  const bench = await Bench.start(context, directory, "{queue_size: 3}");
  const gate = Promise.withResolvers<void>();
  const probe = await open(join(directory, "probe"), "w");
  const prototype: { write: (...args: unknown[]) => Promise<unknown> } =
    Object.getPrototypeOf(probe);
  const { write } = prototype;
  context.mock.method(prototype, "write", async function (this: unknown, ...args: unknown[]) {
    await gate.promise;
    return await write.apply(this, args);
  });
  try {
    await bench.sendUntilDropped("overloaded");
    assert.match((await bench.store()).problem ?? "", /^The disk is slower than spans arrive: /);
    await bench.alert(/slower than spans arrive/);
    await bench.assertPipelineWentOn();
  } finally {
    gate.resolve();
    await probe.close();
  }
  const lost = await bench.dropped("overloaded");
  await bench.service.stop();
  assert.equal(storedSpans(directory), bench.sent - lost);
});
