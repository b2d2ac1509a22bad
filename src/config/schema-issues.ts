// SPDX-License-Identifier: Apache-2.0
import type { z } from "zod";
import { nearest } from "./nearest.ts";
import { type ConfigNode, type ConfigPath, locate, locateKey } from "./node.ts";
import type { Problem } from "./problem.ts";
import { isIntegerAt, isSecretAt, keysAt } from "./schema-keys.ts";

type Issue = z.core.$ZodIssue;

/** Where a schema's own paths begin in the configuration. */
export interface SchemaSite {
  readonly root: ConfigNode;
  /** Of the value that was parsed. */
  readonly path: ConfigPath;
  readonly schema: z.core.$ZodType;
}

/** Zod's issues as located problems with advice. */
export function problemsOf(issues: readonly Issue[], site: SchemaSite): Problem[] {
  return issues.flatMap((issue) => {
    const inner = innerIssues(issue);
    return inner === undefined ? problemOf(issue, site) : problemsOf(inner, site);
  });
}

/**
 * A union that fails inside one of its branches (not on the value's own kind) is shown as that
 * branch's issues; undefined when its own message says more.
 */
function innerIssues(issue: Issue): Issue[] | undefined {
  if (issue.code !== "invalid_union") return undefined;
  const deep = issue.errors.filter((branch) =>
    branch.every((inner) => inner.path.length > 0 || inner.code === "unrecognized_keys"),
  );
  const [best] = deep.sort((a, b) => a.length - b.length);
  return best?.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}

function problemOf(issue: Issue, site: SchemaSite): Problem[] {
  const path = toConfigPath(issue.path);
  const full = [...site.path, ...path];
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(site.schema, path);
    return issue.keys.map((key) => ({
      at: locateKey(site.root, [...full, key]),
      path: [...full, key],
      message: unknownKey(key, known),
    }));
  }
  const received = describe(issue.input, isSecretAt(site.schema, path));
  const message = messageFor(issue, received, isIntegerAt(site.schema, path));
  return [{ at: locate(site.root, full), path: full, message }];
}

export function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  if (near !== undefined) return `unknown key. Did you mean "${near}"?`;
  if (known.length === 0) return "unknown key. Remove it";
  return `unknown key. Known keys are ${[...known].sort().join(", ")}`;
}

function messageFor(issue: Issue, received: string | undefined, isInteger: boolean): string {
  switch (issue.code) {
    case "invalid_type": {
      if (isOwn(issue.message)) return withReceived(issue.message, received);
      const kind = isInteger ? "a whole number" : kindName(issue.expected);
      if (received === undefined) return `is required: set it to ${kind}`;
      return `expected ${kind}, got ${received}`;
    }
    case "invalid_value": {
      const values = issue.values.map(String);
      const near = received === undefined ? undefined : nearest(unquote(received), values);
      const hint = near === undefined ? "" : `. Did you mean "${near}"?`;
      if (received === undefined) return `is required: set it to one of ${values.join(", ")}`;
      return `expected one of ${values.join(", ")}; got ${received}${hint}`;
    }
    case "too_small":
    case "too_big":
      return isOwn(issue.message) ? issue.message : rangeMessage(issue, received);
    case "invalid_union":
      if (received === undefined) return "is required: set it";
      return isOwn(issue.message)
        ? withReceived(issue.message, received)
        : `has the wrong form: got ${received}`;
    default:
      return isOwn(issue.message)
        ? issue.message
        : `${issue.message}: got ${received ?? "nothing"}`;
  }
}

/** Zod's own texts begin so; what a schema says itself is kept. */
function isOwn(message: string): boolean {
  return !/^(?:Invalid |Too (?:small|big)|Unrecognized key)/.test(message);
}

function withReceived(message: string, received: string | undefined): string {
  return received === undefined ? message : `${message}; got ${received}`;
}

function rangeMessage(
  issue: Extract<Issue, { code: "too_small" | "too_big" }>,
  received: string | undefined,
): string {
  const isLow = issue.code === "too_small";
  const limit = issue.code === "too_small" ? issue.minimum : issue.maximum;
  const isLength = ["string", "array", "set", "map"].includes(issue.origin);
  const unit = issue.origin === "string" ? " characters" : isLength ? " entries" : "";
  const bound = issue.inclusive === false ? (isLow ? "greater than" : "less than") : "";
  const words = bound === "" ? (isLow ? "at least" : "at most") : bound;
  if (isLength && isLow && Number(limit) === 1) return "must not be empty";
  return `must ${isLength ? "have" : "be"} ${words} ${limit}${unit}; got ${received ?? "nothing"}`;
}

const KIND_NAMES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "a map of keys",
  record: "a map of keys",
  map: "a map of keys",
};

function kindName(expected: string): string {
  return KIND_NAMES[expected] ?? expected;
}

/** What was found, for a message; undefined when there was nothing. */
function describe(input: unknown, isSecret: boolean): string | undefined {
  if (input === undefined) return undefined;
  if (isSecret) return "[REDACTED]";
  if (input === null) return "nothing";
  if (Array.isArray(input)) return "a list";
  if (typeof input === "object") return "a map";
  if (typeof input !== "string") return `the ${typeof input} ${String(input)}`;
  return JSON.stringify(input.length > 60 ? `${input.slice(0, 60)}…` : input);
}

function unquote(text: string): string {
  return text.replace(/^"(.*)"$/, "$1");
}

function toConfigPath(path: readonly PropertyKey[]): (string | number)[] {
  return path.map((key) => (typeof key === "number" ? key : String(key)));
}
