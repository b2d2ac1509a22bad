// SPDX-License-Identifier: Apache-2.0
import type { ConfigNode, ConfigPath, MapEntry, Position } from "./node.ts";
import type { Problem } from "./problem.ts";

const ROUNDS_MAX = 1_000;
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

class Expander {
  readonly #retrieve: Retrieve;
  readonly #problems: Problem[];

  constructor(retrieve: Retrieve, problems: Problem[]) {
    this.#retrieve = retrieve;
    this.#problems = problems;
  }

  expand(node: ConfigNode, path: ConfigPath, rounds: number): ConfigNode {
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
        return this.#string(node.value, { node, path, rounds }, text);
      }
    }
  }

  #string(
    value: string,
    context: { readonly node: ConfigNode; readonly path: ConfigPath; readonly rounds: number },
    text: { readonly text?: string },
  ): ConfigNode {
    const { node, path } = context;
    let current = value;
    for (let round = context.rounds; ; round++) {
      const reference = findReference(current);
      if (reference === undefined) {
        return { ...text, kind: "scalar", value: unescapeDollars(current), at: node.at };
      }
      if (round >= ROUNDS_MAX) {
        return this.#refuse(node, path, "too many recursive expansions. Does it refer to itself?");
      }
      const retrieved = this.#resolve(reference, node.at);
      if (typeof retrieved === "string") return this.#refuse(node, path, retrieved);
      if (reference === current) {
        const whole = { ...retrieved.node, text: retrieved.text };
        return this.expand(whole, path, round + 1);
      }
      current = current.replaceAll(reference, () => retrieved.text);
    }
  }

  /** The original text of an expanded value: references in it are pasted. */
  #text(value: string, at: Position, path: ConfigPath): string {
    let current = value;
    for (let round = 0; round < ROUNDS_MAX; round++) {
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

  #refuse(node: ConfigNode, path: ConfigPath, message: string): ConfigNode {
    this.#problems.push({ at: node.at, path, message });
    // A node of any kind could make a second, misleading error: the caller stops at problems.
    return { kind: "scalar", value: null, at: node.at };
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
