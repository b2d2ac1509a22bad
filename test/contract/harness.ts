// SPDX-License-Identifier: Apache-2.0
/** Runs any component of the registry in a real topology between a source and a sink of the test. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { BehaviorSubject, Subject } from "rxjs";
import { z } from "zod";
import { defineExporter, defineReceiver, type Factory } from "../../src/component/component.ts";
import { loadConfig } from "../../src/config/load.ts";
import { type Batch, type Outcome, SIGNALS, type Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createReceipt } from "../../src/pipeline/receipt.ts";
import { Service } from "../../src/pipeline/service.ts";
import { FACTORIES } from "../../src/registry.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";

/** A drain that takes longer is cut: the test then fails, and does not wait for ever. */
const DRAIN_MS = 60_000;

/** For a shutdown that is to end by itself. */
export function drainSignal(): AbortSignal {
  return AbortSignal.timeout(DRAIN_MS);
}

const running = new Set<Harness>();

/** Ends what a test that failed has left, so that the process can end. */
export async function endAll(): Promise<void> {
  const left = [...running];
  running.clear();
  await Promise.all(left.map(({ topology }) => topology.shutdown(AbortSignal.abort())));
}

const empty = z.strictObject({});
const idle = { start: async () => {}, shutdown: async () => {} };

/** A valid request of `spans` spans, each in a trace of its own. */
export function spansOf(spans: number, seed: number): Batch {
  const list = Array.from({ length: spans }, (_, at) => ({
    traceId: (seed * 1_000 + at + 1).toString(16).padStart(32, "0"),
    spanId: (seed * 1_000 + at + 1).toString(16).padStart(16, "0"),
    name: `span ${at}`,
    kind: 2,
    startTimeUnixNano: "1700000000000000000",
    endTimeUnixNano: "1700000000001000000",
  }));
  const service = { key: "service.name", value: { stringValue: "contract" } };
  const decoded = fromOtlpJson(
    REQUESTS.traces.request,
    JSON.stringify({
      resourceSpans: [{ resource: { attributes: [service] }, scopeSpans: [{ spans: list }] }],
    }),
  );
  assert.ok("bytes" in decoded, "the test's own request is valid");
  const { bytes } = decoded;
  return { signal: "traces", chunks: [bytes], items: spans, bytes: bytes.length };
}

/** Bytes that are no OTLP at all, and a message that ends in the middle. */
export function poisonBatches(): Batch[] {
  const good = spansOf(3, 900).chunks[0] ?? new Uint8Array();
  const chunks = [
    Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff),
    new Uint8Array(64).fill(0x0a),
    good.slice(0, good.length - 7),
    new Uint8Array(0),
  ];
  return chunks.map((chunk) => ({
    signal: "traces",
    chunks: [chunk],
    items: 3,
    bytes: chunk.length,
  }));
}

export interface Tally {
  emitted: number;
  settled: number;
  refused: number;
}

/** One pipeline with the parts that a test names; what is not named is the test's own. */
export class Harness {
  readonly memory: MemoryTelemetry = createMemoryTelemetry();
  readonly tally: Tally = { emitted: 0, settled: 0, refused: 0 };
  readonly outcomes: Outcome[] = [];
  readonly broken: string[] = [];
  itemsDelivered = 0;
  /** Items of each batch that came to the sink. */
  readonly deliveries: number[] = [];
  /** What came to the sink. */
  readonly chunks: Uint8Array[] = [];
  demand = true;
  readonly #source = new Subject<Batch>();
  readonly topology: Service;

  constructor(parts: {
    readonly receiver?: string;
    readonly processor?: string;
    readonly exporter?: string;
    /** Of the pipeline; traces when left out. */
    readonly signal?: Signal | undefined;
    /** Those that the parts are of; all of the registry when left out. */
    readonly factories?: readonly Factory[];
  }) {
    const receiver = parts.receiver ?? "contract_source: {}";
    const exporter = parts.exporter ?? "contract_sink: {}";
    const idOf = (part: string): string => part.slice(0, part.indexOf(":"));
    const processors = parts.processor === undefined ? "" : idOf(parts.processor);
    const yaml = `receivers: {${receiver}}
processors: {${parts.processor ?? ""}}
exporters: {${exporter}}
service: {pipelines: {${parts.signal ?? "traces"}: {receivers: [${idOf(receiver)}], processors: [${processors}], exporters: [${idOf(exporter)}]}}}`;
    const { config } = loadConfig({
      uris: [`yaml:${yaml}`],
      sets: [],
      env: {},
      readFile: () => "",
      factories: [...(parts.factories ?? FACTORIES), ...this.#ends()],
    });
    this.topology = new Service({
      config,
      buildInfo: { version: "0" },
      telemetryFor: () => this.memory.telemetry,
      logger: this.memory.telemetry.logger,
      onBroken: (id, error) => this.broken.push(`${id}: ${String(error)}`),
    });
    running.add(this);
  }

  emit(batch: Batch): void {
    this.tally.emitted++;
    const receipt = createReceipt((outcome) => {
      this.tally.settled++;
      if (outcome.kind === "refused") this.tally.refused++;
      this.outcomes.push(outcome);
    });
    this.#source.next({ ...batch, receipt });
  }

  #ends(): Factory[] {
    const source = defineReceiver({
      kind: "receiver",
      type: "contract_source",
      stability: "development",
      signals: SIGNALS,
      configSchema: empty,
      create: (settings) => {
        const watching = settings.demand.subscribe((flag) => {
          this.demand = flag;
        });
        return {
          ...idle,
          output: () => this.#source,
          shutdown: async () => watching.unsubscribe(),
        };
      },
    });
    const sink = defineExporter({
      kind: "exporter",
      type: "contract_sink",
      stability: "development",
      signals: SIGNALS,
      configSchema: empty,
      create: () => ({
        ...idle,
        ready: new BehaviorSubject(true),
        accept: (batch) => {
          this.itemsDelivered += batch.items;
          this.deliveries.push(batch.items);
          this.chunks.push(...batch.chunks);
          batch.receipt?.settle({ kind: "accepted" });
          return true;
        },
      }),
    });
    return [source, sink];
  }
}

const FIRST_PORT = 10_000;
const PORTS = 20_000;

/**
 * A port of 127.0.0.1 that was free a moment ago. Below those that the system gives to whoever
 * asks for any, so that no other process gets it in between.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

const OWN_RESOURCES = new Set([
  "CloseReq",
  "FSReqCallback",
  "FSReqPromise",
  "Immediate",
  "PipeWrap",
  "TTYWrap",
]);

/** Waits until nothing keeps the process alive that did not when `before` was taken. */
export async function leavesNothing(before: readonly string[]): Promise<void> {
  const extra = (): string[] => {
    const left = [...before];
    return activeResources().filter((name) => {
      const at = left.indexOf(name);
      if (at !== -1) left.splice(at, 1);
      return at === -1;
    });
  };
  const endMs = Date.now() + 30_000;
  while (extra().length > 0 && Date.now() < endMs) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(extra(), []);
}

/** Timers, sockets and other handles that are open now. */
export function activeResources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => !OWN_RESOURCES.has(name));
}
