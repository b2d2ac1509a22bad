// SPDX-License-Identifier: Apache-2.0
import type { SearchQuery } from "../../src/store/search.ts";
import { type ApiRequest, HttpProblem } from "./api.ts";

const HOUR_US = 3_600_000_000;
const ATTRIBUTES_MAX = 8;
const TEXT_MAX = 4_096;
const SPANS_MAX = 1_000;
const SPANS_DEFAULT = 100;

export const KINDS = [
  "unspecified",
  "internal",
  "server",
  "client",
  "producer",
  "consumer",
] as const;
export const STATUSES = ["unset", "ok", "error"] as const;

/** The last value of a parameter; undefined when it is absent or empty. */
export function textParameter(query: URLSearchParams, name: string): string | undefined {
  const text = query.getAll(name).at(-1);
  if (text === undefined || text === "") return undefined;
  if (text.length > TEXT_MAX) throw new HttpProblem(400, `${name}: longer than ${TEXT_MAX}`);
  return text;
}

interface NumberRule {
  readonly name: string;
  readonly min?: number;
  readonly max?: number;
  /** Ends the sentence that says what is wrong. */
  readonly advice: string;
}

export function numberParameter(
  query: URLSearchParams,
  { name, min = 0, max = Number.MAX_SAFE_INTEGER, advice }: NumberRule,
): number | undefined {
  const text = textParameter(query, name);
  if (text === undefined) return undefined;
  const value = /^-?\d+(\.\d+)?(e\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) {
    throw new HttpProblem(400, `${name}: not a number: ${JSON.stringify(text)}. ${advice}`);
  }
  if (value < min || value > max) {
    throw new HttpProblem(400, `${name}: ${text} is not between ${min} and ${max}. ${advice}`);
  }
  return value;
}

/** Microseconds since the epoch; the last hour unless said otherwise. */
export function rangeOf({ query, nowMs }: Pick<ApiRequest, "query" | "nowMs">): {
  readonly startUs: number;
  readonly endUs: number;
} {
  const advice = "Give microseconds since the epoch";
  const endUs = numberParameter(query, { name: "end", advice }) ?? nowMs * 1000 + 1;
  const startUs = numberParameter(query, { name: "start", advice }) ?? endUs - HOUR_US;
  if (startUs >= endUs) throw new HttpProblem(400, "start: not before end");
  return { startUs, endUs };
}

export function limitOf(query: URLSearchParams, preset: number, max: number): number {
  const advice = "Give how many to show";
  return Math.floor(numberParameter(query, { name: "limit", min: 1, max, advice }) ?? preset);
}

/** One of a list by name: its place in it. */
function choice(
  query: URLSearchParams,
  name: string,
  choices: readonly string[],
): number | undefined {
  const text = textParameter(query, name);
  if (text === undefined) return undefined;
  const at = choices.indexOf(text);
  if (at >= 0) return at;
  throw new HttpProblem(400, `${name}: ${JSON.stringify(text)} is none of ${choices.join(", ")}`);
}

/** The page's search; `limit` is checked by `limits`. */
export function searchOf(
  request: ApiRequest,
  limits: { readonly preset: number; readonly max: number } = {
    preset: SPANS_DEFAULT,
    max: SPANS_MAX,
  },
): SearchQuery {
  const { query } = request;
  const advice = "Give nanoseconds";
  const attributes = query.getAll("attribute").filter((text) => text !== "");
  if (attributes.length > ATTRIBUTES_MAX) {
    throw new HttpProblem(400, `attribute: more than ${ATTRIBUTES_MAX} are given`);
  }
  return {
    ...rangeOf(request),
    service: textParameter(query, "service"),
    operation: textParameter(query, "operation"),
    kind: choice(query, "kind", KINDS),
    status: choice(query, "status", STATUSES),
    minDurationNs: numberParameter(query, { name: "minDurationNs", advice }),
    maxDurationNs: numberParameter(query, { name: "maxDurationNs", advice }),
    attributes: attributes.map(attributeOf),
    limit: limitOf(query, limits.preset, limits.max),
  };
}

function attributeOf(text: string): { readonly key: string; readonly value?: string } {
  if (text.length > TEXT_MAX) throw new HttpProblem(400, `attribute: longer than ${TEXT_MAX}`);
  const at = text.indexOf("=");
  if (at === 0) {
    const shown = JSON.stringify(text);
    throw new HttpProblem(400, `attribute: no key in ${shown}. Give key=value, or a key`);
  }
  return at < 0 ? { key: text } : { key: text.slice(0, at), value: text.slice(at + 1) };
}
