// SPDX-License-Identifier: Apache-2.0
import { loadConfig } from "../../src/config/load.ts";
import { Service } from "../../src/pipeline/service.ts";
import { FACTORIES } from "../../src/registry.ts";
import { samplesOf } from "../../src/telemetry/metric-samples.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { telemetryOver } from "../../src/telemetry/telemetry-service.ts";

export interface ServiceInProcess {
  /** Messages of the log with their fields as JSON. */
  readonly lines: readonly string[];
  /** Ends what runs; what is held has `graceMs` to drain. */
  stop(graceMs?: number): Promise<void>;
}

/** A whole service of real components in this process, with the agent's view of itself. */
export async function startService(yaml: string): Promise<ServiceInProcess> {
  const metrics = new Metrics({});
  const lines: string[] = [];
  const log = (message: string, fields: object = {}): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const logger = { debug: log, info: log, warn: log, error: log };
  const telemetry = telemetryOver(metrics, logger);
  const inputs = { sets: [], env: {}, readFile: () => "", factories: FACTORIES };
  const service = new Service({
    config: loadConfig({ ...inputs, uris: [`yaml:${yaml}`] }).config,
    buildInfo: { version: "0" },
    telemetryFor: () => telemetry,
    logger,
    onBroken: (id, error) => log(`broken: ${id}`, { error: String(error) }),
    ownMetrics: async () => samplesOf(await metrics.collect()),
  });
  try {
    await service.start();
  } catch (error) {
    await service.shutdown(AbortSignal.abort());
    throw error;
  }
  return {
    lines,
    stop: async (graceMs = 20_000) => await service.shutdown(AbortSignal.timeout(graceMs)),
  };
}
