// SPDX-License-Identifier: Apache-2.0
import type { AttributeEntry, AttributeList } from "../attributes/attribute-list.ts";
import { type Arguments, type Builtin, define, needText } from "./arguments.ts";
import { METRIC_EDITORS } from "./editors-metric.ts";
import { REPLACING } from "./editors-replace.ts";
import { KeyMemo } from "./key-memo.ts";
import { mapOfList, type Place } from "./paths.ts";
import type { Telemetry } from "./telemetry.ts";
import { kindOf, OttlEvaluationError, type Value } from "./value.ts";
import { encodeValue } from "./value-codec.ts";

export type Editor = (telemetry: Telemetry) => void;

const STRING_TAG = 0x0a;

/** Changes the map at a place; `change` gives undefined to leave it as it is. */
function editMap(
  place: Place,
  change: (map: Map<string, Value>, telemetry: Telemetry) => Map<string, Value> | undefined,
): Editor {
  return (telemetry) => {
    const before = place.list ? mapOfList(place.list(telemetry)) : place.get(telemetry);
    if (before === undefined) return;
    if (!(before instanceof Map)) {
      throw new OttlEvaluationError(`expected pcommon.Map but got ${kindOf(before)}`);
    }
    const after = change(new Map(before), telemetry);
    if (after !== undefined) place.set?.(telemetry, after);
  };
}

function set(args: Arguments): Editor {
  const place = args.target("target");
  const value = args.value("value");
  return (telemetry) => {
    const found = value(telemetry);
    if (found !== undefined) place.set?.(telemetry, found);
  };
}

/** Removes what `isRemoved` is true of: in attributes without decoding, else in the decoded map. */
function removing(
  place: Place,
  isRemoved: (key: string) => boolean,
  memo: KeyMemo = new KeyMemo(isRemoved),
): Editor {
  const { list } = place;
  if (list === undefined) {
    return editMap(place, (map) => new Map([...map].filter(([key]) => !isRemoved(key))));
  }
  const visit = (attributes: AttributeList) => (entry: AttributeEntry, index: number) => {
    if (memo.test(entry.keyBytes, entry.keyStart, entry.keyStop)) attributes.remove(index);
  };
  return (telemetry) => {
    const attributes = list(telemetry);
    attributes.forEach(visit(attributes));
  };
}

/** As `removing`, where the names are only known for each item. */
function removingNamed(args: Arguments, isKept: boolean): Editor {
  const place = args.target("target");
  const keys = args.list("keys");
  if (args.isLiteral("keys")) {
    const fixed = new Set(args.literalTexts("keys"));
    return removing(place, (key) => fixed.has(key) !== isKept);
  }
  return editMap(place, (map, telemetry) => {
    const wanted = new Set(keys(telemetry).map((key) => needText(key)));
    return new Map([...map].filter(([key]) => wanted.has(key) === isKept));
  });
}

function deleteKey(args: Arguments): Editor {
  const place = args.target("target");
  const { list } = place;
  const key = args.text("key");
  const fixed = args.isLiteral("key") ? Buffer.from(args.literalText("key") ?? "") : undefined;
  if (list === undefined) {
    return editMap(place, (map, telemetry) => {
      const isThere = map.delete(key(telemetry));
      return isThere ? map : undefined;
    });
  }
  return (telemetry) => {
    const attributes = list(telemetry);
    const index = attributes.find(fixed ?? Buffer.from(key(telemetry)));
    if (index >= 0) attributes.remove(index);
  };
}

function matchingKeys(args: Arguments, isKept: boolean): Editor {
  const place = args.target("target");
  const { regexp } = args.constantPattern("pattern");
  const once = new RegExp(regexp.source, regexp.flags.replace("g", ""));
  return removing(place, (key) => once.test(key) !== isKept);
}

function truncateAll(args: Arguments): Editor {
  const place = args.target("target");
  const limit = Number(args.literal("limit"));
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw args.wrong("limit", `cannot be negative, ${limit}`);
  }
  const { list } = place;
  if (list === undefined) {
    return editMap(place, (map) => {
      for (const [key, value] of map) {
        if (typeof value === "string") map.set(key, truncated(Buffer.from(value), limit));
      }
      return map;
    });
  }
  return (telemetry) => {
    const attributes = list(telemetry);
    attributes.forEach(({ valueBytes: bytes, valueStart: start, valueStop: stop }, index) => {
      if (stop - start <= limit || bytes[start] !== STRING_TAG) return;
      let from = start + 1;
      while ((bytes[from] ?? 0) >= 0x80) from++;
      from++;
      if (stop - from <= limit) return;
      attributes.replace(index, encodeValue(truncated(bytes.subarray(from, stop), limit)));
    });
  };
}

/** At most `limit` bytes of UTF-8, and no half of a character. */
function truncated(utf8: Uint8Array, limit: number): string {
  let end = Math.min(limit, utf8.length);
  while (end > 0 && end < utf8.length && ((utf8[end] ?? 0) & 0xc0) === 0x80) end--;
  return Buffer.from(utf8.subarray(0, end)).toString("utf8");
}

function limitKeys(args: Arguments): Editor {
  const place = args.target("target");
  const limit = Number(args.literal("limit"));
  const priority = args.has("priority_keys") ? args.literalTexts("priority_keys") : [];
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw args.wrong("limit", `cannot be negative, ${limit}`);
  }
  if (limit < priority.length) {
    throw args.wrong("limit", `cannot be less than number of priority attributes, ${limit}`);
  }
  const { list } = place;
  const edit = editMap(place, (map) => {
    if (map.size <= limit) return undefined;
    const first = priority.filter((key) => map.has(key));
    const rest = [...map.keys()].filter((key) => !first.includes(key));
    const kept = new Set([...first, ...rest].slice(0, limit));
    return new Map([...map].filter(([key]) => kept.has(key)));
  });
  return (telemetry) => {
    if (list !== undefined && list(telemetry).size <= limit) return;
    edit(telemetry);
  };
}

function mergeMaps(args: Arguments): Editor {
  const source = args.map("source");
  const strategy = args.literalText("strategy") ?? "upsert";
  if (!["insert", "update", "upsert"].includes(strategy)) {
    throw args.wrong("strategy", "must be insert, update or upsert");
  }
  return editMap(args.target("target"), (map, telemetry) => {
    for (const [key, value] of source(telemetry)) {
      if (strategy === "insert" ? !map.has(key) : strategy === "upsert" || map.has(key)) {
        map.set(key, value);
      }
    }
    return map;
  });
}

function flatten(args: Arguments): Editor {
  const prefix = args.literalText("prefix") ?? "";
  const depthMax = Number(args.literal("depth") ?? Number.POSITIVE_INFINITY);
  const resolves = args.literal("resolveConflicts") === true;
  if (depthMax < 0) throw args.wrong("depth", "must be a positive number");
  return editMap(args.target("target"), (map) => {
    const flat = new Map<string, Value>();
    const put = (key: string, value: Value): void => {
      let name = key;
      for (let at = 0; resolves && flat.has(name); at++) name = `${key}.${at}`;
      flat.set(name, value);
    };
    const walk = (key: string, value: Value, depth: number): void => {
      const isInner = value instanceof Map || Array.isArray(value);
      if (!isInner || depth > depthMax) {
        put(key, value);
        return;
      }
      const entries: [string, Value][] =
        value instanceof Map
          ? [...value]
          : value.map((item: Value, at: number) => [String(at), item]);
      for (const [name, inner] of entries) walk(`${key}.${name}`, inner, depth + 1);
    };
    for (const [key, value] of map) walk(prefix === "" ? key : `${prefix}.${key}`, value, 0);
    return flat;
  });
}

function append(args: Arguments): Editor {
  const place = args.target("target");
  const value = args.value("value");
  const values = args.has("values") ? args.list("values") : undefined;
  if (values === undefined && !args.has("value")) {
    throw args.wrong("value", "at least one of value and values must be given");
  }
  return (telemetry) => {
    const before = place.get(telemetry);
    const list: Value[] = Array.isArray(before)
      ? [...before]
      : before === undefined
        ? []
        : [before];
    if (args.has("value")) list.push(value(telemetry));
    if (values !== undefined) list.push(...values(telemetry));
    place.set?.(telemetry, list);
  };
}

export const EDITORS: ReadonlyMap<string, Builtin<Editor>> = new Map([
  define("set", "target value", set),
  define("delete_key", "target key", deleteKey),
  define("delete_keys", "target keys", (args) => removingNamed(args, false)),
  define("keep_keys", "target keys", (args) => removingNamed(args, true)),
  define("delete_matching_keys", "target pattern", (args) => matchingKeys(args, false)),
  define("keep_matching_keys", "target pattern", (args) => matchingKeys(args, true)),
  define("limit", "target limit priority_keys?", limitKeys),
  define("truncate_all", "target limit", truncateAll),
  define("merge_maps", "target source strategy?", mergeMaps),
  define("flatten", "target prefix? depth? resolveConflicts?", flatten),
  define("append", "target value? values?", append),
  ...REPLACING,
  ...METRIC_EDITORS,
]);
