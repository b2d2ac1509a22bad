// SPDX-License-Identifier: Apache-2.0
import type { MetricSample } from "../component/agent-view.ts";
import type { Fields, Logger, Telemetry, Tracer } from "../component/telemetry.ts";
import type { TelemetryConfig } from "../config/telemetry-config.ts";
import { Log } from "./log.ts";
import { samplesOf } from "./metric-samples.ts";
import { Metrics } from "./metrics.ts";
import { OwnExport } from "./own-export.ts";
import { registerProcessMetrics } from "./process-metrics.ts";
import { PrometheusServer } from "./prometheus-server.ts";

export interface TelemetryInputs {
  readonly config: TelemetryConfig;
  readonly version: string;
  readonly instanceId: string;
}

/** The running agent's log, metrics and their endpoints, as `service::telemetry` says. */
export class TelemetryService {
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #servers: readonly PrometheusServer[];
  readonly #export: OwnExport;

  /** Throws `AgentError` when a log file cannot be opened. */
  constructor(inputs: TelemetryInputs) {
    const { config } = inputs;
    const resource = resourceOf(inputs);
    const { logs } = config;
    this.#log = new Log({
      level: logs.level,
      encoding: logs.encoding,
      outputPaths: logs.output_paths,
      initialFields: logs.initial_fields,
      resource,
      sampling: {
        enabled: logs.sampling.enabled,
        tickMs: logs.sampling.tick,
        initial: logs.sampling.initial,
        thereafter: logs.sampling.thereafter,
      },
    });
    this.#metrics = new Metrics(resource);
    registerProcessMetrics(this.#metrics, Date.now() - process.uptime() * 1000);
    const readers = config.metrics.level === "none" ? [] : config.metrics.readers;
    this.#servers = readers.flatMap(({ prometheus }) =>
      prometheus === undefined ? [] : [new PrometheusServer(this.#metrics, prometheus)],
    );
    const { version } = inputs;
    this.#export = new OwnExport({
      config,
      resource: { attributes: resource, version },
      metrics: this.#metrics,
      logger: this.#log.localLogger(),
    });
    if (this.#export.takesLogs) {
      this.#log.forward((...line) => this.#export.log(...line));
    }
  }

  get logger(): Logger {
    return this.#log.logger({});
  }

  /** Ports that `/metrics` is served on. */
  get ports(): readonly number[] {
    return this.#servers.map((server) => server.port);
  }

  /** What a component gets; `fields` name it in its log lines. */
  forComponent(fields: Fields): Telemetry {
    return telemetryOver(this.#metrics, this.#log.logger(fields), this.#export.tracer);
  }

  /** Every own metric now. */
  async samples(): Promise<readonly MetricSample[]> {
    return samplesOf(await this.#metrics.collect());
  }

  async start(): Promise<void> {
    for (const server of this.#servers) await server.start();
    this.#export.start();
  }

  async shutdown(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.shutdown()));
    await this.#export.shutdown();
    await this.#metrics.shutdown();
    this.#log.close();
  }
}

/** The component contract over metrics, a logger and, when own traces are on, a tracer. */
export function telemetryOver(metrics: Metrics, logger: Logger, tracer?: Tracer): Telemetry {
  return {
    logger,
    tracer,
    counter: (name, options, labels) => metrics.counter(name, options, labels),
    gauge: (name, options, read, labels = {}) =>
      metrics.observe("gauge", name, options, { labels, read }),
    observedCounter: (name, options, read, labels = {}) =>
      metrics.observe("counter", name, options, { labels, read }),
    histogram: (name, options, boundaries, labels) =>
      metrics.histogram(name, options, boundaries, labels),
  };
}

function resourceOf(inputs: TelemetryInputs): Record<string, string> {
  const attributes: Record<string, string | null> = {
    "service.name": "backstitch",
    "service.version": inputs.version,
    "service.instance.id": inputs.instanceId,
    ...inputs.config.resource,
  };
  const kept = Object.entries(attributes).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  );
  return Object.fromEntries(kept);
}
