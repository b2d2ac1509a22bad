// SPDX-License-Identifier: Apache-2.0
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import {
  type Distribution,
  ExplicitDistribution,
  ExponentialDistribution,
} from "../../src/series/distribution.ts";
import { type Series, SeriesTable, writeCount, writeDurations } from "../../src/series/series.ts";
import type { ServiceGraphConfig } from "./config.ts";
import type { ConnectionType, EdgeEnd } from "./edge-store.ts";

const SCOPE = "traces_service_graph";
const PREFIX = "traces_service_graph_request_";
const BOUNDS_S = [0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1.4, 2, 5, 10, 15];
/** Combinations of labels; what comes then is not measured and counted. */
const SERIES_MAX = 100_000;
const CUMULATIVE = 2;
const SUM_DATA = 0x3a;
const HISTOGRAM_DATA = 0x4a;
const EXPONENTIAL_DATA = 0x52;

/** One request between two services. */
export interface Request {
  readonly client: string;
  readonly server: string;
  readonly type: ConnectionType;
  /** Which of the two sends no spans. */
  readonly virtual?: "client" | "server";
  readonly clientEnd?: EdgeEnd | undefined;
  readonly serverEnd?: EdgeEnd | undefined;
}

interface Table {
  readonly table: SeriesTable;
  readonly name: string;
  readonly hasDurations: boolean;
}

/** The series of all edges, cumulative. */
export class Graph {
  readonly #config: ServiceGraphConfig;
  readonly #startNs: bigint;
  readonly #bounds: Float64Array;
  readonly #out = new ProtoWriter(16 * 1024);
  readonly #total: Table = { name: "total", hasDurations: false, table: new SeriesTable("total") };
  readonly #failed: Table = {
    ...{ name: "failed_total", hasDurations: false, table: new SeriesTable("failed") },
  };
  readonly #byServer: Table = {
    ...{ name: "server_seconds", hasDurations: true, table: new SeriesTable("server") },
  };
  readonly #byClient: Table = {
    ...{ name: "client_seconds", hasDurations: true, table: new SeriesTable("client") },
  };
  readonly #tables: readonly Table[] = [this.#total, this.#failed, this.#byServer, this.#byClient];

  constructor(config: ServiceGraphConfig, startNs: bigint) {
    this.#config = config;
    this.#startNs = startNs;
    const ms = config.latency_histogram_buckets ?? [];
    this.#bounds = Float64Array.from(ms.length > 0 ? ms.map((bound) => bound / 1000) : BOUNDS_S);
  }

  get series(): number {
    return this.#total.table.size;
  }

  /** False when there are too many edges for a new one. */
  add(request: Request, nowMs: number): boolean {
    const labels = this.#labels(request);
    const key = labels.map(([name, value]) => `${name}\u0001${value}`).join("\u0000");
    if (this.#total.table.find(key) === undefined && this.series >= SERIES_MAX) return false;
    const { clientEnd, serverEnd } = request;
    const of = { key, labels, nowMs };
    this.#count(this.#total, of);
    if (clientEnd?.isFailed === true || serverEnd?.isFailed === true) this.#count(this.#failed, of);
    this.#count(this.#byServer, of).durations?.record((serverEnd ?? clientEnd)?.seconds ?? 0);
    this.#count(this.#byClient, of).durations?.record((clientEnd ?? serverEnd)?.seconds ?? 0);
    return true;
  }

  #labels(request: Request): (readonly [string, string])[] {
    const { client, server, type, virtual, clientEnd, serverEnd } = request;
    const labels: (readonly [string, string])[] = [
      ["client", client],
      ["server", server],
      ["connection_type", type],
    ];
    if (virtual !== undefined && this.#config.virtual_node_extra_label) {
      labels.push(["virtual_node", virtual]);
    }
    for (const [index, name] of this.#config.dimensions.entries()) {
      const [ours, theirs] = [clientEnd?.dimensions[index], serverEnd?.dimensions[index]];
      if (ours !== undefined) labels.push([`client_${name}`, ours]);
      if (theirs !== undefined) labels.push([`server_${name}`, theirs]);
    }
    return labels;
  }

  #count(
    { table, hasDurations }: Table,
    of: {
      readonly key: string;
      readonly labels: readonly (readonly [string, string])[];
      readonly nowMs: number;
    },
  ): Series {
    let series = table.find(of.key);
    if (series === undefined) {
      series = {
        pairs: of.labels.map(([name, value]) => ({
          key: Buffer.from(name),
          value: encodeAnyValue(value),
        })),
        count: 0,
        durations: hasDurations ? this.#distribution() : undefined,
        exemplars: [],
        startNs: this.#startNs,
        lastSeenMs: of.nowMs,
      };
      table.put(of.key, series);
    }
    series.count++;
    series.lastSeenMs = of.nowMs;
    return series;
  }

  #distribution(): Distribution {
    const { exponential_histogram_max_size: sizeMax } = this.#config;
    return sizeMax > 0
      ? new ExponentialDistribution(sizeMax)
      : new ExplicitDistribution(this.#bounds);
  }

  /** Series without a request since then are given up. */
  forget(beforeMs: number): void {
    for (const { table } of this.#tables) {
      for (const [key, { lastSeenMs }] of table.entries()) {
        if (lastSeenMs < beforeMs) table.remove(key);
      }
    }
  }

  /** A metrics request body and its data points, undefined when there are none. */
  write(nowNs: bigint): { readonly bytes: Uint8Array; readonly points: number } | undefined {
    const out = this.#out;
    out.reset();
    const resourceMetrics = out.beginMessage(0x0a);
    const scopeMetrics = out.beginMessage(0x12);
    const scope = out.beginMessage(0x0a);
    out.stringField(0x0a, SCOPE);
    out.endMessage(scope);
    let points = 0;
    for (const table of this.#tables) points += this.#writeMetric(table, nowNs);
    out.endMessage(scopeMetrics);
    out.endMessage(resourceMetrics);
    return points === 0 ? undefined : { bytes: out.take(), points };
  }

  #writeMetric({ table, name, hasDurations }: Table, nowNs: bigint): number {
    if (table.size === 0) return 0;
    const out = this.#out;
    const isExponential = this.#config.exponential_histogram_max_size > 0;
    const metric = out.beginMessage(0x12);
    out.stringField(0x0a, PREFIX + name);
    if (hasDurations) out.stringField(0x1a, "s");
    const kind = isExponential ? EXPONENTIAL_DATA : HISTOGRAM_DATA;
    const data = out.beginMessage(hasDurations ? kind : SUM_DATA);
    for (const [, series] of table.entries()) {
      if (!hasDurations) writeCount(out, series, nowNs);
      else
        writeDurations(out, series, { nowNs, kind: isExponential ? "exponential" : "histogram" });
    }
    out.reserve(4);
    out.byte(0x10);
    out.byte(CUMULATIVE);
    if (!hasDurations) {
      out.byte(0x18);
      out.byte(1);
    }
    out.endMessage(data);
    out.endMessage(metric);
    return table.size;
  }
}
