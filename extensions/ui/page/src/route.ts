// SPDX-License-Identifier: Apache-2.0
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { type Parameters, queryOf } from "./api.ts";

export interface Route {
  /** Path parts after `#/`: `["trace", "0af7…"]`; empty for the overview. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener("hashchange", () => {
  hash.value = location.hash;
});

/** Where the page is: all of a view's state that is worth a link is in the address. */
export const route: ReadonlySignal<Route> = computed(() => parseHash(hash.value));

function parseHash(text: string): Route {
  const [path = "", query = ""] = text.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const parts = path
    .split("/")
    .filter((part) => part !== "")
    .map(decoded);
  return { parts, query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The time that is looked at stays the same from view to view. */
const KEPT = ["range", "start", "end"] as const;

export function href(parts: readonly string[], parameters: Parameters = {}): string {
  const kept: Record<string, string> = {};
  for (const name of KEPT) {
    const value = route.value.query.get(name);
    if (value !== null) kept[name] = value;
  }
  const query = queryOf({ ...kept, ...parameters });
  return `#/${parts.map(encodeURIComponent).join("/")}${query === "" ? "" : `?${query}`}`;
}

export function go(parts: readonly string[], parameters: Parameters = {}): void {
  location.hash = href(parts, parameters);
}

/** Changes parameters of the current address; undefined or empty removes one. */
export function change(parameters: Parameters): void {
  const { parts, query } = route.value;
  const all: Record<string, string | readonly string[]> = {};
  for (const name of new Set(query.keys())) all[name] = query.getAll(name);
  const text = queryOf({ ...all, ...parameters });
  location.hash = `#/${parts.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

const US_PER_S = 1e6;
export const RANGES = {
  "5m": { text: "5 minutes", seconds: 300 },
  "15m": { text: "15 minutes", seconds: 900 },
  "1h": { text: "hour", seconds: 3_600 },
  "6h": { text: "6 hours", seconds: 21_600 },
  "24h": { text: "day", seconds: 86_400 },
  "7d": { text: "7 days", seconds: 604_800 },
} as const;
export const RANGE_DEFAULT = "1h";

export interface Period {
  readonly startUs: number;
  readonly endUs: number;
}

/** A fixed time, when the address has one. */
export const fixedPeriod: ReadonlySignal<Period | undefined> = computed(() => {
  const { query } = route.value;
  const [startUs, endUs] = [Number(query.get("start")), Number(query.get("end"))];
  return Number.isFinite(startUs) && Number.isFinite(endUs) && startUs > 0 && endUs > startUs
    ? { startUs, endUs }
    : undefined;
});

/** What is asked for now: the fixed time, or the last minutes or hours. */
export function period(): Period {
  if (fixedPeriod.value !== undefined) return fixedPeriod.value;
  const endUs = Date.now() * 1e3;
  return { startUs: endUs - rangeOf(route.value).seconds * US_PER_S, endUs };
}

export function rangeOf({ query }: Route): (typeof RANGES)[keyof typeof RANGES] {
  const name = query.get("range");
  const found = Object.entries(RANGES).find(([key]) => key === name);
  return found?.[1] ?? RANGES[RANGE_DEFAULT];
}

/** Says when a view's time is another one, though the clock went on. */
export function periodKey(): string {
  const fixed = fixedPeriod.value;
  return fixed === undefined ? rangeOf(route.value).text : `${fixed.startUs}-${fixed.endUs}`;
}

export function periodParameters(): { readonly start: number; readonly end: number } {
  const { startUs, endUs } = period();
  return { start: Math.floor(startUs), end: Math.ceil(endUs) };
}
