// SPDX-License-Identifier: Apache-2.0

/** One text that configuration came from: a file, a variable, a `--set`. */
export interface Source {
  /** As messages show it: the path as given, `env:NAME`, `--set key=value`. */
  readonly name: string;
  readonly text: string;
  /** Merge order. Problems are listed by it. */
  readonly order: number;
}

export interface Position {
  readonly source: Source;
  /** UTF-16 offset in the source's text. */
  readonly offset: number;
}

export type Scalar = string | number | boolean | null;
export type Plain = Scalar | readonly Plain[] | { readonly [key: string]: Plain };

interface NodeBase {
  readonly at: Position;
  /** The original text, when the value came from `${…}`: string fields take it. */
  readonly text?: string;
}
export interface MapEntry {
  readonly keyAt: Position;
  readonly node: ConfigNode;
}
export interface MapNode extends NodeBase {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, MapEntry>;
}
export interface ListNode extends NodeBase {
  readonly kind: "list";
  readonly items: readonly ConfigNode[];
}
export interface ScalarNode extends NodeBase {
  readonly kind: "scalar";
  readonly value: Scalar;
}
/** A configuration tree that knows where each value was written. Immutable. */
export type ConfigNode = MapNode | ListNode | ScalarNode;

export type ConfigPath = readonly (string | number)[];

export function emptyMap(at: Position): MapNode {
  return { kind: "map", entries: new Map(), at };
}

/** The Collector's merge: maps are merged deeply, lists and scalars (null too) are replaced. */
export function mergeNodes(base: ConfigNode, later: ConfigNode): ConfigNode {
  if (base.kind !== "map" || later.kind !== "map") return later;
  const entries = new Map(base.entries);
  for (const [key, entry] of later.entries) {
    const before = entries.get(key);
    entries.set(
      key,
      before === undefined ? entry : { ...entry, node: mergeNodes(before.node, entry.node) },
    );
  }
  return { ...later, entries };
}

/** The value as plain data, and the original texts of expanded values by `pathKey`. */
export function toPlain(
  node: ConfigNode,
  texts: Map<string, string> = new Map(),
  path: ConfigPath = [],
): Plain {
  if (node.text !== undefined) texts.set(pathKey(path), node.text);
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map((item, at) => toPlain(item, texts, [...path, at]));
    case "map": {
      const plain: Record<string, Plain> = Object.create(null);
      for (const [key, entry] of node.entries) {
        plain[key] = toPlain(entry.node, texts, [...path, key]);
      }
      return plain;
    }
  }
}

export function pathKey(path: ConfigPath): string {
  return JSON.stringify(path);
}

export function childOf(
  node: ConfigNode | undefined,
  key: string | number,
): ConfigNode | undefined {
  if (node?.kind === "map") return node.entries.get(String(key))?.node;
  if (node?.kind === "list" && typeof key === "number") return node.items[key];
  return undefined;
}

/** The node at a path, or undefined. */
export function nodeAt(root: ConfigNode, path: ConfigPath): ConfigNode | undefined {
  let node: ConfigNode | undefined = root;
  for (const key of path) node = childOf(node, key);
  return node;
}

/**
 * Where a problem with the value at `path` is shown: at the value; where there is none, at the
 * key of the nearest parent that was written.
 */
export function locate(root: ConfigNode, path: ConfigPath): Position {
  let node = root;
  let keyAt = root.at;
  for (const key of path) {
    const entry = node.kind === "map" ? node.entries.get(String(key)) : undefined;
    const next = entry?.node ?? childOf(node, key);
    if (next === undefined) return node.kind === "scalar" && node.value !== null ? node.at : keyAt;
    keyAt = entry?.keyAt ?? next.at;
    node = next;
  }
  return node.kind === "map" || (node.kind === "scalar" && node.value === null) ? keyAt : node.at;
}

/** Where the last key of `path` was written, or `locate` of it. */
export function locateKey(root: ConfigNode, path: ConfigPath): Position {
  const parent = nodeAt(root, path.slice(0, -1));
  const entry = parent?.kind === "map" ? parent.entries.get(String(path.at(-1))) : undefined;
  return entry?.keyAt ?? locate(root, path);
}
