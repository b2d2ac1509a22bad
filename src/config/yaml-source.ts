// SPDX-License-Identifier: Apache-2.0
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  parseAllDocuments,
  type YAMLMap,
  Scalar as YamlScalar,
} from "yaml";
import {
  type ConfigNode,
  emptyMap,
  type MapEntry,
  mergeNodes,
  type Position,
  type Source,
} from "./node.ts";
import type { Problem } from "./problem.ts";
import { resolvePlainScalar } from "./yaml-scalar.ts";

const NODES_MAX = 200_000;
const DEPTH_MAX = 100;

/** Parses the first YAML document of a source; what is wrong goes to `problems`. */
export function parseYaml(source: Source, problems: Problem[]): ConfigNode {
  const start: Position = { source, offset: 0 };
  const documents = parseAllDocuments(source.text, { schema: "failsafe", logLevel: "silent" });
  const [document] = documents;
  if (document === undefined) return { kind: "scalar", value: null, at: start };
  let isSyntaxShown = false;
  for (const error of document.errors) {
    // One syntax error makes more of them: the first says it.
    if (error.code !== "DUPLICATE_KEY" && isSyntaxShown) continue;
    isSyntaxShown ||= error.code !== "DUPLICATE_KEY";
    const [offset] = error.pos;
    const rest = source.text.slice(Math.max(0, offset - 1));
    problems.push({
      at: { source, offset },
      path: [],
      message: syntaxMessage(error.code, error.message, rest),
    });
  }
  if (document.errors.length > 0) return emptyMap(start);
  const reader = new Reader(source, document, problems);
  return document.contents === null
    ? { kind: "scalar", value: null, at: start }
    : reader.node(document.contents, 0);
}

function syntaxMessage(code: string, message: string, rest: string): string {
  const what = message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? message;
  if (code === "DUPLICATE_KEY") {
    const key = /^\s*([^:\s]+)/.exec(rest)?.[1] ?? "";
    return `duplicate key "${key}". Keep one of them`;
  }
  if (/^[^\n]*\$\{/.test(rest)) {
    return `invalid YAML: ${what}. Put quotes round \${…} inside { } or [ ]`;
  }
  if (code === "TAB_AS_INDENT") return "invalid YAML: a tab indents this line. Use spaces";
  return `invalid YAML: ${what}. Check indentation, colons and quotes here`;
}

class Reader {
  readonly #source: Source;
  readonly #document: Document;
  readonly #problems: Problem[];
  #nodes = 0;

  constructor(source: Source, document: Document, problems: Problem[]) {
    this.#source = source;
    this.#document = document;
    this.#problems = problems;
  }

  node(node: unknown, depth: number): ConfigNode {
    const at = this.#at(node);
    if (++this.#nodes > NODES_MAX || depth > DEPTH_MAX) {
      if (this.#nodes <= NODES_MAX + 1 || depth === DEPTH_MAX + 1) {
        this.#refuse(at, "too large or too deeply nested. Are aliases repeated inside aliases?");
      }
      return { kind: "scalar", value: null, at };
    }
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target !== undefined) return this.node(target, depth + 1);
      this.#refuse(at, `unknown anchor "${node.source}". Define it before with &${node.source}`);
    } else if (isMap(node)) {
      return this.#map(node, depth);
    } else if (isSeq(node)) {
      return { kind: "list", items: node.items.map((item) => this.node(item, depth + 1)), at };
    } else if (isScalar(node)) {
      return { kind: "scalar", value: this.#scalar(node), at };
    }
    return { kind: "scalar", value: null, at };
  }

  #scalar(node: YamlScalar): string | number | boolean | null {
    if (typeof node.value !== "string") return null;
    if (node.tag !== undefined) return node.value;
    const plain = node.type === undefined || node.type === YamlScalar.PLAIN;
    return plain ? resolvePlainScalar(node.source ?? node.value) : node.value;
  }

  #map(map: YAMLMap, depth: number): ConfigNode {
    const at = this.#at(map);
    let merged: ConfigNode = emptyMap(at);
    // Merge keys give what the map itself does not set, so they come first.
    for (const pair of map.items) {
      if (keyText(pair) !== "<<") continue;
      const value = this.node(pair.value, depth + 1);
      const bases = value.kind === "list" ? [...value.items].reverse() : [value];
      for (const base of bases) merged = shallowMerge(merged, base);
    }
    const own = new Map<string, MapEntry>();
    for (const pair of map.items) {
      const key = keyText(pair);
      if (key === "<<") continue;
      this.#put(own, { key, keyAt: this.#at(pair.key), node: this.node(pair.value, depth + 1) });
    }
    return shallowMerge(merged, { kind: "map", entries: own, at });
  }

  /** `a::b: x` is `a: {b: x}`. */
  #put(entries: Map<string, MapEntry>, added: MapEntry & { readonly key: string }): void {
    const parts = added.key.split("::");
    let node = added.node;
    for (const part of parts.slice(1).reverse()) {
      const inner = new Map([[part, { keyAt: added.keyAt, node }]]);
      node = { kind: "map", entries: inner, at: added.keyAt };
    }
    const first = parts[0] ?? "";
    const before = entries.get(first);
    entries.set(first, {
      keyAt: before?.keyAt ?? added.keyAt,
      node: before === undefined ? node : mergeNodes(before.node, node),
    });
  }

  #at(node: unknown): Position {
    const ranged = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node);
    return { source: this.#source, offset: ranged ? (node.range?.[0] ?? 0) : 0 };
  }

  #refuse(at: Position, message: string): void {
    this.#problems.push({ at, path: [], message });
  }
}

function shallowMerge(base: ConfigNode, over: ConfigNode): ConfigNode {
  if (base.kind !== "map" || over.kind !== "map") return base;
  return { ...over, entries: new Map([...base.entries, ...over.entries]) };
}

function keyText(pair: Pair): string {
  const { key } = pair;
  if (isScalar(key)) return typeof key.value === "string" ? key.value : String(key.value ?? "");
  return String(key ?? "");
}
