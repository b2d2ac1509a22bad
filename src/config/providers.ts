// SPDX-License-Identifier: Apache-2.0

import { messageOf } from "../component/errors.ts";
import type { Retrieved } from "./expand.ts";
import { nearest } from "./nearest.ts";
import type { ConfigNode, Position, Source } from "./node.ts";
import type { Problem } from "./problem.ts";
import { parseYaml } from "./yaml-source.ts";

export interface Warning {
  readonly level: "info" | "warn";
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** What the providers read from; tests give their own. */
export interface ProviderInputs {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws what Node's `readFileSync` throws. */
  readFile(path: string): string;
  /** The text behind an `http:` or `https:` address; throws when it cannot be had. See `fetchConfig`. */
  readonly readUrl?: (url: string) => string;
}

export const SCHEMES: readonly string[] = ["env", "file", "http", "https", "yaml"];
const ENV_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** The schemes of `--config`, for whole configurations and for `${…}`. */
export class Providers {
  readonly #inputs: ProviderInputs;
  readonly #problems: Problem[];
  readonly warnings: Warning[] = [];
  readonly #warned = new Set<string>();
  #order = 0;

  constructor(inputs: ProviderInputs, problems: Problem[]) {
    this.#inputs = inputs;
    this.#problems = problems;
  }

  /** A value of `--config`: a path, or `scheme:rest`. Undefined when it could not be read. */
  load(uri: string): ConfigNode | undefined {
    const match = /^([A-Za-z][A-Za-z0-9+.-]+):(.*)$/s.exec(uri);
    const scheme = match?.[1] ?? "file";
    const rest = match?.[2] ?? uri;
    if (!SCHEMES.includes(scheme)) {
      return this.#refuse(`unsupported scheme on URI "${uri}". ${schemeAdvice(scheme)}`);
    }
    if (scheme === "file") return this.#file(rest);
    if (isWeb(scheme)) {
      const text = this.#fetched(uri);
      return typeof text === "object"
        ? this.#refuse(text.message)
        : this.parse({ name: uri, text });
    }
    const text = scheme === "yaml" ? rest : this.#variable(rest, true);
    if (text === undefined) {
      return this.#refuse(`environment variable "${rest}" holds no configuration. Set it`);
    }
    return this.parse({ name: uri, text });
  }

  /** A `--set key.path=value`. */
  loadSet(set: string): ConfigNode | undefined {
    const equals = set.indexOf("=");
    if (equals === -1) {
      return this.#refuse(
        `invalid argument "${set}" for "--set" flag: missing equal sign. Write --set key.path=value`,
      );
    }
    const key = set.slice(0, equals).trim().replaceAll(".", "::");
    const value = set.slice(equals + 1).trim();
    return this.parse({ name: `--set ${set.slice(0, equals).trim()}`, text: `${key}: ${value}` });
  }

  parse(source: Omit<Source, "order">): ConfigNode {
    return parseYaml({ ...source, order: this.#order++ }, this.#problems);
  }

  /** For `expandNode`. */
  retrieve(scheme: string, rest: string, at: Position): Retrieved | string {
    switch (scheme) {
      case "env":
        return this.#environment(rest, at);
      case "yaml":
        return retrievedFrom(rest, at);
      case "file": {
        const text = this.#read(rest);
        return typeof text === "object" ? text.message : retrievedFrom(text, at);
      }
      case "http":
      case "https": {
        const text = this.#fetched(`${scheme}:${rest}`);
        return typeof text === "object" ? text.message : retrievedFrom(text, at);
      }
      default:
        return `scheme "${scheme}" is not supported for uri "${scheme}:${rest}". ${schemeAdvice(scheme)}`;
    }
  }

  #environment(rest: string, at: Position): Retrieved | string {
    const split = rest.indexOf(":-");
    const name = split === -1 ? rest : rest.slice(0, split);
    if (!ENV_NAME.test(name)) {
      return `environment variable "${name}" has invalid name: must match regex ${ENV_NAME.source}`;
    }
    const value = this.#variable(name, split !== -1);
    if (value === undefined) return retrievedFrom(split === -1 ? "" : rest.slice(split + 2), at);
    return retrievedFrom(value, at);
  }

  #variable(name: string, hasDefault: boolean): string | undefined {
    const value = this.#inputs.env[name];
    if (value === undefined && !hasDefault) {
      this.#warn("warn", "Configuration references unset environment variable", name);
    } else if (value === "") {
      this.#warn("info", "Configuration references empty environment variable", name);
    }
    return value;
  }

  #warn(level: "info" | "warn", message: string, name: string): void {
    if (this.#warned.has(name)) return;
    this.#warned.add(name);
    this.warnings.push({ level, message, fields: { name } });
  }

  #file(path: string): ConfigNode | undefined {
    const text = this.#read(path);
    if (typeof text === "object") return this.#refuse(text.message);
    return this.parse({ name: path, text });
  }

  #fetched(url: string): string | { readonly message: string } {
    const { readUrl } = this.#inputs;
    if (readUrl === undefined) return { message: `addresses are not read here: "${url}"` };
    try {
      return readUrl(url);
    } catch (error) {
      return { message: messageOf(error) };
    }
  }

  #read(path: string): string | { readonly message: string } {
    try {
      return this.#inputs.readFile(path);
    } catch (error) {
      return {
        message: `cannot read the configuration file "${path}": ${messageOf(error)}. Check the path`,
      };
    }
  }

  #refuse(message: string): undefined {
    this.#problems.push({ at: undefined, path: [], message });
    return undefined;
  }
}

/** A text parsed as YAML; one that is not YAML is a string. Positions are where it was used. */
function retrievedFrom(text: string, at: Position): Retrieved {
  const problems: Problem[] = [];
  const parsed = parseYaml({ name: at.source.name, text, order: at.source.order }, problems);
  // Quotes of a variable's value belong to the value.
  const isQuoted = parsed.kind === "scalar" && /^\s*["']/.test(text);
  const node: ConfigNode =
    problems.length > 0 || isQuoted ? { kind: "scalar", value: text, at } : moveTo(parsed, at);
  return { node, text };
}

function moveTo(node: ConfigNode, at: Position): ConfigNode {
  switch (node.kind) {
    case "scalar":
      return { ...node, at };
    case "list":
      return { ...node, at, items: node.items.map((item) => moveTo(item, at)) };
    case "map": {
      const moved = [...node.entries].map(
        ([key, entry]) => [key, { keyAt: at, node: moveTo(entry.node, at) }] as const,
      );
      return { ...node, at, entries: new Map(moved) };
    }
  }
}

function isWeb(scheme: string): boolean {
  return scheme === "http" || scheme === "https";
}

function schemeAdvice(scheme: string): string {
  const near = nearest(scheme, SCHEMES);
  const hint = near === undefined ? "" : `Did you mean "${near}:"? `;
  return `${hint}Schemes are ${SCHEMES.join(", ")}`;
}
