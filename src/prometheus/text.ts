// SPDX-License-Identifier: Apache-2.0
// Prometheus' text format 0.0.4 and OpenMetrics 1.0: what both write alike.

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
export const OPENMETRICS_CONTENT_TYPE =
  "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** `{a="b"}` in the order given; empty without labels. */
export function labelText(labels: Iterable<readonly [string, string]>): string {
  const pairs = Array.from(labels, ([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

export function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return Number.isNaN(value) ? "NaN" : String(value);
}

export function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** OpenMetrics escapes quotes in help texts, too. */
export function escapeHelp(text: string, isOpenMetrics = false): string {
  return isOpenMetrics ? escapeLabel(text) : text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
