// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BehaviorSubject, Subject } from "rxjs";
import { z } from "zod";
import {
  defineExporter,
  defineExtension,
  defineReceiver,
  type Factory,
  type Host,
} from "../component/component.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import { loadConfig } from "../config/load.ts";
import type { Batch } from "../model/batch.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { Service } from "./service.ts";

const NEVER_ABORTED = new AbortController().signal;

/** Components that write down when they start and stop, and ask for the extension `uses`. */
class Bench {
  readonly events: string[] = [];
  readonly unable = new Set<string>();
  finished = 0;
  readonly outputs = new Map<string, Subject<Batch>>();

  service(yaml: string): Service {
    const { telemetry } = createMemoryTelemetry();
    return new Service({
      config: this.config(yaml),
      buildInfo: { version: "0" },
      telemetryFor: () => telemetry,
      logger: telemetry.logger,
      onBroken: () => assert.fail("nothing breaks here"),
      onFinished: () => this.finished++,
    });
  }

  config(yaml: string): AgentConfig {
    const inputs = { sets: [], env: {}, readFile: () => "", factories: this.#factories() };
    return loadConfig({ ...inputs, uris: [`yaml:${yaml}`] }).config;
  }

  /** What was started and stopped since the last call, sorted. */
  happened(): readonly string[] {
    return this.events.splice(0).sort();
  }

  #lifecycle(id: string, uses: string | undefined) {
    return {
      start: async (host: Host) => {
        if (uses !== undefined) host.extension(uses);
        if (this.unable.has(id)) throw new Error("no luck");
        this.events.push(`+${id}`);
      },
      shutdown: async () => void this.events.push(`-${id}`),
    };
  }

  #factories(): Factory[] {
    const common = {
      stability: "beta",
      configSchema: z.strictObject({ uses: z.string().optional(), n: z.int().default(0) }),
    } as const;
    return [
      defineReceiver({
        ...common,
        kind: "receiver",
        type: "src",
        signals: ["traces"],
        create: ({ id }, { uses }) => {
          const output = new Subject<Batch>();
          this.outputs.set(id, output);
          return { ...this.#lifecycle(id, uses), output: () => output };
        },
      }),
      defineExporter({
        ...common,
        kind: "exporter",
        type: "out",
        signals: ["traces"],
        create: ({ id }, { uses }) => ({
          ...this.#lifecycle(id, uses),
          ready: new BehaviorSubject(true),
          accept: () => true,
        }),
      }),
      defineExtension({
        ...common,
        kind: "extension",
        type: "ext",
        create: ({ id }, { uses }) => this.#lifecycle(id, uses),
      }),
    ];
  }
}

/** Two islands, of which the second uses an extension that uses another. */
function yaml(changes: Partial<Record<"a" | "b" | "ext" | "ext/2" | "pipelines", string>> = {}) {
  return `{
    receivers: {src/a: {${changes.a ?? ""}}, src/b: {uses: ext}},
    exporters: {out/a: {}, out/b: {${changes.b ?? ""}}},
    extensions: {ext: {uses: ext/2, ${changes.ext ?? ""}}, ext/2: {${changes["ext/2"] ?? ""}}},
    service: {extensions: [ext/2, ext], pipelines: {${
      changes.pipelines ??
      "traces/a: {receivers: [src/a], exporters: [out/a]}, traces/b: {receivers: [src/b], exporters: [out/b]}"
    }}}}`;
}

async function started(): Promise<{ readonly bench: Bench; readonly service: Service }> {
  const bench = new Bench();
  const service = bench.service(yaml());
  await service.start();
  bench.happened();
  return { bench, service };
}

test("a change restarts the pipelines that share what has changed, and nothing else", async () => {
  const { bench, service } = await started();
  assert.equal(await service.change(bench.config(yaml()), NEVER_ABORTED), "changed");
  assert.deepEqual(bench.happened(), []);
  await service.change(bench.config(yaml({ a: "n: 1" })), NEVER_ABORTED);
  assert.deepEqual(bench.happened(), ["+out/a", "+src/a", "-out/a", "-src/a"]);
  await service.shutdown(NEVER_ABORTED);
  const all = ["-ext", "-ext/2", "-out/a", "-out/b", "-src/a", "-src/b"];
  assert.deepEqual(bench.happened(), all);
});

test("what uses an extension that has changed, directly or not, restarts with it", async () => {
  const { bench, service } = await started();
  await service.change(bench.config(yaml({ "ext/2": "n: 1" })), NEVER_ABORTED);
  const expected = ["+ext", "+ext/2", "+out/b", "+src/b", "-ext", "-ext/2", "-out/b", "-src/b"];
  assert.deepEqual(bench.happened(), expected);
  await service.shutdown(NEVER_ABORTED);
});

test("pipelines come, go and join", async () => {
  const { bench, service } = await started();
  const one = "traces/a: {receivers: [src/a], exporters: [out/a]}";
  await service.change(bench.config(yaml({ pipelines: one })), NEVER_ABORTED);
  assert.deepEqual(bench.happened(), ["-out/b", "-src/b"]);
  const joined = `${one}, traces/c: {receivers: [src/b], exporters: [out/a]}`;
  await service.change(bench.config(yaml({ pipelines: joined })), NEVER_ABORTED);
  assert.deepEqual(bench.happened(), ["+out/a", "+src/a", "+src/b", "-out/a", "-src/a"]);
  await service.shutdown(NEVER_ABORTED);
});

test("what cannot start is taken back; the rest was never stopped", async () => {
  const { bench, service } = await started();
  bench.unable.add("src/c");
  const bad = yaml({ pipelines: "traces/c: {receivers: [src/c], exporters: [out/a]}" }).replace(
    "src/a: {}",
    "src/a: {}, src/c: {}",
  );
  assert.equal(await service.change(bench.config(bad), NEVER_ABORTED), "restored");
  const events = bench.happened();
  assert.ok(events.includes("+src/a") && events.includes("+src/b"), events.join());
  assert.ok(!events.includes("-ext/2") && !events.includes("-ext"), events.join());
  bench.unable.add("src/a");
  assert.equal(await service.change(bench.config(bad), NEVER_ABORTED), "broken");
  await service.shutdown(NEVER_ABORTED);
});

test("a service is finished when all receivers of all islands are", async () => {
  const { bench, service } = await started();
  bench.outputs.get("src/a")?.complete();
  assert.equal(bench.finished, 0);
  bench.outputs.get("src/b")?.complete();
  assert.equal(bench.finished, 1);
  await service.shutdown(NEVER_ABORTED);
});
