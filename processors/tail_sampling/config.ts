// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { compileRe2 } from "../../src/config/re2.ts";
import { duration } from "../../src/config/types.ts";
import { type Condition, compileCondition } from "../../src/ottl/condition.ts";
import type { ContextName } from "../../src/ottl/paths.ts";

const conditions = (context: ContextName): z.ZodType<readonly Condition[], unknown> =>
  z
    .array(z.string())
    .default([])
    .transform((texts, issues): readonly Condition[] =>
      texts.flatMap((text, index) => {
        const compiled = compileCondition(text, context);
        if (typeof compiled !== "string") return [compiled];
        issues.addIssue({ code: "custom", path: [index], message: compiled });
        return [];
      }),
    );

const count = (): z.ZodType<number, unknown> => z.int().min(0);
const key = z.string().min(1, { error: "the key must not be empty" });
const invert = z.boolean().default(false);

/** What each type of policy is told, under its own name; those that stand alone. */
const SHARED = {
  latency: z.strictObject({ threshold_ms: count(), upper_threshold_ms: count().default(0) }),
  numeric_attribute: z.strictObject({
    key,
    min_value: z.number().default(Number.NEGATIVE_INFINITY),
    max_value: z.number().default(Number.POSITIVE_INFINITY),
    invert_match: invert,
  }),
  probabilistic: z.strictObject({
    hash_salt: z.string().default("default-hash-seed"),
    sampling_percentage: z.number().min(0),
  }),
  status_code: z.strictObject({
    status_codes: z
      .array(
        z.enum(["OK", "ERROR", "UNSET"], {
          error: "unknown status code. Codes are OK, ERROR, UNSET",
        }),
      )
      .min(1, { error: "expected at least one status code to filter on" }),
  }),
  string_attribute: z
    .strictObject({
      key,
      values: z.array(z.string()).default([]),
      enabled_regex_matching: z.boolean().default(false),
      cache_max_size: count().default(128),
      invert_match: invert,
    })
    .superRefine(({ values, enabled_regex_matching }, context) => {
      for (const [at, value] of enabled_regex_matching ? values.entries() : []) {
        const compiled = compileRe2(value);
        if (typeof compiled !== "string") continue;
        context.addIssue({ code: "custom", path: ["values", at], message: compiled });
      }
    }),
  rate_limiting: z.strictObject({ spans_per_second: count() }),
  bytes_limiting: z.strictObject({
    bytes_per_second: z.int().positive(),
    burst_capacity: count().default(0),
  }),
  span_count: z.strictObject({ min_spans: count().default(0), max_spans: count().default(0) }),
  trace_state: z.strictObject({ key, values: z.array(z.string()).default([]) }),
  boolean_attribute: z.strictObject({
    key,
    value: z.boolean().default(false),
    invert_match: invert,
  }),
  ottl_condition: z
    .strictObject({
      error_mode: z.enum(["ignore", "silent", "propagate"]).default("ignore"),
      span: conditions("span"),
      spanevent: conditions("spanevent"),
    })
    .refine(({ span, spanevent }) => span.length + spanevent.length > 0, {
      error: "expected at least one OTTL condition to filter on",
    }),
} as const;

interface Inverting {
  readonly key: string;
  readonly invert_match: boolean;
}

interface Bodies {
  readonly latency?:
    | { readonly threshold_ms: number; readonly upper_threshold_ms: number }
    | undefined;
  readonly numeric_attribute?:
    | (Inverting & { readonly min_value: number; readonly max_value: number })
    | undefined;
  readonly probabilistic?:
    | { readonly hash_salt: string; readonly sampling_percentage: number }
    | undefined;
  readonly status_code?: { readonly status_codes: readonly string[] } | undefined;
  readonly string_attribute?:
    | (Inverting & {
        readonly values: readonly string[];
        readonly enabled_regex_matching: boolean;
        readonly cache_max_size: number;
      })
    | undefined;
  readonly rate_limiting?: { readonly spans_per_second: number } | undefined;
  readonly bytes_limiting?:
    | { readonly bytes_per_second: number; readonly burst_capacity: number }
    | undefined;
  readonly span_count?: { readonly min_spans: number; readonly max_spans: number } | undefined;
  readonly trace_state?: { readonly key: string; readonly values: readonly string[] } | undefined;
  readonly boolean_attribute?: (Inverting & { readonly value: boolean }) | undefined;
  readonly ottl_condition?:
    | {
        readonly error_mode: "ignore" | "silent" | "propagate";
        readonly span: readonly Condition[];
        readonly spanevent: readonly Condition[];
      }
    | undefined;
}

type SharedType = keyof Bodies | "always_sample" | "trace_flags";
type Nested = "and" | "not" | "drop" | "composite";

/** One policy: its type says which body it has. */
export interface PolicyConfig extends Bodies {
  readonly name: string;
  readonly type: SharedType | Nested;
  readonly and?: { readonly and_sub_policy: readonly PolicyConfig[] } | undefined;
  readonly not?: { readonly not_sub_policy: PolicyConfig } | undefined;
  readonly drop?: { readonly drop_sub_policy: readonly PolicyConfig[] } | undefined;
  readonly composite?: CompositeConfig | undefined;
}

export interface CompositeConfig {
  readonly max_total_spans_per_second: number;
  readonly policy_order: readonly string[];
  readonly composite_sub_policy: readonly PolicyConfig[];
  readonly rate_allocation: readonly { readonly policy: string; readonly percent: number }[];
}

export interface TailSamplingConfig {
  readonly decision_wait: number;
  readonly decision_wait_after_root_received: number;
  readonly num_traces: number;
  readonly expected_new_traces_per_sec: number;
  readonly decision_cache: {
    readonly sampled_cache_size: number;
    readonly non_sampled_cache_size: number;
  };
  readonly sample_on_first_match: boolean;
  readonly drop_pending_traces_on_shutdown: boolean;
  readonly policies: readonly PolicyConfig[];
}

const OPTIONAL = Object.fromEntries(
  Object.entries(SHARED).map(([name, schema]) => [name, schema.optional()]),
);

const WITHOUT_BODY: readonly string[] = ["always_sample", "trace_flags"];
const SHARED_TYPES = [...WITHOUT_BODY, ...Object.keys(SHARED)];
const name = z.string().min(1, { error: "a policy needs a name" });

function needsBody(policy: { readonly type: string }, context: z.core.$RefinementCtx): void {
  const bodies = new Map<string, unknown>(Object.entries(policy));
  if (WITHOUT_BODY.includes(policy.type) || bodies.get(policy.type) !== undefined) return;
  const message = `a policy of type ${policy.type} needs "${policy.type}" with its settings`;
  context.addIssue({ code: "custom", message });
}

/** Policies that stand inside others: `types` says which of them may nest further. */
function policySchema(depth: number): z.ZodType<PolicyConfig, unknown> {
  const nested = depth > 0 ? ["and", "not", ...(depth === 2 ? ["drop", "composite"] : [])] : [];
  const types = [...SHARED_TYPES, ...nested];
  const error = `unknown sampling policy type. Types here are ${types.join(", ")}`;
  const base = { name, type: z.enum(types, { error }), ...OPTIONAL };
  if (depth === 0) return unsafePolicy(z.strictObject(base).superRefine(needsBody));
  const inner = policySchema(depth - 1);
  const list = z.array(inner).min(1, { error: "expected at least one policy" });
  const and = z.strictObject({ and_sub_policy: list }).optional();
  const not = z.strictObject({ not_sub_policy: inner }).optional();
  const top = {
    drop: z.strictObject({ drop_sub_policy: list }).optional(),
    composite: z
      .strictObject({
        max_total_spans_per_second: count(),
        policy_order: z.array(z.string()).default([]),
        composite_sub_policy: list,
        rate_allocation: z
          .array(z.strictObject({ policy: z.string(), percent: count() }))
          .default([]),
      })
      .optional(),
  };
  const body = depth === 2 ? { ...base, and, not, ...top } : { ...base, and, not };
  return unsafePolicy(z.strictObject(body).superRefine(needsBody));
}

/** Relies on the schema having the fields of `PolicyConfig` and no others. */
function unsafePolicy(schema: z.ZodType): z.ZodType<PolicyConfig, unknown> {
  return schema as z.ZodType<PolicyConfig, unknown>;
}

export const configSchema: z.ZodType<TailSamplingConfig> = z.strictObject({
  decision_wait: duration({ positive: true })
    .default(30_000)
    .describe("From a trace's first span to its decision."),
  decision_wait_after_root_received: duration()
    .default(0)
    .describe("The decision comes so long after the root span, if that is sooner; 0: it does not."),
  num_traces: z
    .int()
    .positive()
    .default(50_000)
    .describe("Traces that wait; the oldest goes undecided when there are more."),
  expected_new_traces_per_sec: count().default(0).describe("Accepted and not needed."),
  decision_cache: z
    .strictObject({
      sampled_cache_size: count().default(0).describe("Kept traces that are remembered."),
      non_sampled_cache_size: count().default(0).describe("Dropped traces that are remembered."),
    })
    .prefault({ sampled_cache_size: 0, non_sampled_cache_size: 0 }),
  sample_on_first_match: z
    .boolean()
    .default(false)
    .describe("The first policy that keeps a trace decides."),
  drop_pending_traces_on_shutdown: z
    .boolean()
    .default(false)
    .describe("Traces that wait at shutdown are dropped; else they are decided."),
  policies: z
    .array(policySchema(2))
    .min(1, { error: "expected at least one policy" })
    .superRefine((policies, context) => {
      const names = policies.map((policy) => policy.name);
      const twice = names.find((one, at) => names.indexOf(one) !== at);
      if (twice === undefined) return;
      context.addIssue({ code: "custom", message: `duplicate policy name "${twice}"` });
    })
    .describe("What decides."),
});
