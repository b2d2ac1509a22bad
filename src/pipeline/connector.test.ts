// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BehaviorSubject, concat, defer, ignoreElements, map, of, Subject, tap } from "rxjs";
import { z } from "zod";
import {
  type Connector,
  defineConnector,
  defineExporter,
  defineReceiver,
  type Factory,
} from "../component/component.ts";
import { loadConfig } from "../config/load.ts";
import type { Batch } from "../model/batch.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { Service } from "./service.ts";
import { batchOf, watchedBatch } from "./test-support.ts";

const NEVER_ABORTED = new AbortController().signal;
const empty = z.strictObject({});

/** A source, a sink, and connectors that pass on, count into metrics, or hold to the end. */
class Bench {
  readonly source = new Subject<Batch>();
  readonly events: string[] = [];
  readonly taken: string[] = [];
  readonly broken: string[] = [];
  readonly sinkReady = new Map<string, BehaviorSubject<boolean>>();
  demand = true;

  build(pipelines: string): Service {
    const { telemetry } = createMemoryTelemetry();
    const { config } = loadConfig({
      uris: [
        "yaml:{receivers: {source: {}}, exporters: {sink: {}, sink/2: {}}, " +
          "connectors: {pass: {}, pass/2: {}, tally: {}, hold: {}}, " +
          `service: {pipelines: {${pipelines}}}}`,
      ],
      sets: [],
      env: {},
      readFile: () => "",
      factories: this.#factories(),
    });
    return new Service({
      config,
      buildInfo: { version: "0" },
      telemetryFor: () => telemetry,
      logger: telemetry.logger,
      onBroken: (id, error) => this.broken.push(`${id} ${String(error)}`),
    });
  }

  #lifecycle(id: string) {
    return {
      start: async () => void this.events.push(`start ${id}`),
      shutdown: async () => void this.events.push(`stop ${id}`),
    };
  }

  #factories(): Factory[] {
    const pass = this.#connector("pass", (input) => input);
    const hold = this.#connector("hold", (input) => {
      const held: Batch[] = [];
      return concat(
        input.pipe(
          tap((batch) => held.push(batch)),
          ignoreElements(),
        ),
        defer(() => of(...held)),
      );
    });
    const tally = defineConnector({
      kind: "connector",
      type: "tally",
      stability: "beta",
      configSchema: empty,
      pairs: [{ from: "traces", to: "metrics" }],
      create: ({ id }) => ({
        ...this.#lifecycle(id),
        connect: (input) =>
          input.pipe(
            tap((batch) => batch.receipt?.settle({ kind: "accepted" })),
            map(() => batchOf(1, 1, "metrics")),
          ),
      }),
    });
    return [pass, hold, tally, ...this.#ends()];
  }

  #connector(type: string, connect: Connector["connect"]): Factory {
    return defineConnector({
      kind: "connector",
      type,
      stability: "beta",
      configSchema: empty,
      pairs: [{ from: "traces", to: "traces" }],
      create: ({ id }) => ({ ...this.#lifecycle(id), connect }),
    });
  }

  #ends(): Factory[] {
    const receiver = defineReceiver({
      kind: "receiver",
      type: "source",
      stability: "beta",
      signals: ["traces"],
      configSchema: empty,
      create: ({ id, demand }) => {
        demand.subscribe((flag) => {
          this.demand = flag;
        });
        return { ...this.#lifecycle(id), output: () => this.source };
      },
    });
    const exporter = defineExporter({
      kind: "exporter",
      type: "sink",
      stability: "beta",
      signals: ["traces", "metrics"],
      configSchema: empty,
      create: ({ id, signal }) => {
        const ready = new BehaviorSubject(true);
        this.sinkReady.set(`${id} ${signal}`, ready);
        return {
          ...this.#lifecycle(`${id} ${signal}`),
          ready,
          accept: (batch) => {
            this.taken.push(`${id} ${signal} ${batch.items}`);
            batch.receipt?.settle({ kind: "accepted" });
            return true;
          },
        };
      },
    });
    return [receiver, exporter];
  }
}

test("a connector feeds the pipelines behind it, whatever the order in the configuration", async () => {
  const bench = new Bench();
  const topology = bench.build(
    "traces/b: {receivers: [pass], exporters: [sink]}, " +
      "traces: {receivers: [source], exporters: [pass, sink/2]}, " +
      "traces/c: {receivers: [pass], exporters: [sink/2]}",
  );
  await topology.start();
  const { batch, outcome } = watchedBatch(5);
  bench.source.next(batch);
  assert.deepEqual(bench.taken.sort(), ["sink traces 5", "sink/2 traces 5", "sink/2 traces 5"]);
  assert.deepEqual(outcome(), { kind: "accepted" });
  await topology.shutdown(NEVER_ABORTED);
});

test("a connector may give another signal than it takes", async () => {
  const bench = new Bench();
  const topology = bench.build(
    "traces: {receivers: [source], exporters: [tally]}, " +
      "metrics: {receivers: [tally], exporters: [sink]}",
  );
  await topology.start();
  bench.source.next(batchOf(5));
  assert.deepEqual(bench.taken, ["sink metrics 1"]);
  await topology.shutdown(NEVER_ABORTED);
});

test("demand closes while what is behind a connector is full", async () => {
  const bench = new Bench();
  const topology = bench.build(
    "traces: {receivers: [source], exporters: [pass]}, " +
      "traces/b: {receivers: [pass], exporters: [pass/2]}, " +
      "traces/c: {receivers: [pass/2], exporters: [sink]}",
  );
  bench.sinkReady.get("sink traces")?.next(false);
  assert.equal(bench.demand, false);
  bench.sinkReady.get("sink traces")?.next(true);
  assert.equal(bench.demand, true);
  await topology.shutdown(NEVER_ABORTED);
});

test("connectors start after what they feed and before what feeds them", async () => {
  const bench = new Bench();
  const topology = bench.build(
    "traces: {receivers: [source], exporters: [pass]}, " +
      "traces/b: {receivers: [pass], exporters: [pass/2]}, " +
      "traces/c: {receivers: [pass/2], exporters: [sink]}",
  );
  await topology.start();
  assert.deepEqual(bench.events, [
    "start sink traces",
    "start pass/2",
    "start pass",
    "start source",
  ]);
  await topology.shutdown(NEVER_ABORTED);
  assert.equal(bench.events[4], "stop source");
  assert.equal(bench.events.at(-1), "stop sink traces");
});

test("what a connector holds at shutdown still goes through the pipelines behind it", async () => {
  const bench = new Bench();
  const topology = bench.build(
    "traces/b: {receivers: [hold], exporters: [tally, sink]}, " +
      "metrics: {receivers: [tally], exporters: [sink]}, " +
      "traces: {receivers: [source], exporters: [hold]}",
  );
  await topology.start();
  bench.source.next(batchOf(5));
  assert.deepEqual(bench.taken, []);
  await topology.shutdown(NEVER_ABORTED);
  assert.deepEqual(bench.taken, ["sink metrics 1", "sink traces 5"]);
  assert.deepEqual(bench.broken, []);
});
