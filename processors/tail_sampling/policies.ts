// SPDX-License-Identifier: Apache-2.0
import { compileRe2 } from "../../src/config/re2.ts";
import type { Condition } from "../../src/ottl/condition.ts";
import type { ContextName } from "../../src/ottl/paths.ts";
import { Telemetry } from "../../src/ottl/telemetry.ts";
import { OttlEvaluationError } from "../../src/ottl/value.ts";
import { Walker } from "../../src/ottl/walker.ts";
import type { SpanView } from "../../src/pdata/span-view.ts";
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED32 } from "../../src/pdata/wire.ts";
import type { CompositeConfig, PolicyConfig } from "./config.ts";
import { someAttribute, someSpan, type Trace } from "./trace.ts";

/** The inverted ones are what `invert_match` gives; they weigh differently. */
export type Decision =
  | "sampled"
  | "not_sampled"
  | "inverted_sampled"
  | "inverted_not_sampled"
  | "dropped";

export type Policy = (trace: Trace, nowMs: number) => Decision;

const CODES = ["UNSET", "OK", "ERROR"];
const TRACE_STATE = 3;
const FLAGS = 16;

const sampledIf = (isSampled: boolean): Decision => (isSampled ? "sampled" : "not_sampled");

function matchedIf(isMatched: boolean, isInverted: boolean): Decision {
  if (!isInverted) return sampledIf(isMatched);
  return isMatched ? "inverted_not_sampled" : "inverted_sampled";
}

function isKept(decision: Decision): boolean {
  return decision === "sampled" || decision === "inverted_sampled";
}

/** Makes the function that decides for one policy. */
export function createPolicy(config: PolicyConfig): Policy {
  const { latency, probabilistic, status_code, span_count, rate_limiting, bytes_limiting } = config;
  switch (config.type) {
    case "latency":
      if (latency !== undefined) return ofLatency(latency.threshold_ms, latency.upper_threshold_ms);
      break;
    case "probabilistic":
      if (probabilistic !== undefined) {
        return ofHash(probabilistic.hash_salt, probabilistic.sampling_percentage);
      }
      break;
    case "status_code": {
      const codes = new Set<string | undefined>(status_code?.status_codes);
      return (trace) => sampledIf(someSpan(trace, (span) => codes.has(CODES[codeOf(span)])));
    }
    case "rate_limiting":
      return ofRate(rate_limiting?.spans_per_second ?? 0);
    case "bytes_limiting":
      return ofBytes(bytes_limiting?.bytes_per_second ?? 0, bytes_limiting?.burst_capacity ?? 0);
    case "span_count": {
      const { min_spans: min = 0, max_spans: max = 0 } = span_count ?? {};
      return ({ spans }) => sampledIf(spans >= min && (max === 0 || spans <= max));
    }
    case "always_sample":
      return () => "sampled";
    case "trace_flags":
      return (trace) => sampledIf(someSpan(trace, (span) => (flagsOf(span) & 1) === 1));
    default:
      return ofAttributes(config) ?? ofOthers(config);
  }
  return () => "not_sampled";
}

function ofAttributes(config: PolicyConfig): Policy | undefined {
  const { numeric_attribute: number, string_attribute: text, boolean_attribute: bool } = config;
  if (config.type === "numeric_attribute" && number !== undefined) {
    const key = Buffer.from(number.key);
    return (trace) => {
      const isMatched = someAttribute(trace, key, (value) => {
        if (typeof value !== "number" && typeof value !== "bigint") return false;
        return Number(value) >= number.min_value && Number(value) <= number.max_value;
      });
      return matchedIf(isMatched, number.invert_match);
    };
  }
  if (config.type === "string_attribute" && text !== undefined) {
    const key = Buffer.from(text.key);
    const test = textTest(text.values, text.enabled_regex_matching);
    return (trace) =>
      matchedIf(
        someAttribute(trace, key, (value) => typeof value === "string" && test(value)),
        text.invert_match,
      );
  }
  if (config.type === "boolean_attribute" && bool !== undefined) {
    const key = Buffer.from(bool.key);
    return (trace) =>
      matchedIf(
        someAttribute(trace, key, (value) => value === bool.value),
        bool.invert_match,
      );
  }
  return undefined;
}

function textTest(values: readonly string[], isRegexp: boolean): (text: string) => boolean {
  if (!isRegexp) {
    const exact = new Set(values);
    return (text) => exact.has(text);
  }
  const patterns = values.flatMap((value) => {
    const compiled = compileRe2(value);
    return typeof compiled === "string" ? [] : [compiled.regexp];
  });
  return (text) => patterns.some((pattern) => pattern.test(text));
}

function ofOthers(config: PolicyConfig): Policy {
  switch (config.type) {
    case "trace_state": {
      const { key = "", values = [] } = config.trace_state ?? {};
      const members = new Set(values.map((value) => `${key}=${value}`));
      return (trace) =>
        sampledIf(
          someSpan(trace, (span) =>
            traceStateOf(span)
              .split(",")
              .some((member) => members.has(member.trim())),
          ),
        );
    }
    case "ottl_condition":
      return ofConditions(config);
    case "and": {
      const inner = (config.and?.and_sub_policy ?? []).map((policy) => createPolicy(policy));
      return (trace, nowMs) => sampledIf(inner.every((policy) => isKept(policy(trace, nowMs))));
    }
    case "drop": {
      const inner = (config.drop?.drop_sub_policy ?? []).map((policy) => createPolicy(policy));
      return (trace, nowMs) =>
        inner.every((policy) => isKept(policy(trace, nowMs))) ? "dropped" : "not_sampled";
    }
    case "not": {
      const body = config.not?.not_sub_policy;
      const inner = body === undefined ? () => "sampled" as const : createPolicy(body);
      return (trace, nowMs) => sampledIf(!isKept(inner(trace, nowMs)));
    }
    default:
      return config.composite === undefined ? () => "not_sampled" : ofComposite(config.composite);
  }
}

function codeOf(span: SpanView): number {
  return span.statusStart < 0 ? 0 : span.statusCode;
}

function flagsOf({ bytes, start, end }: SpanView): number {
  const reader = new FieldReader().reset(bytes, start, end);
  let flags = 0;
  while (reader.next()) {
    if (reader.field === FLAGS && reader.wireType === WIRE_FIXED32) {
      flags = readFixed32(bytes, reader.start);
    }
  }
  return flags;
}

function traceStateOf({ bytes, start, end }: SpanView): string {
  const reader = new FieldReader().reset(bytes, start, end);
  let state = "";
  while (reader.next()) {
    if (reader.field === TRACE_STATE && reader.wireType === WIRE_BYTES) {
      state = Buffer.from(bytes.subarray(reader.start, reader.stop)).toString("latin1");
    }
  }
  return state;
}

function ofLatency(thresholdMs: number, upperMs: number): Policy {
  return (trace) => {
    let first = Number.POSITIVE_INFINITY;
    let last = 0;
    someSpan(trace, (span) => {
      first = Math.min(first, span.startTimeNs);
      last = Math.max(last, span.endTimeNs);
      return false;
    });
    const ms = Math.floor((last - first) / 1e6);
    return sampledIf(upperMs === 0 ? ms >= thresholdMs : ms > thresholdMs && ms <= upperMs);
  };
}

/** FNV-1a of 64 bits over salt and trace id against the share of all hashes, as the Collector. */
function ofHash(salt: string, percentage: number): Policy {
  const share = percentage / 100;
  const most = 2n ** 64n - 1n;
  const threshold = share >= 1 ? most : BigInt(Math.floor(share * 2 ** 64));
  const salted = Buffer.from(salt, "utf8");
  return ({ id }) => {
    if (share <= 0) return "not_sampled";
    let hash = 0xcbf29ce484222325n;
    for (const byte of Buffer.concat([salted, Buffer.from(id, "latin1")])) {
      hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    }
    return sampledIf(hash <= threshold);
  };
}

/** Spans in the current second. */
class SecondCount {
  #second = 0;
  #spans = 0;

  /** What it would be with `spans` more. */
  with(spans: number, nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#spans = 0;
    }
    return this.#spans + spans;
  }

  add(spans: number): void {
    this.#spans += spans;
  }
}

function ofRate(spansPerSecond: number): Policy {
  const count = new SecondCount();
  return ({ spans }, nowMs) => {
    if (count.with(spans, nowMs) >= spansPerSecond) return "not_sampled";
    count.add(spans);
    return "sampled";
  };
}

/** A bucket of tokens, one a byte. */
function ofBytes(bytesPerSecond: number, burst: number): Policy {
  const capacity = burst === 0 ? 2 * bytesPerSecond : burst;
  let tokens = capacity;
  let lastMs = Number.NaN;
  return ({ bytes }, nowMs) => {
    const passedMs = Number.isNaN(lastMs) ? 0 : Math.max(nowMs - lastMs, 0);
    lastMs = nowMs;
    tokens = Math.min(capacity, tokens + (passedMs / 1000) * bytesPerSecond);
    if (bytes > tokens) return "not_sampled";
    tokens -= bytes;
    return "sampled";
  };
}

function ofComposite(config: CompositeConfig): Policy {
  const { max_total_spans_per_second: total, composite_sub_policy: all, policy_order } = config;
  const share = new Map(config.rate_allocation.map(({ policy, percent }) => [policy, percent]));
  const ordered = policy_order.flatMap((name) => all.filter((policy) => policy.name === name));
  const parts = ordered.map((policy) => {
    const percent = share.get(policy.name) ?? 0;
    const allocated = percent > 0 ? (percent * total) / 100 : total / all.length;
    return { policy: createPolicy(policy), allocated, count: new SecondCount() };
  });
  return (trace, nowMs) => {
    for (const { policy, allocated, count } of parts) {
      if (!isKept(policy(trace, nowMs))) continue;
      const spans = count.with(trace.spans, nowMs);
      if (spans > allocated || spans > total) return "not_sampled";
      count.add(trace.spans);
      return "sampled";
    }
    return "not_sampled";
  };
}

function ofConditions({ ottl_condition: body }: PolicyConfig): Policy {
  const telemetry = new Telemetry();
  let found = false;
  const walkerOf = (context: ContextName, conditions: readonly Condition[]): Walker =>
    new Walker(context, telemetry, () => {
      for (const condition of found ? [] : conditions) {
        try {
          if (condition(telemetry)) found = true;
        } catch (error) {
          const isOurs = error instanceof OttlEvaluationError;
          if (!isOurs || body?.error_mode === "propagate") throw error;
        }
      }
    });
  const { span = [], spanevent = [] } = body ?? {};
  const walkers = [
    ...(span.length > 0 ? [walkerOf("span", span)] : []),
    ...(spanevent.length > 0 ? [walkerOf("spanevent", spanevent)] : []),
  ];
  return ({ chunks }) => {
    found = false;
    for (const walker of walkers) for (const chunk of chunks) walker.rewrite(chunk);
    return sampledIf(found);
  };
}
