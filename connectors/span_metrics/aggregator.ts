// SPDX-License-Identifier: Apache-2.0
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import {
  forEachSpan,
  type MessageView,
  messagesIn,
  type SpanContext,
  type SpanView,
  textIn,
} from "../../src/pdata/span-view.ts";
import {
  type Distribution,
  ExplicitDistribution,
  ExponentialDistribution,
} from "../../src/series/distribution.ts";
import type { Pair } from "../../src/series/pairs.ts";
import type { Series, SeriesTable } from "../../src/series/series.ts";
import type { SpanMetricsConfig } from "./config.ts";
import {
  addToKey,
  dimensionValue,
  type EncodedDimension,
  encodeDimensions,
  SeriesKey,
} from "./dimensions.ts";
import { type ResourceMetrics, ResourceTable } from "./resources.ts";

const DEFAULT_BUCKETS_MS = [
  2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000,
];
const KINDS = "UNSPECIFIED INTERNAL SERVER CLIENT PRODUCER CONSUMER".split(" ");
const CODES = "UNSET OK ERROR".split(" ");
const SPAN_EVENTS = 11;
const CARDINALITY_MAX = 100_000;
const OVERFLOW = "\u0000overflow";

const text = (value: string): Uint8Array => encodeAnyValue(value);
const SPAN_NAME = Buffer.from("span.name");
const SPAN_KIND = Buffer.from("span.kind");
const STATUS_CODE = Buffer.from("status.code");
const KIND_VALUES = KINDS.map((kind) => text(`SPAN_KIND_${kind}`));
const CODE_VALUES = CODES.map((code) => text(`STATUS_CODE_${code}`));
const OVERFLOW_PAIR: Pair = {
  key: Buffer.from("otel.metric.overflow"),
  value: encodeAnyValue(true),
};
const SCOPE_NAME = Buffer.from("span.instrumentation.scope.name");
const SCOPE_VERSION = Buffer.from("span.instrumentation.scope.version");

/** Counts and measures spans by their dimensions. */
export class Aggregator {
  readonly resources: ResourceTable;
  readonly #config: SpanMetricsConfig;
  readonly #nowNs: () => bigint;
  readonly #excluded: ReadonlySet<string>;
  readonly #calls: readonly EncodedDimension[];
  readonly #durations: readonly EncodedDimension[];
  readonly #events: readonly EncodedDimension[];
  /** Calls and durations have the same dimensions: one series holds both. */
  readonly isShared: boolean;
  readonly #scopes: ReadonlySet<string>;
  readonly #bounds: Float64Array;
  readonly #key = new SeriesKey();
  readonly #attributes = new AttributeList();
  readonly #eventAttributes = new AttributeList();
  readonly #lists: readonly AttributeList[];
  readonly #eventLists: readonly AttributeList[];
  readonly #needsAttributes: boolean;
  /** When a delta series was given out last. */
  readonly lastTimes: Map<string, bigint> = new Map();
  #nowMs = 0;
  #resource: MessageView | undefined;
  #resourceMetrics: ResourceMetrics | undefined;

  constructor(config: SpanMetricsConfig, nowNs: () => bigint, onEvicted: () => void) {
    this.#config = config;
    this.#nowNs = nowNs;
    this.#excluded = new Set(config.exclude_dimensions);
    const own = (dimensions: SpanMetricsConfig["dimensions"]): readonly EncodedDimension[] =>
      encodeDimensions(
        [...config.dimensions, ...dimensions].filter(({ name }) => !this.#excluded.has(name)),
      );
    this.#calls = own(config.calls_dimensions);
    this.#durations = own(config.histogram.dimensions);
    this.#events = own(config.events.dimensions);
    this.isShared =
      config.calls_dimensions.length === 0 && config.histogram.dimensions.length === 0;
    this.#needsAttributes = this.#calls.length + this.#durations.length + this.#events.length > 0;
    this.#scopes = new Set(config.include_instrumentation_scope);
    const ms = config.histogram.explicit?.buckets ?? [];
    const bounds = ms.length > 0 ? ms : DEFAULT_BUCKETS_MS;
    const divisor = config.histogram.unit === "s" ? 1000 : 1;
    this.#bounds = Float64Array.from(bounds, (bound) => bound / divisor);
    const { resource_metrics_cache_size: max, resource_metrics_key_attributes: keys } = config;
    this.resources = new ResourceTable(max, keys, onEvicted);
    this.#lists = [this.#attributes, this.resources.attributes];
    this.#eventLists = [this.#eventAttributes, ...this.#lists];
  }

  /** Takes all spans of a request body. */
  add(chunk: Uint8Array): void {
    this.#resource = undefined;
    this.#nowMs = Date.now();
    forEachSpan(chunk, (span, context) => this.#addSpan(span, context));
  }

  #addSpan(span: SpanView, context: SpanContext): void {
    if (context.resource !== this.#resource) {
      this.#resource = context.resource;
      this.#resourceMetrics = this.resources.find(context.resource);
    }
    const resource = this.#resourceMetrics;
    if (resource === undefined) return;
    if (this.#needsAttributes) this.#attributes.read(span.bytes, span.start, span.end, 9);
    const { unit, disable } = this.#config.histogram;
    const value = Math.max(span.durationNs, 0) / (unit === "s" ? 1e9 : 1e6);
    const statusCode = span.statusStart < 0 ? 0 : span.statusCode;
    const of: Measured = { span, statusCode, context, resource };
    const calls = this.#find(resource.calls, of, { dimensions: this.#calls, lists: this.#lists });
    calls.count++;
    if (!disable) {
      const durations = this.isShared
        ? calls
        : this.#find(resource.durations, of, { dimensions: this.#durations, lists: this.#lists });
      durations.durations?.record(value);
      if (!this.isShared) this.#addExemplar(durations, span, value);
    }
    this.#addExemplar(calls, span, value);
    if (this.#config.events.enabled) this.#addEvents(of);
  }

  #addEvents(of: Measured): void {
    const { span, resource } = of;
    for (const event of messagesIn(span, SPAN_EVENTS)) {
      this.#eventAttributes.read(event.bytes, event.start, event.end, 3);
      const by = { dimensions: this.#events, lists: this.#eventLists };
      this.#find(resource.events, of, by).count++;
    }
  }

  #addExemplar(series: Series, span: SpanView, value: number): void {
    const { enabled, max_per_data_point: max } = this.#config.exemplars;
    if (!enabled || span.traceIdStart < 0 || span.spanIdStart < 0) return;
    if (series.exemplars.length >= max) return;
    series.exemplars.push({
      traceId: span.bytes.slice(span.traceIdStart, span.traceIdStart + 16),
      spanId: span.bytes.slice(span.spanIdStart, span.spanIdStart + 8),
      timeNs: this.#nowNs(),
      value,
    });
  }

  #find(table: SeriesTable, of: Measured, by: By): Series {
    const { span, statusCode, context } = of;
    const key = this.#key;
    key.begin(
      this.#excluded.has("span.kind") ? 0 : span.kind & 0xff,
      this.#excluded.has("status.code") ? 0 : statusCode,
    );
    if (!this.#excluded.has("span.name")) {
      key.bytes(span.bytes, Math.max(span.nameStart, 0), Math.max(span.nameStop, 0));
    }
    for (const dimension of by.dimensions) addToKey(key, dimension, by.lists);
    if (this.#scopes.size > 0) {
      key.bytes(context.scope.bytes, context.scope.start, context.scope.end);
    }
    const name = key.take();
    const found = table.find(name);
    if (found !== undefined) {
      found.lastSeenMs = this.#nowMs;
      return found;
    }
    const limit = this.#config.aggregation_cardinality_limit || CARDINALITY_MAX;
    if (table.size >= limit) {
      return table.find(OVERFLOW) ?? this.#create(table, OVERFLOW, [OVERFLOW_PAIR]);
    }
    return this.#create(table, name, this.#pairs(of, by));
  }

  #create(table: SeriesTable, key: string, pairs: readonly Pair[]): Series {
    const series: Series = {
      pairs,
      count: 0,
      durations: this.#distribution(),
      exemplars: [],
      startNs: this.lastTimes.get(table.name + key) ?? this.#nowNs(),
      lastSeenMs: this.#nowMs,
    };
    table.put(key, series);
    return series;
  }

  #distribution(): Distribution | undefined {
    const { disable, exponential } = this.#config.histogram;
    if (disable) return undefined;
    if (exponential !== undefined) return new ExponentialDistribution(exponential.max_size);
    return new ExplicitDistribution(this.#bounds);
  }

  #pairs({ span, statusCode, context, resource }: Measured, by: By): Pair[] {
    const pairs: Pair[] = [];
    const put = (name: string, key: Uint8Array, value: Uint8Array | undefined): void => {
      if (value !== undefined && !this.#excluded.has(name)) pairs.push({ key, value });
    };
    put("service.name", resource.serviceName.key, resource.serviceName.value);
    put("span.name", SPAN_NAME, text(span.name));
    put("span.kind", SPAN_KIND, KIND_VALUES[span.kind] ?? KIND_VALUES[0]);
    put("status.code", STATUS_CODE, CODE_VALUES[statusCode] ?? CODE_VALUES[0]);
    for (const dimension of by.dimensions) {
      put("", dimension.key, dimensionValue(dimension, by.lists));
    }
    const scope = this.#scopes.size > 0 ? textIn(context.scope, 1) : "";
    if (this.#scopes.has(scope)) {
      put("", SCOPE_NAME, text(scope));
      put("", SCOPE_VERSION, text(textIn(context.scope, 2)));
    }
    return pairs;
  }
}

interface Measured {
  readonly span: SpanView;
  readonly statusCode: number;
  readonly context: SpanContext;
  readonly resource: ResourceMetrics;
}

interface By {
  readonly dimensions: readonly EncodedDimension[];
  readonly lists: readonly AttributeList[];
}
