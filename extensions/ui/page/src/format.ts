// SPDX-License-Identifier: Apache-2.0

const NS_PER_US = 1e3;
const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;
const NS_PER_MIN = 60 * NS_PER_S;
const BYTES_STEP = 1024;
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
/** What the page shows of one text; the rest is announced, not drawn. */
const TEXT_CHARACTERS_MAX = 4_096;

/** Three significant digits: 1.23, 12.3, 123. */
function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** Nanoseconds as people read them, such as `5.60 ms`; a dash when unknown. */
export function formatNs(ns: number | undefined): string {
  if (ns === undefined || !Number.isFinite(ns)) return "–";
  if (ns < 0) return `−${formatNs(-ns)}`;
  if (ns === 0) return "0";
  if (ns < NS_PER_US) return `${ns.toFixed(0)} ns`;
  if (ns < NS_PER_MS) return `${threeDigits(ns / NS_PER_US)} µs`;
  if (ns < NS_PER_S) return `${threeDigits(ns / NS_PER_MS)} ms`;
  if (ns < 2 * NS_PER_MIN) return `${threeDigits(ns / NS_PER_S)} s`;
  const minutes = ns / NS_PER_MIN;
  return minutes < 120 ? `${threeDigits(minutes)} min` : `${threeDigits(minutes / 60)} h`;
}

/** A number of things: 950, 12.3k, 4.56M. */
export function formatCount(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (value < 0) return `−${formatCount(-value)}`;
  if (value < 1_000) return Number.isInteger(value) ? String(value) : threeDigits(value);
  for (const [limit, unit] of [
    [1e6, "k"],
    [1e9, "M"],
    [1e12, "G"],
  ] as const) {
    if (value < limit) return `${threeDigits(value / (limit / 1e3))}${unit}`;
  }
  return value.toExponential(2);
}

export function plural(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** A rate per second, such as `12.3/s`. */
export function formatRate(perSecond: number | undefined): string {
  if (perSecond === undefined || !Number.isFinite(perSecond)) return "–";
  if (perSecond === 0) return "0/s";
  return perSecond < 0.01 ? "<0.01/s" : `${formatCount(perSecond)}/s`;
}

/** A share from 0 to 1 as per cent; tiny shares do not become zero. */
export function formatShare(share: number | undefined): string {
  if (share === undefined || !Number.isFinite(share)) return "–";
  if (share === 0) return "0 %";
  if (share < 0.0001) return "<0.01 %";
  return share === 1 ? "100 %" : `${threeDigits(share * 100)} %`;
}

export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined || !Number.isFinite(bytes)) return "–";
  let value = bytes;
  let unit = 0;
  while (value >= BYTES_STEP && unit < BYTE_UNITS.length - 1) {
    value /= BYTES_STEP;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : threeDigits(value)} ${BYTE_UNITS[unit]}`;
}

/** Time of day in the reader's zone with milliseconds; with the date when it is not today. */
export function formatTime(epochMs: number, nowMs: number): string {
  const time = new Date(epochMs);
  if (Number.isNaN(time.getTime())) return "–";
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const text = `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  const isToday = new Date(nowMs).toDateString() === time.toDateString();
  if (isToday) return text;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${text}`;
}

/**
 * A text from outside, fit to be drawn: bounded, without control characters, and without the
 * characters that turn the direction of what stands beside it.
 */
export function shown(text: string, charactersMax: number = TEXT_CHARACTERS_MAX): string {
  const head = text.length > charactersMax ? text.slice(0, charactersMax) : text;
  const clean = head.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) =>
    character === "\n" || character === "\t" ? character : "�",
  );
  if (head === text) return clean;
  return `${clean}… (${formatCount(text.length - charactersMax)} characters more)`;
}
