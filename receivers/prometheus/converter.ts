// SPDX-License-Identifier: Apache-2.0
// From Prometheus to OTLP: opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics.
import type {
  FamilyType,
  ParsedExemplar,
  ParsedFamily,
  ParsedSample,
} from "../../src/prometheus/parse-text.ts";
import type { Relabel } from "./relabel.ts";

type Labels = ReadonlyMap<string, string>;

/** OTLP/JSON of `ResourceMetrics`, and how many points it has. */
export interface Converted {
  readonly resourceMetrics: readonly object[];
  readonly points: number;
  /** Samples after relabelling, and series that the scrape before did not have. */
  readonly samples: number;
  readonly added: number;
}

export interface ConverterOptions {
  readonly url: URL;
  readonly targetLabels: Labels;
  readonly externalLabels: Readonly<Record<string, string>>;
  readonly honorLabels: boolean;
  readonly honorTimestamps: boolean;
  readonly trimSuffixes: boolean;
  readonly relabel: Relabel;
  readonly scope: { readonly name: string; readonly version: string };
}

const NO_RECORDED_VALUE = 1;
const CUMULATIVE = 2;
const PARTS = /_(bucket|sum|count|created)$/;

/** Where a point belongs, and all that has to be known to say that it has ended. */
interface Place {
  readonly key: string;
  readonly job: string;
  readonly instance: string;
  readonly scopeName: string;
  readonly scopeVersion: string;
  readonly metric: string;
  readonly type: FamilyType;
  readonly help: string;
  readonly unit: string;
  readonly attributes: Labels;
}

/** What was gathered of one point. */
interface Gathered {
  readonly place: Place;
  timeMs: number;
  value: number;
  sum: number | undefined;
  count: number | undefined;
  createdMs: number | undefined;
  readonly parts: [number, number][];
  readonly exemplars: ParsedExemplar[];
}

interface Memory {
  readonly place: Place;
  startMs: number;
  last: number;
  seenAt: number;
}

/** Turns the pages of one target into OTLP. Remembers its series: when they began, and when they end. */
export class Converter {
  readonly #options: ConverterOptions;
  readonly #memory = new Map<string, Memory>();
  #scrapes = 0;

  constructor(options: ConverterOptions) {
    this.#options = options;
  }

  /** A page that was read; an empty one when it could not be: all series have ended then. */
  convert(families: readonly ParsedFamily[], nowMs: number): Converted {
    this.#scrapes++;
    const gathered = new Map<string, Gathered>();
    const resources = new Map<string, Labels>();
    let samples = 0;
    for (const family of families) {
      for (const sample of family.samples) {
        const labels = this.#labelsOf(sample);
        if (labels === undefined) continue;
        samples++;
        if (labels.get("__name__") === "target_info") {
          resources.set(resourceKey(labels), labels);
        } else this.#gather(gathered, { family, sample, labels, nowMs });
      }
    }
    const before = this.#memory.size;
    const output = new Output(this.#options, resources);
    for (const one of gathered.values()) output.add(one.place, this.#point(one, nowMs));
    const added = Math.max(0, this.#memory.size - before);
    for (const [key, memory] of this.#memory) {
      if (memory.seenAt === this.#scrapes) continue;
      this.#memory.delete(key);
      output.add(memory.place, stale(memory, nowMs));
    }
    return { resourceMetrics: output.resourceMetrics(), points: output.points, samples, added };
  }

  /** The same for gauges of the scrape itself. */
  report(values: Readonly<Record<string, number>>, nowMs: number): Converted {
    const output = new Output(this.#options, new Map());
    const labels = new Map(this.#options.targetLabels);
    for (const [metric, value] of Object.entries(values)) {
      const place = placeOf(labels, { metric, type: "gauge", help: "", unit: "" });
      output.add(place, { attributes: [], timeUnixNano: nanos(nowMs), asDouble: json(value) });
    }
    const resourceMetrics = output.resourceMetrics();
    return { resourceMetrics, points: output.points, samples: 0, added: 0 };
  }

  #labelsOf(sample: ParsedSample): Labels | undefined {
    const { targetLabels, honorLabels, relabel, externalLabels } = this.#options;
    const labels = new Map(sample.labels);
    for (const [name, value] of targetLabels) {
      const own = labels.get(name);
      if (own !== undefined && own !== "" && honorLabels) continue;
      if (own !== undefined) labels.set(`exported_${name}`, own);
      labels.set(name, value);
    }
    labels.set("__name__", sample.name);
    if (!relabel(labels)) return undefined;
    for (const [name, value] of Object.entries(externalLabels)) {
      if (!labels.has(name)) labels.set(name, value);
    }
    return labels.get("__name__") === undefined ? undefined : labels;
  }

  #gather(
    all: Map<string, Gathered>,
    given: {
      readonly family: ParsedFamily;
      readonly sample: ParsedSample;
      readonly labels: Labels;
      readonly nowMs: number;
    },
  ): void {
    const { family, sample, labels, nowMs } = given;
    const { type, help, unit } = family;
    const name = labels.get("__name__") ?? "";
    const isWhole = type === "histogram" || type === "summary";
    const suffix = isWhole || type === "counter" ? (PARTS.exec(sample.name)?.[1] ?? "") : "";
    const isPart = suffix !== "" && sample.name !== family.name;
    const base = isPart && name.endsWith(`_${suffix}`) ? name.slice(0, -suffix.length - 1) : name;
    const created = isPart && suffix === "created";
    const metric = created && type === "counter" ? `${base}_total` : base;
    const edge = type === "histogram" ? "le" : "quantile";
    const own = new Map(labels);
    if (isWhole) own.delete(edge);
    const trimmed = this.#options.trimSuffixes ? withoutSuffixes(metric, family) : metric;
    const place = placeOf(own, { metric: trimmed, type, help, unit });
    const one = gatheredAt(all, place, nowMs);
    if (sample.timeMs !== undefined && this.#options.honorTimestamps) one.timeMs = sample.timeMs;
    if (sample.exemplar !== undefined) one.exemplars.push(sample.exemplar);
    if (created) one.createdMs = sample.value * 1000;
    else if (!isWhole) one.value = sample.value;
    else if (suffix === "sum" && isPart) one.sum = sample.value;
    else if (suffix === "count" && isPart) one.count = sample.value;
    else
      one.parts.push([
        Number((labels.get(edge) ?? "").replace(/\+?Inf$/, "Infinity")),
        sample.value,
      ]);
  }

  #point(one: Gathered, nowMs: number): object {
    const { place, timeMs } = one;
    const grown = one.count ?? one.value;
    const memory = this.#remember(place, grown, nowMs);
    if (one.createdMs !== undefined) memory.startMs = one.createdMs;
    const times = {
      attributes: attributesOf(place.attributes),
      timeUnixNano: nanos(timeMs),
      ...(isCumulative(place.type) ? { startTimeUnixNano: nanos(memory.startMs) } : {}),
    };
    const exemplars = one.exemplars.map((exemplar) => exemplarJson(exemplar, timeMs));
    if (place.type === "histogram") return { ...times, ...histogramJson(one), exemplars };
    if (place.type === "summary") {
      const quantileValues = one.parts.map(([quantile, value]) => ({
        quantile,
        value: json(value),
      }));
      return { ...times, count: whole(one.count), sum: json(one.sum ?? 0), quantileValues };
    }
    return { ...times, asDouble: json(one.value), exemplars };
  }

  #remember(place: Place, value: number, nowMs: number): Memory {
    let memory = this.#memory.get(place.key);
    if (memory === undefined) {
      memory = { place, startMs: nowMs, last: value, seenAt: 0 };
      this.#memory.set(place.key, memory);
    } else if (value < memory.last) memory.startMs = nowMs;
    memory.last = value;
    memory.seenAt = this.#scrapes;
    return memory;
  }
}

/** Puts points together by resource, scope and metric. */
class Output {
  readonly #options: ConverterOptions;
  readonly #infos: ReadonlyMap<string, Labels>;
  readonly #metrics = new Map<string, { readonly place: Place; readonly points: object[] }>();
  points = 0;

  constructor(options: ConverterOptions, infos: ReadonlyMap<string, Labels>) {
    this.#options = options;
    this.#infos = infos;
  }

  add(place: Place, point: object): void {
    const { job, instance, scopeName, scopeVersion, metric, type } = place;
    const key = JSON.stringify([job, instance, scopeName, scopeVersion, metric, type]);
    let entry = this.#metrics.get(key);
    if (entry === undefined) {
      entry = { place, points: [] };
      this.#metrics.set(key, entry);
    }
    entry.points.push(point);
    this.points++;
  }

  resourceMetrics(): object[] {
    const resources = Map.groupBy(this.#metrics.values(), ({ place }) =>
      JSON.stringify([place.job, place.instance]),
    );
    return [...resources].map(([key, entries]) => {
      const place = entries[0]?.place;
      const resource = { attributes: this.#resource(key, place?.job ?? "", place?.instance ?? "") };
      const scopes = Map.groupBy(entries, ({ place: one }) =>
        JSON.stringify([one.scopeName, one.scopeVersion]),
      );
      return { resource, scopeMetrics: [...scopes.values()].map((one) => this.#scope(one)) };
    });
  }

  #scope(entries: readonly { readonly place: Place; readonly points: object[] }[]): object {
    const { scopeName: name = "", scopeVersion: version = "" } = entries[0]?.place ?? {};
    const scope = name === "" ? this.#options.scope : { name, version };
    return { scope, metrics: entries.map(({ place, points }) => metricJson(place, points)) };
  }

  #resource(key: string, job: string, instance: string): object[] {
    const { url } = this.#options;
    const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
    const labels = new Map([
      ["service.name", job],
      ["service.instance.id", instance],
      ["server.address", url.hostname],
      ["server.port", port],
      ["url.scheme", url.protocol.slice(0, -1)],
    ]);
    for (const [name, value] of this.#infos.get(key) ?? []) {
      if (!["__name__", "job", "instance"].includes(name)) labels.set(name, value);
    }
    return attributesOf(labels);
  }
}

function resourceKey(labels: Labels): string {
  return JSON.stringify([labels.get("job") ?? "", labels.get("instance") ?? ""]);
}

function placeOf(labels: Labels, metric: Pick<Place, "metric" | "type" | "help" | "unit">): Place {
  const attributes = new Map(labels);
  const take = (name: string): string => {
    const value = attributes.get(name) ?? "";
    attributes.delete(name);
    return value;
  };
  take("__name__");
  const [job, instance] = [take("job"), take("instance")];
  const [scopeName, scopeVersion] = [take("otel_scope_name"), take("otel_scope_version")];
  const sorted = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1));
  const key = JSON.stringify([metric.metric, job, instance, scopeName, scopeVersion, ...sorted]);
  return { ...metric, key, job, instance, scopeName, scopeVersion, attributes: new Map(sorted) };
}

function gatheredAt(all: Map<string, Gathered>, place: Place, nowMs: number): Gathered {
  let one = all.get(place.key);
  if (one === undefined) {
    one = {
      ...{ place, timeMs: nowMs, value: 0, sum: undefined, count: undefined },
      ...{ createdMs: undefined, parts: [], exemplars: [] },
    };
    all.set(place.key, one);
  }
  return one;
}

function isCumulative(type: FamilyType): boolean {
  return type === "counter" || type === "histogram" || type === "summary";
}

function metricJson(
  { metric: name, type, help: description, unit }: Place,
  points: object[],
): object {
  const base = { name, description, unit };
  const temporality = { aggregationTemporality: CUMULATIVE };
  switch (type) {
    case "counter":
      return { ...base, sum: { ...temporality, isMonotonic: true, dataPoints: points } };
    case "info":
      return { ...base, sum: { ...temporality, isMonotonic: false, dataPoints: points } };
    case "histogram":
      return { ...base, histogram: { ...temporality, dataPoints: points } };
    case "summary":
      return { ...base, summary: { dataPoints: points } };
    default:
      return { ...base, gauge: { dataPoints: points } };
  }
}

function histogramJson(one: Gathered): object {
  const parts = [...one.parts].sort(([a], [b]) => a - b);
  const last = parts.at(-1);
  const total = one.count ?? (last?.[0] === Number.POSITIVE_INFINITY ? last[1] : 0);
  const finite = parts.filter(([bound]) => Number.isFinite(bound));
  let before = 0;
  const bucketCounts = [...finite.map(([, count]) => count), total].map((count) => {
    const inside = Math.max(0, count - before);
    before = Math.max(before, count);
    return whole(inside);
  });
  return {
    count: whole(total),
    ...(one.sum === undefined ? {} : { sum: json(one.sum) }),
    bucketCounts,
    explicitBounds: finite.map(([bound]) => bound),
  };
}

function stale({ place, startMs }: Memory, nowMs: number): object {
  return {
    attributes: attributesOf(place.attributes),
    timeUnixNano: nanos(nowMs),
    ...(isCumulative(place.type) ? { startTimeUnixNano: nanos(startMs) } : {}),
    flags: NO_RECORDED_VALUE,
  };
}

function exemplarJson({ labels, value, timeMs }: ParsedExemplar, pointMs: number): object {
  const rest = new Map(labels);
  const id = (name: string, length: number): object => {
    const text = rest.get(name) ?? "";
    if (!new RegExp(`^[0-9a-f]{${length}}$`).test(text)) return {};
    rest.delete(name);
    return { [name === "trace_id" ? "traceId" : "spanId"]: text };
  };
  const ids = { ...id("trace_id", 32), ...id("span_id", 16) };
  const filteredAttributes = attributesOf(rest);
  return {
    ...ids,
    asDouble: json(value),
    timeUnixNano: nanos(timeMs ?? pointMs),
    filteredAttributes,
  };
}

function attributesOf(labels: Labels): object[] {
  return Array.from(labels, ([key, stringValue]) => ({ key, value: { stringValue } }));
}

function withoutSuffixes(name: string, { type, unit }: ParsedFamily): string {
  const bare = type === "counter" ? name.replace(/_total$/, "") : name;
  if (unit !== "" && bare.endsWith(`_${unit}`)) return bare.slice(0, -unit.length - 1);
  return bare;
}

function nanos(timeMs: number): string {
  return String(BigInt(Math.round(timeMs * 1000)) * 1000n);
}

function whole(count: number | undefined): string {
  return String(BigInt(Math.max(0, Math.round(Number.isFinite(count) ? (count ?? 0) : 0))));
}

/** OTLP/JSON writes what JSON has no numbers for as text. */
function json(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
