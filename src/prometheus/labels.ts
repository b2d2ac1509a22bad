// SPDX-License-Identifier: Apache-2.0
import type { AttributeValue } from "../pdata/span-view.ts";
import { labelName } from "./names.ts";
import type { Attributes, DecodedMetric, Scope } from "./otlp-metrics.ts";

/** Names and values, by name. */
export type Labels = ReadonlyMap<string, string>;

export interface LabelOptions {
  /** All attributes of the resource become labels. */
  readonly withResource: boolean;
  readonly withScope: boolean;
  readonly constLabels: Readonly<Record<string, string>>;
}

/** Attributes of a resource that name it; they become `job` and `instance`. */
const NAMING: readonly string[] = ["service.name", "service.namespace", "service.instance.id"];

/** What all series of a metric have; a point's own attributes do not replace `job` and `instance`. */
export function baseLabels(metric: DecodedMetric, options: LabelOptions): Labels {
  const labels = new Map(Object.entries(options.constLabels));
  if (options.withResource) addAll(labels, metric.resource);
  if (options.withScope) addScope(labels, metric.scope);
  for (const [name, value] of identity(metric.resource)) labels.set(name, value);
  return labels;
}

/** The labels of one series, sorted by name. */
export function seriesLabels(base: Labels, attributes: Attributes): Labels {
  const own = new Map<string, string>();
  addAll(own, attributes);
  const all = new Map([...own, ...base]);
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Labels of `target_info`: what the resource has besides its name; undefined when there is none. */
export function targetLabels(resource: Attributes): Labels | undefined {
  const rest = new Map([...resource].filter(([name]) => !NAMING.includes(name)));
  const named = identity(resource);
  if (rest.size === 0 || named.size === 0) return undefined;
  return seriesLabels(named, rest);
}

/** `job` and `instance`. */
export function identity(resource: Attributes): Labels {
  const text = (name: string): string => labelValue(resource.get(name));
  const [name, namespace, instance] = NAMING.map(text);
  const labels = new Map<string, string>();
  if (name !== "" && name !== undefined) {
    labels.set("job", namespace === "" ? name : `${namespace}/${name}`);
  }
  if (instance !== "" && instance !== undefined) labels.set("instance", instance);
  return labels;
}

function addScope(labels: Map<string, string>, scope: Scope): void {
  const { name, version, schemaUrl, attributes } = scope;
  for (const [attribute, value] of attributes) {
    labels.set(`otel_scope_${labelName(attribute)}`, labelValue(value));
  }
  if (name !== "") labels.set("otel_scope_name", name);
  if (version !== "") labels.set("otel_scope_version", version);
  if (schemaUrl !== "") labels.set("otel_scope_schema_url", schemaUrl);
}

/** Attributes whose names become the same share a label, their values joined by `;`. */
function addAll(labels: Map<string, string>, attributes: Attributes): void {
  const taken = new Set<string>();
  for (const [attribute, value] of [...attributes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = labelName(attribute);
    if (name === "") continue;
    const before = taken.has(name) ? `${labels.get(name)};` : "";
    labels.set(name, `${before}${labelValue(value)}`);
    taken.add(name);
  }
}

/** As OTLP/JSON writes what is not a scalar. */
export function labelValue(value: AttributeValue): string {
  if (value === undefined) return "";
  if (typeof value === "object") return JSON.stringify(plain(value));
  return String(value);
}

function plain(value: AttributeValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, one]) => [key, plain(one)]));
  }
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === "bigint" ? Number(value) : value;
}
