// SPDX-License-Identifier: Apache-2.0
import { Observable } from "rxjs";
import { rewriteBatch } from "../../src/attributes/rewrite-batch.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { ConntrackWatcher } from "../../src/conntrack/conntrack-watcher.ts";
import { NatTable } from "../../src/conntrack/nat-table.ts";
import type { Batch } from "../../src/model/batch.ts";
import { DelayLine } from "../../src/pipeline/delay-line.ts";
import { createFailures, perBatch } from "../../src/pipeline/per-batch.ts";
import type { NatRewriteConfig } from "./config.ts";
import { type Counts, createCounts } from "./counts.ts";
import { Destinations } from "./destinations.ts";
import { Pairs } from "./pairs.ts";
import { createSpanReader, createSpanRewriter } from "./rewrite.ts";
import { createPointRewriter } from "./rewrite-points.ts";
import { ServiceWatcher } from "./service-watcher.ts";

const NS_PER_MS = 1e6;
const BYTES_PER_MIB = 2 ** 20;
/** Connections that ended earlier say nothing about a data point. */
const POINT_AGE_MS = 60_000;

/** `nowMs` is for tests: milliseconds of the epoch. */
export function createNatRewrite(
  settings: PipelineSettings,
  config: NatRewriteConfig,
  nowMs: () => number = Date.now,
): Processor {
  const { conntrack } = config;
  const counts = createCounts(settings.telemetry, settings.id);
  const table = conntrack.enabled ? new NatTable(conntrack.max_entries) : undefined;
  const watcher =
    table === undefined
      ? undefined
      : new ConntrackWatcher({
          ...{ telemetry: settings.telemetry, id: settings.id, table, nowMs },
          namespaces: conntrack.namespaces,
          namespacesMax: conntrack.max_namespaces,
          resyncMs: conntrack.resync_interval,
          rememberMs: conntrack.remember,
        });
  const { telemetry, id } = settings;
  const services = config.kubernetes.enabled
    ? new ServiceWatcher({ config: config.kubernetes, telemetry, id, nowMs })
    : undefined;
  const catchUp = (): void => watcher?.catchUp();
  const parts = { settings, config, counts, table, services, nowMs, catchUp };
  return {
    process: settings.signal === "metrics" ? pointProcess(parts) : spanProcess(parts),
    start: async () => {
      services?.start();
      watcher?.start();
    },
    shutdown: async () => {
      watcher?.stop();
      await services?.stop();
    },
  };
}

interface Parts {
  readonly settings: PipelineSettings;
  readonly config: NatRewriteConfig;
  readonly counts: Counts;
  readonly table: NatTable | undefined;
  readonly services: ServiceWatcher | undefined;
  readonly nowMs: () => number;
  readonly catchUp: () => void;
}

function pointProcess(parts: Parts): Processor["process"] {
  const { settings, counts, table, services, nowMs, catchUp } = parts;
  if (table === undefined && services === undefined) return (input) => input;
  const destinations = table === undefined ? undefined : new Destinations(table);
  const rewriter = createPointRewriter({
    ...{ destinations, services: services?.endpoints, counts, nowMs },
  });
  return (input) =>
    input.pipe(
      perBatch(settings, (batch) => {
        catchUp();
        const now = nowMs();
        destinations?.refresh((now - POINT_AGE_MS) * NS_PER_MS, now * NS_PER_MS);
        return rewriteBatch(batch, rewriter);
      }),
    );
}

function spanProcess(parts: Parts): Processor["process"] {
  const { settings, config, counts, table, services, catchUp } = parts;
  const { enabled, wait, max_pairs, max_held_mib } = config.pairs;
  const pairs = enabled ? new Pairs(max_pairs) : undefined;
  const rewriter = createSpanRewriter({ table, pairs, services: services?.endpoints, counts });
  const rewrite = (batch: Batch): Batch => {
    catchUp();
    return rewriteBatch(batch, rewriter);
  };
  if (pairs === undefined) return (input) => input.pipe(perBatch(settings, rewrite));
  const reader = createSpanReader(pairs);
  const learn = (batch: Batch): void => {
    for (const chunk of batch.chunks) reader.rewrite(chunk);
  };
  const failed = createFailures(settings);
  return (input) =>
    new Observable<Batch>((subscriber) => {
      const line = new DelayLine({
        waitMs: wait,
        bytesMax: max_held_mib * BYTES_PER_MIB,
        itemsMax: Number.POSITIVE_INFINITY,
        forcedOut: () => counts.forcedOut.add(1),
        emit: (batch) => {
          let rewritten: Batch | undefined;
          try {
            rewritten = rewrite(batch);
          } catch (error) {
            failed(batch, error);
          }
          if (rewritten !== undefined) subscriber.next(rewritten);
        },
      });
      const subscription = input.subscribe({
        next: (batch) => {
          try {
            learn(batch);
          } catch (error) {
            failed(batch, error);
            return;
          }
          line.add(batch);
        },
        error: (error) => {
          line.finish();
          subscriber.error(error);
        },
        complete: () => {
          line.finish();
          subscriber.complete();
        },
      });
      subscription.add(() => line.stop());
      return subscription;
    });
}
