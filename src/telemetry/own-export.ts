// SPDX-License-Identifier: Apache-2.0
import { messageOf } from "../component/errors.ts";
import type { Fields, Logger, LogLevel, Tracer } from "../component/telemetry.ts";
import type { TelemetryConfig } from "../config/telemetry-config.ts";
import type { OwnExporter, OwnProcessor, PeriodicReader } from "../config/telemetry-otlp.ts";
import type { OtlpSignal } from "../pdata/requests.ts";
import { createOwnSink, type OwnSink } from "../transport/own-exporter.ts";
import { BatchSender, LAST_SENDING_MS } from "./batch-sender.ts";
import type { Metrics } from "./metrics.ts";
import {
  keyValues,
  logsRequest,
  MetricsRequests,
  type OwnResource,
  tracesRequest,
  unixNano,
} from "./otlp-json.ts";
import { createTracer } from "./own-traces.ts";

/** logs/v1 SeverityNumber. */
const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 5, info: 9, warn: 13, error: 17 };
const FAILURES_EVERY_MS = 10_000;

export interface OwnExportInputs {
  readonly config: TelemetryConfig;
  readonly resource: OwnResource;
  readonly metrics: Metrics;
  /** Not sent on itself: what failed to go out would fail again. */
  readonly logger: Logger;
}

/** The agent's own metrics, spans and log lines on their way to other places. */
export class OwnExport {
  readonly #inputs: OwnExportInputs;
  readonly #sinks: OwnSink[] = [];
  readonly #readers: readonly Reader[];
  readonly #traces: readonly BatchSender<object>[];
  readonly #logs: readonly BatchSender<object>[];
  /** Undefined: own traces are off. */
  readonly tracer: Tracer | undefined;
  #lastFailureMs = 0;

  constructor(inputs: OwnExportInputs) {
    this.#inputs = inputs;
    const { config, resource } = inputs;
    const { metrics, traces, logs } = config;
    const periodic =
      metrics.level === "none" ? [] : metrics.readers.flatMap((one) => one.periodic ?? []);
    this.#readers = periodic.map((reader) => this.#reader(reader));
    const processors = traces.level === "none" ? [] : traces.processors;
    this.#traces = processors.map((one) =>
      this.#sender("traces", one, (spans) => tracesRequest(resource, spans)),
    );
    this.#logs = logs.processors.map((one) =>
      this.#sender("logs", one, (records) => logsRequest(resource, records)),
    );
    this.tracer =
      this.#traces.length === 0
        ? undefined
        : createTracer({
            ratio: traces.sampler.ratio,
            emit: (span) => {
              for (const sender of this.#traces) sender.add(span);
            },
          });
  }

  get takesLogs(): boolean {
    return this.#logs.length > 0;
  }

  /** A line of the log. */
  log(level: LogLevel, nowMs: number, message: string, fields: Fields): void {
    const record = {
      timeUnixNano: unixNano(nowMs),
      observedTimeUnixNano: unixNano(nowMs),
      severityNumber: SEVERITY[level],
      severityText: level,
      body: { stringValue: message },
      attributes: keyValues(fields),
    };
    for (const sender of this.#logs) sender.add(record);
  }

  start(): void {
    for (const reader of this.#readers) reader.start();
  }

  /** Sends what there is a last time, within the configured times. */
  async shutdown(): Promise<void> {
    const all = [...this.#readers, ...this.#traces, ...this.#logs];
    await Promise.all(all.map((part) => part.shutdown()));
    for (const sink of this.#sinks) sink.close();
  }

  #sink(exporter: OwnExporter): OwnSink {
    const sink = createOwnSink(exporter, {
      version: this.#inputs.resource.version,
      print: (line) => process.stdout.write(line),
    });
    this.#sinks.push(sink);
    return sink;
  }

  #reader(config: PeriodicReader): Reader {
    const { metrics, resource } = this.#inputs;
    const sink = this.#sink(config.exporter);
    const temporality = config.exporter.otlp?.temporality ?? "cumulative";
    const requests = new MetricsRequests(resource, temporality);
    return new Reader(config, async (abort) => {
      try {
        await sink.send("metrics", requests.request(await metrics.collect()), abort);
      } catch (error) {
        this.#onFailure("metrics", error);
      }
    });
  }

  #sender(
    signal: OtlpSignal,
    limits: OwnProcessor,
    request: (items: readonly object[]) => object,
  ): BatchSender<object> {
    const sink = this.#sink(limits.exporter);
    const dropped = (reason: string) =>
      this.#inputs.metrics.counter(
        "backstitch_own_telemetry_dropped_items",
        { description: "Own spans and log lines that did not arrive.", unit: "{item}" },
        { signal, reason },
      );
    return new BatchSender({
      limits,
      send: (items, abort) => sink.send(signal, request(items), abort),
      onDropped: (items, reason, error) => {
        dropped(reason).add(items);
        this.#onFailure(signal, reason === "queue_full" ? "the queue is full" : error);
      },
    });
  }

  #onFailure(signal: OtlpSignal, error: unknown): void {
    const nowMs = performance.now();
    if (this.#lastFailureMs !== 0 && nowMs - this.#lastFailureMs < FAILURES_EVERY_MS) return;
    this.#lastFailureMs = nowMs;
    const fields = { signal, error: messageOf(error) };
    this.#inputs.logger.warn("Own telemetry cannot be sent", fields);
  }
}

/** Collects and sends again and again, one at a time. */
class Reader {
  readonly #config: PeriodicReader;
  readonly #send: (abort: AbortSignal) => Promise<void>;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;

  constructor(config: PeriodicReader, send: (abort: AbortSignal) => Promise<void>) {
    this.#config = config;
    this.#send = send;
  }

  start(): void {
    this.#timer = setInterval(() => this.#collect(), this.#config.intervalMs).unref();
  }

  async shutdown(): Promise<void> {
    clearInterval(this.#timer);
    const stop = setTimeout(() => this.#stop.abort(), LAST_SENDING_MS);
    await this.#sending;
    this.#collect();
    await this.#sending;
    clearTimeout(stop);
  }

  #collect(): void {
    const { timeoutMs } = this.#config;
    const stop = this.#stop.signal;
    const limit = timeoutMs === 0 ? stop : AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]);
    this.#sending ??= this.#send(limit).finally(() => {
      this.#sending = undefined;
    });
  }
}
