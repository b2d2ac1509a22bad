// SPDX-License-Identifier: Apache-2.0

/** The agent's own metrics by name and labels, from its Prometheus endpoint on this host. */
export async function scrapeMetrics(port: number): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`http://localhost:${port}/metrics`);
  const values = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const cut = line.lastIndexOf(" ");
    values.set(line.slice(0, cut), Number(line.slice(cut + 1)));
  }
  return values;
}

/** Sum of all series of a metric, of those whose labels hold `label` when given. */
export function total(
  metrics: ReadonlyMap<string, number>,
  name: string,
  label: string = "",
): number {
  let sum = 0;
  for (const [key, value] of metrics) {
    if ((key === name || key.startsWith(`${name}{`)) && key.includes(label)) sum += value;
  }
  return sum;
}
