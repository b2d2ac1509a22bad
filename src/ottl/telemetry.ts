// SPDX-License-Identifier: Apache-2.0
import { Message } from "./message.ts";
import type { Value } from "./value.ts";

/** Fields of a metric that hold its points: gauge, sum, histogram, exponential, summary. */
export const METRIC_KINDS: readonly number[] = [5, 7, 9, 10, 11];

/**
 * Where the item that is looked at stands, and all around it. Whoever walks the data resets the
 * messages; a condition or statement reads and changes only the fields that it names.
 */
export class Telemetry {
  /** ResourceSpans, ResourceMetrics or ResourceLogs. */
  readonly resource: Message = new Message();
  /** ScopeSpans and so on. */
  readonly scope: Message = new Message();
  /** The span, metric or log record. */
  readonly item: Message = new Message();
  /** The Gauge, Sum and so on that `part` stands in; only where data points are walked. */
  readonly data: Message = new Message();
  /** The span event or data point. */
  readonly part: Message = new Message();
  /** Field of the metric that holds its points; 0 when metrics are walked as wholes. */
  pointKind = 0;
  /** What statements keep for each other while one item is looked at. */
  readonly cache: Map<string, Value> = new Map();
  /** Nanoseconds since the epoch. */
  now: () => bigint = () => BigInt(Date.now()) * 1_000_000n;
  log: (message: string) => void = () => {};

  /** Which field holds the metric's points, 0 when none does. */
  metricKind(): number {
    if (this.pointKind > 0) return this.pointKind;
    for (const field of METRIC_KINDS) if (this.item.has(field)) return field;
    return 0;
  }

  /** The Gauge, Sum and so on of the metric; not there when it has none. */
  metricData(): Message {
    return this.pointKind > 0 ? this.data : this.item.child(this.metricKind() || 5);
  }
}
