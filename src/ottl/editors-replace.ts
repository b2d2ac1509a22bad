// SPDX-License-Identifier: Apache-2.0
import { type Argument, Arguments, type Builtin, define, type Pattern } from "./arguments.ts";
import { converterNamed } from "./converters.ts";
import type { Getter } from "./fields.ts";
import { stringOf } from "./format.ts";
import { mapOfList } from "./paths.ts";
import type { Telemetry } from "./telemetry.ts";
import { kindOf, OttlEvaluationError, type Value } from "./value.ts";

type Editor = (telemetry: Telemetry) => void;
type TextChange = (text: string, telemetry: Telemetry) => string;

/** `$1`, `${1}`, `${name}` and `$$` in a replacement, as Go's regexp expands them. */
function expandGroups(
  template: string,
  groups: readonly string[],
  names: readonly string[],
): string {
  return template.replace(/\$(?:(\$)|\{(\w+)\}|(\w+))/g, (_, dollar, braced, bare) => {
    if (dollar !== undefined) return "$";
    const name = String(braced ?? bare);
    if (/^\d+$/.test(name)) return groups[Number(name)] ?? "";
    const at = names.indexOf(name);
    return at === -1 ? "" : (groups[at + 1] ?? "");
  });
}

/** The function that is given by name, such as `SHA256`, applied to what is put in. */
function functionOf(args: Arguments): (text: string, telemetry: Telemetry) => string {
  if (!args.has("function")) return (text) => text;
  const name = args.symbol("function");
  const builtin = name === undefined ? undefined : converterNamed(name);
  const [parameter = "target"] = builtin?.parameters ?? [];
  if (name === undefined || builtin === undefined) {
    throw args.wrong("function", "must be the name of a converter");
  }
  let given: Value;
  const get: Getter = () => given;
  const argument: Argument = {
    get,
    literal: undefined,
    isLiteral: false,
    place: undefined,
    symbol: undefined,
  };
  const call = builtin.make(new Arguments(name, new Map([[parameter, argument]]), args.context));
  return (text, telemetry) => {
    given = text;
    return stringOf(call(telemetry));
  };
}

function formatOf(args: Arguments): (text: string) => string {
  const format = args.literalText("replacement_format");
  return format === undefined ? (text) => text : (text) => format.replace("%s", () => text);
}

/** What `replace_pattern` does with a text. */
function patternChange(args: Arguments): TextChange {
  const pattern = args.pattern("regex");
  const replacement = args.text("replacement");
  const literal = args.isLiteral("replacement") ? args.literalText("replacement") : undefined;
  const isPlain = literal?.includes("$") === false && !args.has("function");
  const hasFormat = args.has("replacement_format");
  if (isPlain && !hasFormat) {
    return (text, telemetry) => text.replace(pattern(telemetry).regexp, literal ?? "");
  }
  const apply = functionOf(args);
  const format = formatOf(args);
  return (text, telemetry) => {
    const { regexp, groupNames }: Pattern = pattern(telemetry);
    const template = replacement(telemetry);
    return text.replace(regexp, (...match: unknown[]) => {
      const groups = match.slice(0, groupNames.length + 1).map((group) => String(group ?? ""));
      return format(apply(expandGroups(template, groups, groupNames), telemetry));
    });
  };
}

/** A glob as a regular expression: `*`, `?`, `[…]` and `{a,b}`. */
function globRegExp(glob: string): RegExp {
  const source = glob.replace(/\\.|\[!?[^\]]*\]|\{[^}]*\}|[\s\S]/g, (part) => {
    if (part === "*") return "[\\s\\S]*";
    if (part === "?") return "[\\s\\S]";
    if (part.length > 1 && part.startsWith("[")) return part.replace("[!", "[^");
    if (part.length > 1 && part.startsWith("{")) {
      return `(?:${part.slice(1, -1).split(",").map(escaped).join("|")})`;
    }
    return part.startsWith("\\") ? part : escaped(part);
  });
  return new RegExp(`^${source}$`);
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

function matchChange(args: Arguments): TextChange {
  const pattern = args.literalText("pattern");
  if (pattern === undefined) throw args.wrong("pattern", "must be a text");
  const regexp = globRegExp(pattern);
  const replacement = args.text("replacement");
  const apply = functionOf(args);
  const format = formatOf(args);
  return (text, telemetry) =>
    regexp.test(text) ? format(apply(replacement(telemetry), telemetry)) : text;
}

/** One text; what is no text stays as it is. */
function replaceOne(args: Arguments, change: TextChange): Editor {
  const place = args.target("target");
  return (telemetry) => {
    const before = place.get(telemetry);
    if (typeof before !== "string") return;
    const after = change(before, telemetry);
    if (after !== before) place.set?.(telemetry, after);
  };
}

/** All texts of a map, or its keys. */
function replaceAll(args: Arguments, change: TextChange, ofKeys: boolean): Editor {
  const place = args.target("target");
  return (telemetry) => {
    const before = place.list ? mapOfList(place.list(telemetry)) : place.get(telemetry);
    if (before === undefined) return;
    if (!(before instanceof Map)) {
      throw new OttlEvaluationError(`expected pcommon.Map but got ${kindOf(before)}`);
    }
    const after = new Map<string, Value>();
    let isChanged = false;
    for (const [key, value] of before) {
      const name = ofKeys ? change(key, telemetry) : key;
      const changed = !ofKeys && typeof value === "string" ? change(value, telemetry) : value;
      if (name !== key || changed !== value) isChanged = true;
      after.set(name, changed);
    }
    if (isChanged) place.set?.(telemetry, after);
  };
}

function replaceAllPatterns(args: Arguments): Editor {
  const mode = args.literalText("mode");
  if (mode !== "key" && mode !== "value") throw args.wrong("mode", 'must be "key" or "value"');
  return replaceAll(args, patternChange(args), mode === "key");
}

const LAST = "function? replacement_format?";

export const REPLACING: readonly (readonly [string, Builtin<Editor>])[] = [
  define("replace_pattern", `target regex replacement ${LAST}`, (args) =>
    replaceOne(args, patternChange(args)),
  ),
  define("replace_match", `target pattern replacement ${LAST}`, (args) =>
    replaceOne(args, matchChange(args)),
  ),
  define("replace_all_patterns", `target mode regex replacement ${LAST}`, replaceAllPatterns),
  define("replace_all_matches", `target pattern replacement ${LAST}`, (args) =>
    replaceAll(args, matchChange(args), false),
  ),
];
