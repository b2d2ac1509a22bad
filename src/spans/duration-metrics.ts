// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVER_ADDRESS, ATTR_SERVER_PORT } from "@opentelemetry/semantic-conventions";
import {
  type AttributeKey,
  attributeKey,
  type MeasurementSink,
  type SharedBlock,
} from "../model/attribute.ts";
import type { Batch } from "../model/batch.ts";
import type { SelectedProcess } from "../model/process.ts";
import type { Exchange } from "../model/protocol.ts";
import { AttributeWriter, HISTOGRAM_ATTRIBUTES } from "../pdata/attribute-writer.ts";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import type { EpochClock } from "./epoch-clock.ts";
import { HistogramSeries, writeHistogramPoint } from "./histogram.ts";
import { encodeResource, encodeScope } from "./resource-batcher.ts";
import type { SpanConnection } from "./span-connection.ts";

/** Tags of metrics.proto, from ExportMetricsServiceRequest down to Histogram. */
const RESOURCE_METRICS = 0x0a;
const SCOPE_METRICS = 0x12;
const METRICS = 0x12;
const METRIC_NAME = 0x0a;
const METRIC_DESCRIPTION = 0x12;
const METRIC_UNIT = 0x1a;
const METRIC_HISTOGRAM = 0x4a;
const AGGREGATION_TEMPORALITY = 0x10;
const CUMULATIVE = 2;

const KEYS = {
  serverAddress: attributeKey(ATTR_SERVER_ADDRESS),
  serverPort: attributeKey(ATTR_SERVER_PORT),
  /** Metrics SDK specification, "Overflow attribute". */
  overflow: attributeKey("otel.metric.overflow"),
} as const;

const NS_PER_SECOND = 1e9;
/** Descriptions of a process whose series is remembered. */
const BLOCKS_MAX = 1024;

export interface DurationMetricsOptions {
  readonly version: string;
  /** Name of the instrumentation scope; that of `ebpf_l7` if not given. */
  readonly scope?: string;
  readonly clock: EpochClock;
  /** Series of one process and instrument; the last one takes what does not fit. */
  readonly seriesMax: number;
}

interface InstrumentSeries {
  readonly name: string;
  readonly byHash: Map<number, HistogramSeries>;
  count: number;
  overflow: HistogramSeries | undefined;
}

interface ProcessSeries {
  readonly resource: Uint8Array;
  readonly instruments: InstrumentSeries[];
  /** Series by what described them, so that it is not encoded again. */
  readonly byBlock: Map<SharedBlock<MeasurementSink>, HistogramSeries>;
}

/** Sink that writes a measurement's attributes as they are exported, and remembers what matters. */
class MeasurementWriter implements MeasurementSink {
  readonly out: ProtoWriter = new ProtoWriter(512);
  readonly #attributes = new AttributeWriter(this.out, HISTOGRAM_ATTRIBUTES);
  name = "";
  hasServerAddress = false;
  /** What was described, when it is a block: not yet written. */
  shared: SharedBlock<MeasurementSink> | undefined = undefined;

  reset(): void {
    this.out.reset();
    this.name = "";
    this.hasServerAddress = false;
    this.shared = undefined;
  }
  block(block: SharedBlock<MeasurementSink>): void {
    this.shared = block;
  }
  instrument(name: string): void {
    this.name = name;
  }
  string(key: AttributeKey, value: string): void {
    if (key.name === ATTR_SERVER_ADDRESS) this.hasServerAddress = true;
    this.#attributes.string(key, value);
  }
  bytes(key: AttributeKey, bytes: Uint8Array, start: number, end: number): void {
    if (key.name === ATTR_SERVER_ADDRESS) this.hasServerAddress = true;
    this.#attributes.bytes(key, bytes, start, end);
  }
  int(key: AttributeKey, value: number): void {
    this.#attributes.int(key, value);
  }
  double(key: AttributeKey, value: number): void {
    this.#attributes.double(key, value);
  }
  bool(key: AttributeKey, value: boolean): void {
    this.#attributes.bool(key, value);
  }
  stringArray(key: AttributeKey, values: readonly string[]): void {
    this.#attributes.stringArray(key, values);
  }
}

/**
 * Durations of all exchanges, sampled or not, as explicit-bucket histograms with cumulative
 * temporality. A series is found by its encoded attributes; a hit allocates nothing.
 */
export class DurationMetrics {
  readonly #clock: EpochClock;
  readonly #seriesMax: number;
  readonly #scope: Uint8Array;
  readonly #processes = new Map<SelectedProcess, ProcessSeries>();
  readonly #writer = new MeasurementWriter();
  readonly #overflowAttributes: Uint8Array;

  constructor(options: DurationMetricsOptions) {
    this.#clock = options.clock;
    this.#seriesMax = options.seriesMax;
    this.#scope = encodeScope(options.version, options.scope);
    this.#writer.bool(KEYS.overflow, true);
    this.#overflowAttributes = this.#writer.out.take();
  }

  /** Series held, for the agent's own metrics. */
  get seriesCount(): number {
    let count = 0;
    for (const process of this.#processes.values()) {
      for (const instrument of process.instruments) count += instrument.count;
    }
    return count;
  }

  record(process: SelectedProcess, connection: SpanConnection, exchange: Exchange): void {
    const writer = this.#writer;
    writer.reset();
    exchange.measure(writer);
    const known = this.#processes.get(process);
    const shared = writer.shared;
    const seconds = Math.max(0, exchange.endNs - exchange.startNs) / NS_PER_SECOND;
    const cached = shared === undefined ? undefined : known?.byBlock.get(shared);
    if (cached !== undefined) {
      cached.add(seconds);
      return;
    }
    shared?.describe(writer);
    // The conventions have no instrument for this side of the protocol.
    if (writer.name === "") return;
    const needsAddress = exchange.role === "client" && !writer.hasServerAddress;
    if (needsAddress) {
      writer.string(KEYS.serverAddress, connection.serverAddress);
      writer.int(KEYS.serverPort, connection.serverPort);
    }
    const owner = known ?? this.#createProcess(process);
    const series = this.#series(instrumentOf(owner, writer.name), exchange.startNs);
    series.add(seconds);
    if (shared === undefined || needsAddress) return;
    if (owner.byBlock.size >= BLOCKS_MAX) owner.byBlock.clear();
    owner.byBlock.set(shared, series);
  }

  /** The process has ended and its last points were collected. */
  forget(process: SelectedProcess): void {
    this.#processes.delete(process);
  }

  /** Everything so far as one batch, `nowNs` on the monotonic clock; undefined without series. */
  collect(nowNs: number): Batch | undefined {
    const chunks: Uint8Array[] = [];
    let items = 0;
    let bytes = 0;
    const out = new ProtoWriter(16 * 1024);
    for (const process of this.#processes.values()) {
      out.reset();
      items += this.#writeResourceMetrics(out, process, nowNs);
      const chunk = out.take();
      chunks.push(chunk);
      bytes += chunk.length;
    }
    if (items === 0) return undefined;
    return { signal: "metrics", chunks, items, bytes };
  }

  #createProcess(process: SelectedProcess): ProcessSeries {
    const created = { resource: encodeResource(process), instruments: [], byBlock: new Map() };
    this.#processes.set(process, created);
    return created;
  }

  /** The series of the attributes that the writer holds. */
  #series(instrument: InstrumentSeries, startNs: number): HistogramSeries {
    const { bytes, length } = this.#writer.out;
    const hash = hashBytes(bytes, length);
    let series = instrument.byHash.get(hash);
    while (series !== undefined && !series.matches(bytes, length)) series = series.next;
    if (series !== undefined) return series;
    if (instrument.count >= this.#seriesMax - 1) {
      if (instrument.overflow === undefined) {
        instrument.overflow = new HistogramSeries(this.#overflowAttributes, startNs, undefined);
        instrument.count++;
      }
      return instrument.overflow;
    }
    const created = new HistogramSeries(
      bytes.slice(0, length),
      startNs,
      instrument.byHash.get(hash),
    );
    instrument.byHash.set(hash, created);
    instrument.count++;
    return created;
  }

  #writeResourceMetrics(out: ProtoWriter, process: ProcessSeries, nowNs: number): number {
    let points = 0;
    const resourceMetrics = out.beginMessage(RESOURCE_METRICS);
    out.reserve(process.resource.length);
    out.copy(process.resource, 0, process.resource.length);
    const scopeMetrics = out.beginMessage(SCOPE_METRICS);
    out.reserve(this.#scope.length);
    out.copy(this.#scope, 0, this.#scope.length);
    for (const instrument of process.instruments) {
      points += this.#writeMetric(out, instrument, nowNs);
    }
    out.endMessage(scopeMetrics);
    out.endMessage(resourceMetrics);
    return points;
  }

  #writeMetric(out: ProtoWriter, instrument: InstrumentSeries, nowNs: number): number {
    const metric = out.beginMessage(METRICS);
    out.stringField(METRIC_NAME, instrument.name);
    out.stringField(METRIC_DESCRIPTION, descriptionOf(instrument.name));
    out.stringField(METRIC_UNIT, "s");
    const histogram = out.beginMessage(METRIC_HISTOGRAM);
    for (const first of instrument.byHash.values()) {
      for (let series: HistogramSeries | undefined = first; series; series = series.next) {
        writeHistogramPoint(out, series, this.#clock, nowNs);
      }
    }
    if (instrument.overflow !== undefined) {
      writeHistogramPoint(out, instrument.overflow, this.#clock, nowNs);
    }
    out.reserve(2);
    out.byte(AGGREGATION_TEMPORALITY);
    out.byte(CUMULATIVE);
    out.endMessage(histogram);
    out.endMessage(metric);
    return instrument.count;
  }
}

function instrumentOf(process: ProcessSeries, name: string): InstrumentSeries {
  for (const instrument of process.instruments) if (instrument.name === name) return instrument;
  const created = { name, byHash: new Map(), count: 0, overflow: undefined };
  process.instruments.push(created);
  return created;
}

/** `http.server.request.duration` → `Duration of HTTP server requests.`, as the conventions say it. */
function descriptionOf(name: string): string {
  const [protocol = "", side = "", what = ""] = name.split(".");
  return `Duration of ${protocol.toUpperCase()} ${side} ${what}s.`;
}

function hashBytes(bytes: Uint8Array, length: number): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < length; at++) value = Math.imul(value ^ (bytes[at] ?? 0), 0x01000193);
  return (value ^ (value >>> 15)) & 0x3fffffff;
}
