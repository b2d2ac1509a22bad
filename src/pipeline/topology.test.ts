// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BehaviorSubject, map, type Observable, Subject } from "rxjs";
import { z } from "zod";
import {
  defineExporter,
  defineExtension,
  defineProcessor,
  defineReceiver,
  type Factory,
} from "../component/component.ts";
import { loadConfig } from "../config/load.ts";
import type { Batch } from "../model/batch.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { perBatch } from "./per-batch.ts";
import { Service } from "./service.ts";
import { batchOf, watchedBatch } from "./test-support.ts";

const NEVER_ABORTED = new AbortController().signal;
const empty = z.strictObject({});

/** Factories that write down what happens to their components. */
class Bench {
  readonly events: string[] = [];
  readonly outputs = new Map<string, Subject<Batch>>();
  readonly demands = new Map<string, boolean>();
  readonly ready = new Map<string, BehaviorSubject<boolean>>();
  readonly taken: string[] = [];
  readonly broken: string[] = [];
  finished = 0;
  readonly memory = createMemoryTelemetry();
  failStart = "";

  factories(): Factory[] {
    const receiver = defineReceiver({
      kind: "receiver",
      type: "src",
      stability: "beta",
      signals: ["traces", "metrics"],
      configSchema: empty,
      create: (settings) => {
        settings.demand.subscribe((flag) => this.demands.set(settings.id, flag));
        for (const signal of settings.signals) {
          this.outputs.set(`${settings.id} ${signal}`, new Subject());
        }
        return {
          ...this.#lifecycle(settings.id),
          output: (signal) => this.outputs.get(`${settings.id} ${signal}`) ?? new Subject(),
        };
      },
    });
    const extension = defineExtension({
      kind: "extension",
      type: "ext",
      stability: "beta",
      configSchema: empty,
      create: (settings) => ({
        ...this.#lifecycle(settings.id),
        pipelinesReady: () => this.events.push("ready"),
      }),
    });
    return [receiver, this.#processor(), this.#exporter(), extension];
  }

  topology(yaml: string): Service {
    const { config } = loadConfig({
      uris: [`yaml:${yaml}`],
      sets: [],
      env: {},
      readFile: () => "",
      factories: this.factories(),
    });
    return new Service({
      config,
      buildInfo: { version: "0" },
      telemetryFor: () => this.memory.telemetry,
      logger: this.memory.telemetry.logger,
      onBroken: (id, error) => this.broken.push(`${id} ${String(error)}`),
      onFinished: () => {
        this.finished++;
      },
    });
  }

  emit(output: string, batch: Batch): void {
    this.outputs.get(output)?.next(batch);
  }

  #lifecycle(id: string) {
    return {
      start: async () => {
        if (this.failStart === id) throw new Error("no luck");
        this.events.push(`start ${id}`);
      },
      shutdown: async () => {
        this.events.push(`stop ${id}`);
      },
    };
  }

  #processor(): Factory {
    return defineProcessor({
      kind: "processor",
      type: "work",
      stability: "beta",
      signals: ["traces", "metrics"],
      configSchema: z.strictObject({ holds: z.boolean().default(false) }),
      create: (settings, config) => {
        const ready = new BehaviorSubject(true);
        this.ready.set(`${settings.id} ${settings.pipelineId}`, ready);
        let held = 0;
        const transform = (batch: Batch): Batch | undefined => {
          if (batch.items === 666) throw new Error("poison");
          if (!config.holds) return batch;
          held += batch.items;
          return undefined;
        };
        const flush = (): Batch | undefined => (held > 0 ? batchOf(held) : undefined);
        return {
          ...this.#lifecycle(`${settings.id}@${settings.pipelineId}`),
          ready,
          process: (input) => input.pipe(perBatch(settings, transform, { flush })),
        };
      },
    });
  }

  #exporter(): Factory {
    return defineExporter({
      kind: "exporter",
      type: "out",
      stability: "beta",
      signals: ["traces", "metrics"],
      configSchema: empty,
      create: (settings) => {
        const ready = new BehaviorSubject(true);
        this.ready.set(`${settings.id} ${settings.signal}`, ready);
        return {
          ...this.#lifecycle(`${settings.id} ${settings.signal}`),
          ready,
          accept: (batch) => {
            if (batch.items === 13) throw new Error("unlucky");
            if (batch.items === 99) return false;
            this.taken.push(`${settings.id} ${settings.signal} ${batch.items}`);
            batch.receipt?.settle({ kind: "accepted" });
            return true;
          },
        };
      },
    });
  }
}

const SHARED = `{
  receivers: {src: {}}, processors: {work: {}}, exporters: {out: {}, out/2: {}}, extensions: {ext: {}},
  service: {extensions: [ext], pipelines: {
    traces: {receivers: [src], processors: [work], exporters: [out]},
    traces/b: {receivers: [src], exporters: [out, out/2]},
    metrics: {receivers: [src], processors: [work], exporters: [out]}}}}`;

test("starts extensions, exporters, processors, receivers; stops the other way", async () => {
  const bench = new Bench();
  const topology = bench.topology(SHARED);
  await topology.start();
  const started = bench.events.splice(0);
  assert.equal(started[0], "start ext");
  assert.deepEqual(started.slice(1, 4).sort(), [
    "start out metrics",
    "start out traces",
    "start out/2 traces",
  ]);
  assert.deepEqual(started.slice(4), [
    "start work@metrics",
    "start work@traces",
    "start src",
    "ready",
  ]);
  await topology.shutdown(NEVER_ABORTED);
  assert.equal(bench.events[0], "stop src");
  assert.deepEqual(bench.events.slice(1, 3).sort(), ["stop work@metrics", "stop work@traces"]);
  assert.equal(bench.events.at(-1), "stop ext");
});

test("one receiver feeds every pipeline of a signal, one exporter an id and signal takes all", async () => {
  const bench = new Bench();
  const topology = bench.topology(SHARED);
  await topology.start();
  bench.emit("src traces", batchOf(5));
  bench.emit("src metrics", batchOf(7, 7, "metrics"));
  assert.deepEqual(bench.taken.sort(), [
    "out metrics 7",
    "out traces 5",
    "out traces 5",
    "out/2 traces 5",
  ]);
  const { memory } = bench;
  const accepted = 'otelcol_receiver_accepted_spans{receiver="src",transport=""}';
  assert.equal(await memory.value(accepted), 5);
  const incoming = 'otelcol_processor_incoming_items{otel_signal="metrics",processor="work"}';
  assert.equal(await memory.value(incoming), 7);
  await topology.shutdown(NEVER_ABORTED);
});

test("a receipt settles after all branches, with the worst outcome, and is counted as refused", async () => {
  const bench = new Bench();
  const topology = bench.topology(SHARED);
  await topology.start();
  const fine = watchedBatch(5);
  bench.emit("src traces", { ...fine.batch, transport: "grpc" });
  assert.deepEqual(fine.outcome(), { kind: "accepted" });
  const refused = watchedBatch(99);
  bench.emit("src traces", refused.batch);
  assert.deepEqual(refused.outcome(), {
    kind: "refused",
    retryable: true,
    message: 'exporter "out": sending queue is full',
  });
  const value = (series: string): Promise<number> => bench.memory.value(series);
  assert.equal(await value('otelcol_receiver_accepted_spans{receiver="src",transport="grpc"}'), 5);
  assert.equal(await value('otelcol_receiver_refused_spans{receiver="src",transport=""}'), 99);
  assert.equal(await value('otelcol_exporter_enqueue_failed_spans{exporter="out"}'), 198);
  await topology.shutdown(NEVER_ABORTED);
});

test("a poison batch costs itself, in a processor and in an exporter", async () => {
  const bench = new Bench();
  const topology = bench.topology(SHARED);
  await topology.start();
  for (const items of [666, 13, 5]) bench.emit("src metrics", batchOf(items, 1, "metrics"));
  assert.deepEqual(bench.taken, ["out metrics 5"]);
  assert.deepEqual(bench.broken, []);
  const value = (series: string): Promise<number> => bench.memory.value(series);
  assert.equal(
    await value('otelcol_processor_failed_items{otel_signal="metrics",processor="work"}'),
    666,
  );
  assert.equal(await value('otelcol_exporter_enqueue_failed_metric_points{exporter="out"}'), 13);
  await topology.shutdown(NEVER_ABORTED);
});

test("demand closes while anything downstream is not ready", async () => {
  const bench = new Bench();
  const topology = bench.topology(SHARED);
  assert.equal(bench.demands.get("src"), true);
  bench.ready.get("out/2 traces")?.next(false);
  assert.equal(bench.demands.get("src"), false);
  bench.ready.get("work metrics")?.next(false);
  bench.ready.get("out/2 traces")?.next(true);
  assert.equal(bench.demands.get("src"), false);
  bench.ready.get("work metrics")?.next(true);
  assert.equal(bench.demands.get("src"), true);
  await topology.shutdown(NEVER_ABORTED);
});

test("shutdown flushes what processors hold before exporters stop", async () => {
  const bench = new Bench();
  const topology = bench.topology(`{
    receivers: {src: {}}, processors: {work: {holds: true}, work/2: {holds: true}}, exporters: {out: {}},
    service: {pipelines: {traces: {receivers: [src], processors: [work, work/2], exporters: [out]}}}}`);
  await topology.start();
  bench.emit("src traces", batchOf(3));
  bench.emit("src traces", batchOf(4));
  assert.deepEqual(bench.taken, []);
  await topology.shutdown(NEVER_ABORTED);
  await topology.shutdown(NEVER_ABORTED);
  assert.deepEqual(bench.taken, ["out traces 7"]);
  assert.equal(bench.events.filter((event) => event.startsWith("stop")).length, 4);
});

test("a component that cannot start says which, and what was started is shut down", async () => {
  const bench = new Bench();
  bench.failStart = "src";
  const topology = bench.topology(SHARED);
  await assert.rejects(topology.start(), {
    message: 'cannot start pipelines: failed to start "src" receiver: no luck',
  });
  await topology.shutdown(NEVER_ABORTED);
  assert.ok(bench.events.includes("stop out traces"));
  assert.ok(bench.events.includes("stop ext"));
});

test("a processor whose stream ends with an error asks for an orderly end", async () => {
  const bench = new Bench();
  const broken = defineProcessor({
    kind: "processor",
    type: "broken",
    stability: "beta",
    signals: ["traces"],
    configSchema: empty,
    create: () => ({
      start: async () => {},
      shutdown: async () => {},
      process: (input: Observable<Batch>) =>
        input.pipe(
          map((): Batch => {
            throw new Error("finished");
          }),
        ),
    }),
  });
  const factories = [...bench.factories(), broken];
  bench.factories = () => factories;
  const topology = bench.topology(`{
    receivers: {src: {}}, processors: {broken: {}}, exporters: {out: {}},
    service: {pipelines: {traces: {receivers: [src], processors: [broken], exporters: [out]}}}}`);
  await topology.start();
  bench.emit("src traces", batchOf(1));
  assert.deepEqual(bench.broken, ["broken Error: finished"]);
  await topology.shutdown(NEVER_ABORTED);
});

test("when every output of every receiver has completed, and not before, there is no more to come", async () => {
  const bench = new Bench();
  const topology = bench.topology(`
receivers: {src/a: , src/b: }
exporters: {out: }
service:
  pipelines:
    traces: {receivers: [src/a, src/b], exporters: [out]}
    metrics: {receivers: [src/b], exporters: [out]}`);
  await topology.start();
  bench.outputs.get("src/a traces")?.complete();
  bench.outputs.get("src/b traces")?.complete();
  assert.equal(bench.finished, 0);
  bench.outputs.get("src/b metrics")?.complete();
  assert.equal(bench.finished, 1);
  await topology.shutdown(NEVER_ABORTED);
  assert.equal(bench.finished, 1);
});

test("outputs that complete because of a shutdown say nothing about what is to come", async () => {
  const bench = new Bench();
  const topology = bench.topology(`
receivers: {src/a: }
exporters: {out: }
service: {pipelines: {traces: {receivers: [src/a], exporters: [out]}}}`);
  await topology.start();
  const stopped = topology.shutdown(NEVER_ABORTED);
  bench.outputs.get("src/a traces")?.complete();
  await stopped;
  assert.equal(bench.finished, 0);
});
