// SPDX-License-Identifier: Apache-2.0
import type { ConfigNode, ConfigPath, MapEntry, Position } from "./node.ts";
import type { Problem } from "./problem.ts";

const ROUNDS_MAX = 1_000;
/** References resolved in one configuration: values that double themselves end here. */
const REFERENCES_MAX = 10_000;
const TEXT_MAX = 1024 ** 2;
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]+):(.*)$/s;

/** What a `${…}` stands for: a value, and its text for string fields. */
export interface Retrieved {
  readonly node: ConfigNode;
  readonly text: string;
}

/** Resolves one `scheme:rest`; a text is what is wrong. `at` is where it was asked for. */
export type Retrieve = (scheme: string, rest: string, at: Position) => Retrieved | string;

/**
 * Expands `${scheme:rest}` and `${NAME}` in every value, innermost first and again in what came
 * of it, then `$$` to `$`, as the Collector's resolver does. Keys are never expanded.
 */
export function expandNode(root: ConfigNode, retrieve: Retrieve, problems: Problem[]): ConfigNode {
  return new Expander(retrieve, problems).expand(root, [], 0);
}

const TOO_MANY = "too many recursive expansions. Does it refer to itself?";

interface StringContext {
  readonly node: ConfigNode;
  readonly path: ConfigPath;
  readonly rounds: number;
  /** The string came whole from a `${…}` and is its original text. */
  readonly isOwnText: boolean;
}

class Expander {
  readonly #retrieve: Retrieve;
  readonly #problems: Problem[];
  #references = 0;

  constructor(retrieve: Retrieve, problems: Problem[]) {
    this.#retrieve = retrieve;
    this.#problems = problems;
  }

  expand(node: ConfigNode, path: ConfigPath, rounds: number): ConfigNode {
    if (node.kind === "scalar" && typeof node.value === "string") {
      // The value is its own original text: expanding one expands both.
      const isOwnText = node.text === node.value;
      if (isOwnText) return this.#string(node.value, { node, path, rounds, isOwnText });
    }
    const text = node.text === undefined ? {} : { text: this.#text(node.text, node.at, path) };
    switch (node.kind) {
      case "map": {
        const entries = new Map<string, MapEntry>();
        for (const [key, entry] of node.entries) {
          const value = this.expand(entry.node, [...path, key], rounds);
          entries.set(key, { keyAt: entry.keyAt, node: value });
        }
        return { ...node, ...text, entries };
      }
      case "list":
        return {
          ...node,
          ...text,
          items: node.items.map((item, at) => this.expand(item, [...path, at], rounds)),
        };
      case "scalar": {
        if (typeof node.value !== "string") return { ...node, ...text };
        return { ...this.#string(node.value, { node, path, rounds, isOwnText: false }), ...text };
      }
    }
  }

  #string(value: string, context: StringContext): ConfigNode {
    const { node, path, isOwnText } = context;
    let current = value;
    for (let round = context.rounds; ; round++) {
      const reference = findReference(current);
      if (reference === undefined) {
        const done = unescapeDollars(current);
        const scalar = { kind: "scalar" as const, value: done, at: node.at };
        return isOwnText ? { ...scalar, text: done } : scalar;
      }
      const retrieved =
        round >= ROUNDS_MAX || current.length > TEXT_MAX
          ? TOO_MANY
          : this.#resolve(reference, node.at);
      if (typeof retrieved === "string") {
        this.#problems.push({ at: node.at, path, message: retrieved });
        return { kind: "scalar", value: null, at: node.at };
      }
      if (reference === current) {
        return this.expand({ ...retrieved.node, text: retrieved.text }, path, round + 1);
      }
      current = current.replaceAll(reference, () => retrieved.text);
    }
  }

  /** The original text of an expanded value: references in it are pasted. */
  #text(value: string, at: Position, path: ConfigPath): string {
    let current = value;
    for (let round = 0; round < ROUNDS_MAX && current.length <= TEXT_MAX; round++) {
      const reference = findReference(current);
      if (reference === undefined) break;
      const retrieved = this.#resolve(reference, at);
      if (typeof retrieved === "string") {
        this.#problems.push({ at, path, message: retrieved });
        break;
      }
      current = current.replaceAll(reference, () => retrieved.text);
    }
    return unescapeDollars(current);
  }

  #resolve(reference: string, at: Position): Retrieved | string {
    if (++this.#references > REFERENCES_MAX) return TOO_MANY;
    const uri = reference.slice(2, -1);
    if (uri.includes("$")) {
      return `the uri "${uri}" contains unsupported characters ('$'). Write $$ for a literal $`;
    }
    const match = SCHEME.exec(uri);
    if (match === null && uri.includes(":") && !/^[^:]*:-/.test(uri)) {
      return `invalid uri: "${uri}". Write \${env:NAME}, \${NAME} or \${file:PATH}`;
    }
    // `${NAME:-default}`: the first ":" belongs to the default, not to a scheme.
    const hasScheme = match !== null && !uri.startsWith(`${match[1]}:-`);
    const scheme = hasScheme ? (match[1] ?? "") : "env";
    return this.#retrieve(scheme, hasScheme ? (match[2] ?? "") : uri, at);
  }
}

/** The first `${…}` without another one inside that is not escaped by an odd number of `$`. */
function findReference(text: string): string | undefined {
  let close = text.indexOf("}");
  let searched = 0;
  while (close !== -1) {
    const open = text.lastIndexOf("${", close);
    if (open >= searched) {
      let dollars = 0;
      while (open - dollars - 1 >= 0 && text[open - dollars - 1] === "$") dollars++;
      if (dollars % 2 === 0) return text.slice(open, close + 1);
    }
    searched = close + 1;
    close = text.indexOf("}", searched);
  }
  return undefined;
}

function unescapeDollars(text: string): string {
  return text.replaceAll("$$", () => "$");
}
