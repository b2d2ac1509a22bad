// SPDX-License-Identifier: Apache-2.0
import { OttlEvaluationError, Time } from "../value.ts";

const MONTHS =
  "January February March April May June July August September October November December".split(
    " ",
  );
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const EXPANDED: Readonly<Record<string, string>> = {
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  T: "%H:%M:%S",
  X: "%H:%M:%S",
  x: "%m/%d/%y",
  R: "%H:%M",
  r: "%I:%M:%S %p",
  c: "%a %b %e %H:%M:%S %Y",
  v: "%e-%b-%Y",
};

/** Directives of strftime as the Collector documents them for `Time` and `FormatTime`. */
function expand(format: string): string {
  return format.replace(/%([DFTXxRrcv])/g, (_, letter: string) => EXPANDED[letter] ?? "");
}

const two = (value: number): string => String(value).padStart(2, "0");

export function formatTime({ ns }: Time, format: string): string {
  const date = new Date(Number(ns / 1_000_000n));
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0");
  const hour = date.getUTCHours();
  const hour12 = hour % 12 === 0 ? 12 : hour % 12;
  const month = MONTHS[date.getUTCMonth()] ?? "";
  const weekday = DAYS[date.getUTCDay()] ?? "";
  const yearStart = Date.UTC(date.getUTCFullYear(), 0, 1);
  const parts: Readonly<Record<string, string>> = {
    Y: String(date.getUTCFullYear()),
    y: two(date.getUTCFullYear() % 100),
    m: two(date.getUTCMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    h: month.slice(0, 3),
    d: two(date.getUTCDate()),
    e: String(date.getUTCDate()).padStart(2),
    g: String(date.getUTCDate()),
    A: weekday,
    a: weekday.slice(0, 3),
    H: two(hour),
    I: two(hour12),
    l: String(hour12),
    p: hour < 12 ? "AM" : "PM",
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    L: fraction.slice(0, 3),
    f: fraction.slice(0, 6),
    s: fraction,
    Z: "UTC",
    z: "+0000",
    i: "+00:00",
    j: String(Math.floor((date.getTime() - yearStart) / 86_400_000) + 1).padStart(3, "0"),
    w: String(date.getUTCDay()),
    n: "\n",
    t: "\t",
    "%": "%",
  };
  return expand(format).replace(/%(.)/g, (whole, letter: string) => parts[letter] ?? whole);
}

const PATTERNS: Readonly<Record<string, string>> = {
  Y: "\\d{4}",
  y: "\\d{2}",
  m: "\\d{1,2}",
  B: "[A-Za-z]+",
  b: "[A-Za-z]{3}",
  h: "[A-Za-z]{3}",
  d: "\\d{1,2}",
  e: "\\s?\\d{1,2}",
  g: "\\d{1,2}",
  A: "[A-Za-z]+",
  a: "[A-Za-z]{3}",
  H: "\\d{1,2}",
  I: "\\d{1,2}",
  l: "\\d{1,2}",
  p: "[AaPp][Mm]",
  M: "\\d{1,2}",
  S: "\\d{1,2}",
  L: "\\d{1,9}",
  f: "\\d{1,9}",
  s: "\\d{1,9}",
  Z: "[A-Z]{1,5}",
  z: "Z|[+-]\\d{4}",
  i: "Z|[+-]\\d{2}:\\d{2}",
  j: "\\d{3}",
};

export function parseTime(text: string, format: string, location: string): Time {
  const letters: string[] = [];
  const source = expand(format).replace(/%(.)|[\\^$.*+?()[\]{}|/]/g, (whole, letter?: string) => {
    if (letter === undefined) return `\\${whole}`;
    const pattern = PATTERNS[letter];
    if (pattern === undefined) return letter === "%" ? "%" : "\\s";
    letters.push(letter);
    return `(${pattern})`;
  });
  const match = new RegExp(`^${source}$`).exec(text);
  if (match === null) throw new OttlEvaluationError(`"${text}" does not fit "${format}"`);
  const found = new Map(letters.map((letter, at) => [letter, match[at + 1] ?? ""]));
  return timeOf(found, location);
}

function timeOf(found: ReadonlyMap<string, string>, location: string): Time {
  const number = (...letters: string[]): number | undefined => {
    const letter = letters.find((one) => found.has(one));
    return letter === undefined ? undefined : Number(found.get(letter)?.trim());
  };
  const short = number("y");
  const year =
    number("Y") ??
    (short === undefined ? new Date().getUTCFullYear() : short + (short < 69 ? 2000 : 1900));
  const named = found.get("B") ?? found.get("b") ?? found.get("h");
  const month =
    named === undefined
      ? (number("m") ?? 1) - 1
      : MONTHS.findIndex(
          (name) => name.slice(0, 3).toLowerCase() === named.slice(0, 3).toLowerCase(),
        );
  let hour = number("H", "I", "l") ?? 0;
  const half = found.get("p")?.toLowerCase();
  if (half !== undefined) hour = (hour % 12) + (half === "pm" ? 12 : 0);
  const dayOfYear = number("j");
  const date = dayOfYear ?? number("d", "e", "g") ?? 1;
  const ms = Date.UTC(
    year,
    dayOfYear === undefined ? month : 0,
    date,
    hour,
    number("M") ?? 0,
    number("S") ?? 0,
  );
  const fraction = (found.get("s") ?? found.get("f") ?? found.get("L") ?? "").padEnd(9, "0");
  const zone = found.get("z") ?? found.get("i");
  const offset = zone === undefined ? zoneOffsetMs(ms, location) : fixedOffsetMs(zone);
  return new Time(BigInt(ms - offset) * 1_000_000n + BigInt(fraction));
}

function fixedOffsetMs(zone: string): number {
  const match = /^([+-])(\d{2}):?(\d{2})$/.exec(zone);
  if (match === null) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return (match[1] === "-" ? -1 : 1) * minutes * 60_000;
}

/** What the clocks of the place are ahead of UTC when they show this time. */
function zoneOffsetMs(localMs: number, location: string): number {
  if (location === "UTC" || location === "") return 0;
  let shown: Intl.DateTimeFormat;
  try {
    shown = new Intl.DateTimeFormat("en-US", { timeZone: location, timeZoneName: "longOffset" });
  } catch {
    throw new OttlEvaluationError(`unknown time zone ${location}`);
  }
  const offsetAt = (ms: number): number => {
    const name = shown.formatToParts(ms).find(({ type }) => type === "timeZoneName")?.value ?? "";
    return fixedOffsetMs(name.replace("GMT", ""));
  };
  return offsetAt(localMs - offsetAt(localMs));
}
