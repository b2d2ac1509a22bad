// SPDX-License-Identifier: Apache-2.0
import type { z } from "zod";
import { type ConfigNode, type ConfigPath, nodeAt, type Plain, pathKey, toPlain } from "./node.ts";
import type { Problem } from "./problem.ts";
import { problemsOf } from "./schema-issues.ts";

const REPAIR_ROUNDS_MAX = 20;

type Issue = z.core.$ZodIssue;
type Result<Output> =
  /** `input` is what the schema took, after repairs. */
  { readonly value: Output; readonly input: Plain } | { readonly problems: readonly Problem[] };

export interface DecodeSite {
  readonly root: ConfigNode;
  readonly path: ConfigPath;
}

/**
 * Parses the value at `path` (null or absent: `{}`) by a schema. Where only the kind is wrong,
 * what the Collector's decoder accepts is accepted: the original text of an expanded value in a
 * string field, a fraction cut in an integer field, the zero value for null in a scalar field
 * and the default for null in a list or map, a text split on "," in a list.
 */
export function decodeAt<Output>(schema: z.ZodType<Output>, site: DecodeSite): Result<Output> {
  const texts = new Map<string, string>();
  const node = nodeAt(site.root, site.path);
  let input: Plain = node === undefined ? {} : (toPlain(node, texts) ?? {});
  for (let round = 0; ; round++) {
    const result = schema.safeParse(input, { reportInput: true });
    if (result.success) return { value: result.data, input };
    const repaired: Plain =
      round < REPAIR_ROUNDS_MAX ? repair(input, result.error.issues, texts) : input;
    if (repaired === input) {
      const issues = withoutConsequences(result.error.issues);
      return { problems: problemsOf(issues, { ...site, schema }) };
    }
    input = repaired;
  }
}

/** A check over a whole map may fail only because one of its keys is misspelt. */
function withoutConsequences(issues: readonly Issue[]): Issue[] {
  const misspelt = issues.filter((issue) => issue.code === "unrecognized_keys");
  return issues.filter(
    (issue) =>
      issue.code !== "custom" ||
      !misspelt.some(({ path }) => issue.path.every((key, at) => path[at] === key)),
  );
}

function repair(input: Plain, issues: readonly Issue[], texts: ReadonlyMap<string, string>): Plain {
  let repaired = input;
  for (const { expected, path } of flatten(issues)) {
    const value = valueAt(input, path);
    if (value === undefined) continue;
    const change = repairOf(expected, value, texts.get(pathKey(path)));
    if (change === undefined) continue;
    repaired = replaceAt(repaired, path, change.to);
  }
  return repaired;
}

interface WrongKind {
  readonly expected: string;
  readonly path: (string | number)[];
}

function flatten(issues: readonly Issue[]): WrongKind[] {
  return issues.flatMap((issue): WrongKind[] => {
    const path = issue.path.map((key) => (typeof key === "number" ? key : String(key)));
    if (issue.code === "invalid_type") return [{ expected: issue.expected, path }];
    if (issue.code === "invalid_value") return [{ expected: "string", path }];
    if (issue.code !== "invalid_union") return [];
    const inner = issue.errors.flatMap((branch) => flatten(branch));
    return inner.map((wrong) => ({ ...wrong, path: [...path, ...wrong.path] }));
  });
}

/** `to: undefined` takes the key out, so that the default is used. */
function repairOf(
  expected: string,
  value: Plain,
  text: string | undefined,
): { readonly to: Plain | undefined } | undefined {
  switch (expected) {
    case "string":
      if (text !== undefined && typeof value !== "string") return { to: text };
      return value === null ? { to: "" } : undefined;
    case "int":
    case "number":
      if (value === null) return { to: 0 };
      return typeof value === "number" && Number.isFinite(value) && !Number.isInteger(value)
        ? { to: Math.trunc(value) }
        : undefined;
    case "boolean":
      return value === null ? { to: false } : undefined;
    case "array":
      if (typeof value === "string") return { to: value === "" ? [] : value.split(",") };
      return value === null ? { to: undefined } : undefined;
    default:
      return value === null ? { to: undefined } : undefined;
  }
}

function valueAt(input: Plain, path: ConfigPath): Plain | undefined {
  let value: Plain | undefined = input;
  for (const key of path) value = childOf(value, key);
  return value;
}

function childOf(value: Plain | undefined, key: string | number): Plain | undefined {
  if (isList(value)) return typeof key === "number" ? value[key] : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  return value[String(key)];
}

function isList(value: Plain | undefined): value is readonly Plain[] {
  return Array.isArray(value);
}

function replaceAt(input: Plain, path: ConfigPath, to: Plain | undefined): Plain {
  const [key, ...rest] = path;
  if (key === undefined) return to ?? {};
  const child = childOf(input, key);
  const next = rest.length === 0 || child === undefined ? to : replaceAt(child, rest, to);
  if (isList(input)) return input.map((item, at) => (at === key ? (next ?? null) : item));
  if (typeof input !== "object" || input === null) return input;
  const copy: Record<string, Plain> = { ...input };
  if (next === undefined) delete copy[String(key)];
  else copy[String(key)] = next;
  return copy;
}
