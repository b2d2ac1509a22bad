// SPDX-License-Identifier: Apache-2.0
// From OpenTelemetry's names to Prometheus', by the specification "Prometheus and OpenMetrics
// Compatibility" and the tables of units that the Collector's exporters share.

const UNITS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ...{ d: "days", h: "hours", min: "minutes", s: "seconds" },
    ...{ ms: "milliseconds", us: "microseconds", ns: "nanoseconds" },
    ...{ By: "bytes", KiBy: "kibibytes", MiBy: "mebibytes", GiBy: "gibibytes", TiBy: "tibibytes" },
    ...{ KBy: "kilobytes", MBy: "megabytes", GBy: "gigabytes", TBy: "terabytes" },
    ...{ m: "meters", V: "volts", A: "amperes", J: "joules", W: "watts", g: "grams" },
    ...{ Cel: "celsius", Hz: "hertz", "1": "", "%": "percent" },
  }),
);
const PER_UNITS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ...{ s: "second", m: "minute", h: "hour", d: "day", w: "week", mo: "month", y: "year" },
  }),
);

export interface NameParts {
  readonly namespace: string;
  readonly name: string;
  readonly unit: string;
  readonly isCounter: boolean;
  readonly isGauge: boolean;
}

/** With `withSuffixes`: unit and `_total` are added. Characters that Prometheus has not become `_`. */
export function metricName(parts: NameParts, withSuffixes: boolean): string {
  const tokens = parts.name.split(/[^A-Za-z0-9:]+/).filter((token) => token !== "");
  if (withSuffixes) addSuffixes(tokens, parts);
  if (parts.namespace !== "") tokens.unshift(...parts.namespace.split(/[^A-Za-z0-9:]+/));
  const name = tokens.filter((token) => token !== "").join("_");
  return /^\d/.test(name) ? `_${name}` : name;
}

function addSuffixes(tokens: string[], { unit, isCounter, isGauge }: NameParts): void {
  const [main = "", per] = unit.split("/", 2);
  const add = (token: string): void => {
    if (token !== "" && !tokens.includes(token)) tokens.push(token);
  };
  add(unitToken(main.trim(), UNITS));
  const perToken = per === undefined ? "" : unitToken(per.trim(), PER_UNITS);
  if (perToken !== "" && !tokens.includes(perToken)) tokens.push("per", perToken);
  if (isCounter) moveLast(tokens, "total");
  if (unit === "1" && isGauge) moveLast(tokens, "ratio");
}

function unitToken(unit: string, known: ReadonlyMap<string, string>): string {
  if (/[{}]/.test(unit)) return "";
  return known.get(unit) ?? unit.replace(/[^A-Za-z0-9:]+/g, "_").replace(/^_+|_+$/g, "");
}

function moveLast(tokens: string[], token: string): void {
  for (let at = tokens.indexOf(token); at >= 0; at = tokens.indexOf(token)) tokens.splice(at, 1);
  tokens.push(token);
}

/** A label's name; attributes that become the same one are told apart by the caller. */
export function labelName(attribute: string): string {
  const name = attribute.replace(/[^A-Za-z0-9_]/g, "_").replace(/_{2,}/g, "_");
  if (attribute.startsWith("__") && /^__\w+$/.test(attribute)) return attribute;
  if (/^\d/.test(name)) return `key_${name}`;
  return name.startsWith("_") && name !== "_" ? `key${name}` : name;
}
