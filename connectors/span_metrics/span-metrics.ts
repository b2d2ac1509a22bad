// SPDX-License-Identifier: Apache-2.0
import { Observable } from "rxjs";
import type { Connector, ConnectorSettings } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import {
  type Series,
  type SeriesTable,
  writeCount,
  writeDurations,
} from "../../src/series/series.ts";
import { Aggregator } from "./aggregator.ts";
import type { SpanMetricsConfig } from "./config.ts";
import type { ResourceMetrics } from "./resources.ts";

const SCOPE = "spanmetricsconnector";
const DELTA = 1;
const CUMULATIVE = 2;

/** One metric of a resource while it is written. */
interface Written {
  readonly name: string;
  readonly table: SeriesTable;
  readonly kind: "number" | "histogram" | "exponential";
}

/** Requests, errors and durations of spans as metrics, given out at an interval. */
export class SpanMetrics implements Connector {
  readonly #config: SpanMetricsConfig;
  readonly #nowNs: () => bigint;
  readonly #aggregator: Aggregator;
  readonly #log: ThrottledLog;
  readonly #isDelta: boolean;
  readonly #out = new ProtoWriter(64 * 1024);
  #emit: ((batch: Batch) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: ConnectorSettings, config: SpanMetricsConfig, nowNs: () => bigint) {
    this.#config = config;
    this.#nowNs = nowNs;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    this.#isDelta = config.aggregation_temporality === "AGGREGATION_TEMPORALITY_DELTA";
    const evicted = settings.telemetry.counter(
      "backstitch_connector_span_metrics_evicted_resources",
      { description: "Resources whose metrics were given up for newer ones.", unit: "{resource}" },
      { connector: settings.id },
    );
    this.#aggregator = new Aggregator(config, nowNs, () => evicted.add(1));
  }

  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#flush(), this.#config.metrics_flush_interval);
  }

  async shutdown(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  connect(input: Observable<Batch>): Observable<Batch> {
    return new Observable<Batch>((subscriber) => {
      this.#emit = (batch) => subscriber.next(batch);
      return input.subscribe({
        next: (batch) => this.#add(batch),
        error: (error) => subscriber.error(error),
        complete: () => {
          this.#flush();
          this.#emit = undefined;
          subscriber.complete();
        },
      });
    });
  }

  #add(batch: Batch): void {
    try {
      for (const chunk of batch.chunks) this.#aggregator.add(chunk);
      batch.receipt?.settle({ kind: "accepted" });
    } catch (error) {
      const message = messageOf(error);
      this.#log.write("error", "Spans could not be measured.", { error: message });
      batch.receipt?.settle({ kind: "refused", retryable: false, message });
    }
  }

  #flush(): void {
    const { metrics_expiration: expirationMs } = this.#config;
    const nowNs = this.#nowNs();
    if (expirationMs > 0 && !this.#isDelta) this.#expire(Date.now() - expirationMs);
    const out = this.#out;
    out.reset();
    let items = 0;
    for (const resource of this.#aggregator.resources.all()) {
      const mark = out.length;
      const resourceMetrics = out.beginMessage(0x0a);
      out.bytesField(0x0a, resource.resource);
      const scopeMetrics = out.beginMessage(0x12);
      const scope = out.beginMessage(0x0a);
      out.stringField(0x0a, SCOPE);
      out.endMessage(scope);
      let points = 0;
      for (const metric of this.#metricsOf(resource)) points += this.#writeMetric(metric, nowNs);
      out.endMessage(scopeMetrics);
      out.endMessage(resourceMetrics);
      if (points === 0) out.length = mark;
      items += points;
      this.#settle(resource, nowNs);
    }
    if (items === 0) return;
    const bytes = out.take();
    this.#emit?.({ signal: "metrics", chunks: [bytes], items, bytes: bytes.length });
  }

  #metricsOf(resource: ResourceMetrics): Written[] {
    const { namespace, histogram, events } = this.#config;
    const prefix = namespace === "" ? "" : `${namespace}.`;
    const { calls } = resource;
    const metrics: Written[] = [{ name: `${prefix}calls`, table: calls, kind: "number" }];
    if (!histogram.disable) {
      metrics.push({
        name: `${prefix}duration`,
        table: this.#aggregator.isShared ? calls : resource.durations,
        kind: histogram.exponential === undefined ? "histogram" : "exponential",
      });
    }
    if (events.enabled) {
      metrics.push({ name: `${prefix}events`, table: resource.events, kind: "number" });
    }
    return metrics;
  }

  /** Gives how many data points were written. */
  #writeMetric({ name, table, kind }: Written, nowNs: bigint): number {
    if (table.size === 0) return 0;
    const out = this.#out;
    const metric = out.beginMessage(0x12);
    out.stringField(0x0a, name);
    if (kind !== "number") out.stringField(0x1a, this.#config.histogram.unit);
    const data = out.beginMessage({ number: 0x3a, histogram: 0x4a, exponential: 0x52 }[kind]);
    for (const [, series] of table.entries()) {
      if (kind === "number") writeCount(out, series, nowNs);
      else writeDurations(out, series, { nowNs, kind });
    }
    out.reserve(4);
    out.byte(0x10);
    out.byte(this.#isDelta ? DELTA : CUMULATIVE);
    if (kind === "number") {
      out.byte(0x18);
      out.byte(1);
    }
    out.endMessage(data);
    out.endMessage(metric);
    return table.size;
  }

  /** After a flush: exemplars go, and of delta metrics everything. */
  #settle(resource: ResourceMetrics, nowNs: bigint): void {
    for (const table of [resource.calls, resource.durations, resource.events]) {
      for (const [key, series] of table.entries()) {
        series.exemplars.length = 0;
        if (!this.#isDelta) continue;
        table.remove(key);
        this.#remember(table.name + key, nowNs);
      }
    }
  }

  #remember(key: string, nowNs: bigint): void {
    const { lastTimes } = this.#aggregator;
    lastTimes.delete(key);
    lastTimes.set(key, nowNs);
    if (lastTimes.size <= this.#config.metric_timestamp_cache_size) return;
    const [oldest] = lastTimes.keys();
    if (oldest !== undefined) lastTimes.delete(oldest);
  }

  #expire(beforeMs: number): void {
    const { resources } = this.#aggregator;
    const isOld = (series: Series): boolean => series.lastSeenMs <= beforeMs;
    for (const resource of [...resources.all()]) {
      const tables = [resource.calls, resource.durations, resource.events];
      for (const table of tables) {
        for (const [key, series] of table.entries()) if (isOld(series)) table.remove(key);
      }
      if (tables.every((table) => table.size === 0)) resources.remove(resource);
    }
  }
}
