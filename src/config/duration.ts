// SPDX-License-Identifier: Apache-2.0

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/**
 * Reads what Go's `time.ParseDuration` reads and gives nanoseconds; a text is what is wrong and
 * what to write instead.
 */
export function parseDurationNs(text: string): number | string {
  const match = /^([+-]?)(.*)$/s.exec(text);
  const sign = match?.[1] === "-" ? -1 : 1;
  let rest = match?.[2] ?? "";
  if (rest === "0") return 0;
  if (rest === "") return `time: invalid duration "${text}". Write a number and a unit, as "5s"`;
  let total = 0;
  while (rest !== "") {
    const part = /^(\d*)(\.\d*)?/.exec(rest);
    const digits = part?.[0] ?? "";
    if (digits === "" || digits === ".") {
      return `time: invalid duration "${text}". Write a number and a unit, as "5s" or "1h30m"`;
    }
    rest = rest.slice(digits.length);
    const unit = /^[^\d.]*/.exec(rest)?.[0] ?? "";
    if (unit === "") {
      return `time: missing unit in duration "${text}". Add one: "${text}ms" or "${text}s"`;
    }
    const factor = UNIT_NS[unit];
    if (factor === undefined) {
      return `time: unknown unit "${unit}" in duration "${text}". Units are ns, us, ms, s, m, h`;
    }
    total += Number(digits) * factor;
    rest = rest.slice(unit.length);
  }
  return sign * total;
}

/** Nanoseconds as Go prints a duration: `200ms`, `1m30s`, `1h0m0.5s`. */
export function formatDuration(input: number): string {
  const [sign, ns] = input < 0 ? ["-", -input] : ["", input];
  if (ns === 0) return "0s";
  if (ns < 1e3) return `${sign}${ns}ns`;
  if (ns < 1e6) return `${sign}${ns / 1e3}µs`;
  if (ns < 1e9) return `${sign}${ns / 1e6}ms`;
  const hours = Math.floor(ns / 3600e9);
  const minutes = Math.floor((ns % 3600e9) / 60e9);
  const seconds = (ns % 60e9) / 1e9;
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${sign}${head}${seconds}s`;
}
