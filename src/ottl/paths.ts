// SPDX-License-Identifier: Apache-2.0
import type { AttributeList } from "../attributes/attribute-list.ts";
import {
  DATAPOINT,
  type Fields,
  type Getter,
  LOG,
  METRIC,
  RESOURCE,
  SCOPE,
  type Select,
  type Setter,
  SPAN,
  SPAN_EVENT,
} from "./fields.ts";
import type { Telemetry } from "./telemetry.ts";
import { indexed, OttlEvaluationError, type Value, withKeys } from "./value.ts";
import { decodeValue, encodeValue } from "./value-codec.ts";

/** What a condition is about; the Collector's names. */
export type ContextName =
  | "resource"
  | "scope"
  | "span"
  | "spanevent"
  | "metric"
  | "datapoint"
  | "log";

interface Context {
  readonly select: Select;
  readonly fields: Fields;
  /** Field number of the attributes, given the place. */
  readonly attributes: ((telemetry: Telemetry) => number) | undefined;
  /** Contexts that may be named in a path. */
  readonly outer: readonly string[];
  /** As the Collector's texts name it. */
  readonly title: string;
}

/** A path that was compiled: what it reads and writes. */
export interface Place {
  readonly get: Getter;
  readonly set: Setter | undefined;
  /** Where the path is all attributes of a message. */
  readonly list: ((telemetry: Telemetry) => AttributeList) | undefined;
}

/** Names of a path and what its last one is indexed with. */
export interface PathInputs {
  readonly names: readonly string[];
  readonly keys: readonly Getter[];
  /** The keys' values where they are written out. */
  readonly literalKeys: readonly Value[] | undefined;
  /** A name before the last one is indexed. */
  readonly hasInnerKeys: boolean;
  readonly text: string;
}

const POINT_ATTRIBUTES: Readonly<Record<number, number>> = { 9: 9, 10: 1 };
const item: Select = (telemetry) => telemetry.item;
const part: Select = (telemetry) => telemetry.part;
const SCOPE_NAMES = ["resource", "scope", "instrumentation_scope"];

const CONTEXTS: Readonly<Record<ContextName, Context>> = {
  resource: {
    select: (telemetry) => telemetry.resource.child(1),
    fields: RESOURCE,
    attributes: () => 1,
    outer: [],
    title: "Resource",
  },
  scope: {
    select: (telemetry) => telemetry.scope.child(1),
    fields: SCOPE,
    attributes: () => 3,
    outer: ["resource"],
    title: "Instrumentation Scope",
  },
  span: { select: item, fields: SPAN, attributes: () => 9, outer: SCOPE_NAMES, title: "Span" },
  spanevent: {
    select: part,
    fields: SPAN_EVENT,
    attributes: () => 3,
    outer: [...SCOPE_NAMES, "span"],
    title: "Span Event",
  },
  metric: {
    select: item,
    fields: METRIC,
    attributes: undefined,
    outer: SCOPE_NAMES,
    title: "Metric",
  },
  datapoint: {
    select: part,
    fields: DATAPOINT,
    attributes: ({ pointKind }) => POINT_ATTRIBUTES[pointKind] ?? 7,
    outer: [...SCOPE_NAMES, "metric"],
    title: "DataPoint",
  },
  log: { select: item, fields: LOG, attributes: () => 6, outer: SCOPE_NAMES, title: "Log" },
};

/** Does a path that begins with `name` name a context that can be seen from `context`? */
export function seesContext(context: ContextName, name: string): boolean {
  const own = CONTEXTS[context];
  const isScope = name === "instrumentation_scope" && context === "scope";
  return name === context || isScope || own.outer.includes(name);
}

/** Compiles a path; a text is what is wrong with it. */
export function compilePath(path: PathInputs, name: ContextName): Place | string {
  const own = CONTEXTS[name];
  const [first = ""] = path.names;
  const hasMore = path.names.length > 1;
  const isOuter = own.outer.includes(first) && hasMore;
  const isOwn = hasMore && !isOuter && seesContext(name, first);
  const context = isOuter ? CONTEXTS[contextNamed(first)] : own;
  const names = path.names.slice(isOuter || isOwn ? 1 : 0).join(".");
  if (names === "cache") return cachePlace(path);
  if (names === "attributes" && context.attributes !== undefined && !path.hasInnerKeys) {
    return attributesPlace({ select: context.select, fieldOf: context.attributes }, path);
  }
  const access = path.hasInnerKeys ? undefined : context.fields[names];
  const isIndexable = names === "body" || names === "trace_state";
  if (access === undefined || (path.keys.length > 0 && !isIndexable)) {
    const segment = names.split(".")[0] ?? first;
    const folder = `ottl${isOuter ? contextNamed(first) : name}`;
    return (
      `segment ${JSON.stringify(segment)} from path ${JSON.stringify(path.text)} is not a valid ` +
      `path nor a valid OTTL keyword for the ${context.title} context - review ` +
      "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl/" +
      `contexts/${folder} to see all valid paths`
    );
  }
  const { select } = context;
  const { read, write } = access;
  const get: Getter = (telemetry) => read(select(telemetry), telemetry);
  const set: Setter | undefined =
    write && ((telemetry, value) => write(select(telemetry), value, telemetry));
  if (path.keys.length === 0) return { get, set, list: undefined };
  const plain = { get, set, list: undefined };
  return names === "trace_state" ? traceStatePlace(plain, path.keys) : keyed(plain, path.keys);
}

function keyed(outer: Place, keys: readonly Getter[]): Place {
  const valuesOf = (telemetry: Telemetry): Value[] => keys.map((key) => key(telemetry));
  const { set } = outer;
  return {
    get: (telemetry) => indexed(outer.get(telemetry), valuesOf(telemetry)),
    set:
      set &&
      ((telemetry, value) =>
        set(telemetry, withKeys(outer.get(telemetry), valuesOf(telemetry), value))),
    list: undefined,
  };
}

/** `trace_state["vendor"]`: one member of the list (W3C Trace Context). */
function traceStatePlace(outer: Place, keys: readonly Getter[]): Place {
  const members = (telemetry: Telemetry): [string, string][] =>
    String(outer.get(telemetry) ?? "")
      .split(",")
      .map((member) => member.trim())
      .filter((member) => member.includes("="))
      .map((member) => [
        member.slice(0, member.indexOf("=")),
        member.slice(member.indexOf("=") + 1),
      ]);
  const keyOf = (telemetry: Telemetry): string => String(keys[0]?.(telemetry));
  return {
    get: (telemetry) => {
      const wanted = keyOf(telemetry);
      return members(telemetry).find(([key]) => key === wanted)?.[1] ?? "";
    },
    set: (telemetry, value) => {
      const wanted = keyOf(telemetry);
      const rest = members(telemetry).filter(([key]) => key !== wanted);
      const all = [[wanted, String(value)], ...rest].map(([key, text]) => `${key}=${text}`);
      outer.set?.(telemetry, all.join(","));
    },
    list: undefined,
  };
}

function cachePlace({ keys }: PathInputs): Place {
  const whole: Place = {
    get: (telemetry) => telemetry.cache,
    set: (telemetry, value) => {
      if (!(value instanceof Map)) throw new OttlEvaluationError("the cache can only be a map");
      const entries = [...value];
      telemetry.cache.clear();
      for (const [key, inner] of entries) telemetry.cache.set(key, inner);
    },
    list: undefined,
  };
  return keys.length === 0 ? whole : keyed(whole, keys);
}

function contextNamed(text: string): ContextName {
  switch (text) {
    case "resource":
    case "span":
    case "metric":
      return text;
    default:
      return "scope";
  }
}

interface Owner {
  readonly select: Select;
  readonly fieldOf: (telemetry: Telemetry) => number;
}

function attributesPlace({ select, fieldOf }: Owner, path: PathInputs): Place {
  const list = (telemetry: Telemetry): AttributeList =>
    select(telemetry).attributes(fieldOf(telemetry));
  const [firstKey, ...restKeys] = path.keys;
  if (firstKey === undefined) {
    return {
      get: (telemetry) => mapOfList(list(telemetry)),
      set: (telemetry, value) => {
        if (!(value instanceof Map)) throw new OttlEvaluationError("attributes can only be a map");
        replaceAll(list(telemetry), value);
      },
      list,
    };
  }
  const literal = path.literalKeys?.[0];
  const fixed = literal === undefined ? undefined : Buffer.from(String(literal));
  const keyOf = (telemetry: Telemetry): Uint8Array =>
    fixed ?? Buffer.from(textKey(firstKey(telemetry)));
  const read = (telemetry: Telemetry, key: Uint8Array): Value => {
    const attributes = list(telemetry);
    return attributeValue(attributes, attributes.find(key));
  };
  const write = (telemetry: Telemetry, key: Uint8Array, value: Value): void =>
    list(telemetry).put(key, encodeValue(value));
  if (restKeys.length === 0) {
    return {
      get: (telemetry) => read(telemetry, keyOf(telemetry)),
      set: (telemetry, value) => write(telemetry, keyOf(telemetry), value),
      list: undefined,
    };
  }
  const rest = (telemetry: Telemetry): Value[] => restKeys.map((key) => key(telemetry));
  return {
    get: (telemetry) => indexed(read(telemetry, keyOf(telemetry)), rest(telemetry)),
    set: (telemetry, value) => {
      const key = keyOf(telemetry);
      write(telemetry, key, withKeys(read(telemetry, key), rest(telemetry), value));
    },
    list: undefined,
  };
}

function textKey(value: Value): string {
  if (typeof value === "string") return value;
  throw new OttlEvaluationError("a key must be a string");
}

/** The value of one attribute; nil for -1. */
export function attributeValue(list: AttributeList, index: number): Value {
  const entry = index < 0 ? undefined : list.entryAt(index);
  if (entry === undefined) return undefined;
  return decodeValue(entry.valueBytes, entry.valueStart, entry.valueStop);
}

export function mapOfList(list: AttributeList): Map<string, Value> {
  const map = new Map<string, Value>();
  list.forEach((_, index) => {
    map.set(list.keyText(index), attributeValue(list, index));
  });
  return map;
}

export function replaceAll(list: AttributeList, map: ReadonlyMap<string, Value>): void {
  const encoded = [...map].map(([key, value]) => [Buffer.from(key), encodeValue(value)] as const);
  for (let index = 0; index < list.size; index++) list.remove(index);
  for (const [key, value] of encoded) list.add(key, value);
}
