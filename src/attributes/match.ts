// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { compileRe2 } from "../config/re2.ts";
import type { AttributeValue } from "../pdata/span-view.ts";

/** What a condition may ask of an item; each is read only when it is asked for. */
export interface Matched {
  resource(): ReadonlyMap<string, AttributeValue>;
  scope(): { readonly name: string; readonly version: string };
  attributes(): ReadonlyMap<string, AttributeValue>;
  /** Of the span or metric. */
  name(): string;
  /** `SPAN_KIND_SERVER` and so on. */
  spanKind(): string;
  /** Undefined when it is no text. */
  logBody(): string | undefined;
  severityText(): string;
  severityNumber(): number;
}

export type Matcher = (item: Matched) => boolean;

interface AttributeCondition {
  readonly key: string;
  /** Any value when left out. */
  readonly value?: string | number | boolean | null | undefined;
}

export interface MatchProperties {
  readonly match_type: "strict" | "regexp";
  readonly services: readonly string[];
  readonly span_names: readonly string[];
  readonly span_kinds: readonly string[];
  readonly log_bodies: readonly string[];
  readonly log_severity_texts: readonly string[];
  readonly log_severity_number?:
    | { readonly min: number; readonly match_undefined: boolean }
    | null
    | undefined;
  readonly metric_names: readonly string[];
  readonly attributes: readonly AttributeCondition[];
  readonly resources: readonly AttributeCondition[];
  readonly libraries: readonly {
    readonly name: string;
    readonly version?: string | null | undefined;
  }[];
}

const attribute: z.ZodType<AttributeCondition> = z.strictObject({
  key: z
    .string()
    .min(1, { error: "error creating processor. Can't have empty key in the list of attributes" }),
  value: z.union([z.string(), z.number(), z.boolean(), z.null()]).optional(),
});

const SPAN_KINDS = ["CLIENT", "CONSUMER", "INTERNAL", "PRODUCER", "SERVER"].map(
  (kind) => `SPAN_KIND_${kind}`,
);
const SERVICE_NAME = "service.name";
/** What the Collector compares for a resource without a service name. */
const NO_SERVICE = "<nil-service-name>";

const texts = (what: string): z.ZodType<string[]> => z.array(z.string()).default([]).describe(what);

const propertiesSchema: z.ZodType<MatchProperties> = z.strictObject({
  match_type: z
    .enum(["strict", "regexp"], {
      error:
        "error creating processor: unrecognized match_type, valid types are: [regexp strict]. Write one",
    })
    .describe("strict or regexp."),
  regexp: z
    .strictObject({
      cacheenabled: z.boolean().default(false).describe("Accepted, without effect."),
      cachemaxnumentries: z.int().default(0).describe("Accepted, without effect."),
    })
    .nullish()
    .describe("Accepted, without effect."),
  services: texts("Spans: one of these is the service's name."),
  span_names: texts("Spans: one of these is the name."),
  span_kinds: texts("Spans: one of these is the kind, as SPAN_KIND_SERVER."),
  log_bodies: texts("Logs: one of these is the body."),
  log_severity_texts: texts("Logs: one of these is the severity's text."),
  log_severity_number: z
    .strictObject({
      min: z.int().default(0).describe("The least severity number, 1 to 24."),
      match_undefined: z.boolean().default(false).describe("Also records without a severity."),
    })
    .nullish()
    .describe("Logs: least severity."),
  metric_names: texts("Metrics: one of these is the name."),
  attributes: z.array(attribute).default([]).describe("All of these, by key and value."),
  resources: z.array(attribute).default([]).describe("All of these, of the resource."),
  libraries: z
    .array(
      z.strictObject({
        name: z.string().describe("The scope's name."),
        version: z.string().nullish().describe("The scope's version; any when left out."),
      }),
    )
    .default([])
    .describe("All of these: name and version of the scope."),
});

/** `include` or `exclude` of the Collector's attributes and span processors. */
export function matchSchema(): z.ZodType<MatchProperties | undefined, unknown> {
  return propertiesSchema.optional().transform((properties, context) => {
    if (properties === undefined) return undefined;
    const isRegexp = properties.match_type === "regexp";
    for (const [key, value] of Object.entries(properties)) {
      if (!isRegexp || !Array.isArray(value)) continue;
      value.forEach((item: unknown, index) => {
        const problem = typeof item === "string" ? compileRe2(item) : undefined;
        if (typeof problem === "string") {
          context.addIssue({ code: "custom", path: [key, index], message: problem });
        }
      });
    }
    return properties;
  });
}

/** What is wrong with properties for this signal, in the Collector's words. */
export function matchProblem(
  signal: "traces" | "metrics" | "logs" | "profiles",
  properties: MatchProperties,
): string | undefined {
  const p = properties;
  const has = (...lists: readonly (readonly unknown[])[]): boolean =>
    lists.some((list) => list.length > 0);
  if (signal === "traces") {
    if (has(p.log_bodies)) return "log_bodies should not be specified for trace spans";
    if (has(p.log_severity_texts)) {
      return "log_severity_texts should not be specified for trace spans";
    }
    if (p.log_severity_number) return "log_severity_number should not be specified for trace spans";
    if (!has(p.services, p.span_names, p.attributes, p.libraries, p.resources, p.span_kinds)) {
      return 'at least one of "attributes", "libraries",  or "resources" field must be specified';
    }
    const strict = p.match_type === "strict";
    return strict && p.span_kinds.some((kind) => !SPAN_KINDS.includes(kind))
      ? `span_kinds string must match one of the standard span kinds when match_type=strict: [${SPAN_KINDS.join(" ")}]`
      : undefined;
  }
  if (signal === "logs") {
    if (has(p.span_names, p.services, p.span_kinds)) {
      return "services, span_names, and span_kinds are not valid for log records";
    }
    const any = has(p.attributes, p.libraries, p.resources, p.log_bodies, p.log_severity_texts);
    return any || p.log_severity_number
      ? undefined
      : 'at least one of "attributes", "libraries", "span_kinds", "resources", "log_bodies", "log_severity_texts" or "log_severity_number" field must be specified';
  }
  return has(p.metric_names, p.resources)
    ? undefined
    : 'at least one of "metric_names" or "resources" field must be specified';
}

/** Does an item match all that is asked? Compiled once. */
export function createMatcher(properties: MatchProperties): Matcher {
  const strict = properties.match_type === "strict";
  const oneOf = (list: readonly string[]): ((text: string) => boolean) => textMatcher(list, strict);
  const checks: Matcher[] = [];
  const ask = (list: readonly string[], read: (item: Matched) => string | undefined): void => {
    if (list.length === 0) return;
    const matches = oneOf(list);
    checks.push((item) => {
      const text = read(item);
      return text !== undefined && matches(text);
    });
  };
  ask(properties.services, (item) => serviceOf(item));
  ask(properties.span_names, (item) => item.name());
  ask(properties.span_kinds, (item) => item.spanKind());
  ask(properties.log_bodies, (item) => item.logBody());
  ask(properties.log_severity_texts, (item) => item.severityText());
  ask(properties.metric_names, (item) => item.name());
  const severity = properties.log_severity_number;
  if (severity !== null && severity !== undefined) {
    checks.push((item) => {
      const number = item.severityNumber();
      return number === 0 ? severity.match_undefined : number >= severity.min;
    });
  }
  for (const { name, version } of properties.libraries) {
    const isName = oneOf([name]);
    const isVersion = version === null || version === undefined ? () => true : oneOf([version]);
    checks.push((item) => isName(item.scope().name) && isVersion(item.scope().version));
  }
  for (const condition of properties.resources) {
    const matches = attributeMatcher(condition, strict);
    checks.push((item) => matches(item.resource()));
  }
  for (const condition of properties.attributes) {
    const matches = attributeMatcher(condition, strict);
    checks.push((item) => matches(item.attributes()));
  }
  return (item) => checks.every((check) => check(item));
}

function serviceOf(item: Matched): string {
  const name = item.resource().get(SERVICE_NAME);
  return typeof name === "string" ? name : NO_SERVICE;
}

function textMatcher(list: readonly string[], strict: boolean): (text: string) => boolean {
  if (strict) {
    const known = new Set(list);
    return (text) => known.has(text);
  }
  const patterns = list.map((pattern) => {
    const compiled = compileRe2(pattern);
    return typeof compiled === "string" ? /(?!)/ : compiled.regexp;
  });
  return (text) => patterns.some((pattern) => pattern.test(text));
}

function attributeMatcher(
  condition: AttributeCondition,
  strict: boolean,
): (attributes: ReadonlyMap<string, AttributeValue>) => boolean {
  const { key, value } = condition;
  if (value === undefined || value === null) return (attributes) => attributes.has(key);
  if (strict) return (attributes) => attributes.get(key) === value;
  const matches = textMatcher([String(value)], false);
  return (attributes) => {
    const found = attributes.get(key);
    const isScalar = ["string", "number", "bigint", "boolean"].includes(typeof found);
    return isScalar && matches(String(found));
  };
}
