// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { SIGNALS, type Signal } from "../model/batch.ts";
import type { PipelineConfig } from "./agent-config.ts";
import { parseComponentId } from "./component-id.ts";
import { decodeAt } from "./decode.ts";
import { nearest } from "./nearest.ts";
import {
  type ConfigNode,
  type ConfigPath,
  childOf,
  locate,
  locateKey,
  nodeAt,
  type Plain,
} from "./node.ts";
import type { Problem } from "./problem.ts";
import { unknownKey } from "./schema-issues.ts";
import { type TelemetryConfig, telemetrySchema } from "./telemetry-config.ts";

/** The ids that each section has. */
export interface KnownIds {
  readonly receivers: ReadonlySet<string>;
  readonly processors: ReadonlySet<string>;
  readonly exporters: ReadonlySet<string>;
  readonly extensions: ReadonlySet<string>;
}

export interface ServiceConfig {
  /** Modules with further components, as written. */
  readonly components: readonly string[];
  readonly extensions: readonly string[];
  readonly pipelines: readonly PipelineConfig[];
  readonly telemetry: TelemetryConfig;
  readonly telemetryInput: Plain;
}

const KINDS = ["receivers", "processors", "exporters"] as const;
const SERVICE_KEYS = ["components", "extensions", "pipelines", "telemetry"];
// A list of ids takes no "a,b" text, so the check on texts comes before the repairs.
const idListSchema = z.array(z.string());

/** Reads `service`; undefined parts have their problems in `problems`. */
export function parseService(
  root: ConfigNode,
  known: KnownIds,
  problems: Problem[],
): ServiceConfig | undefined {
  const section = new ServiceSection(root, known, problems);
  return section.parse();
}

class ServiceSection {
  readonly #root: ConfigNode;
  readonly #known: KnownIds;
  readonly #problems: Problem[];

  constructor(root: ConfigNode, known: KnownIds, problems: Problem[]) {
    this.#root = root;
    this.#known = known;
    this.#problems = problems;
  }

  parse(): ServiceConfig | undefined {
    const service = childOf(this.#root, "service");
    if (service !== undefined && service.kind === "list") {
      this.#refuse(["service"], "expected a map with pipelines, extensions and telemetry");
      return undefined;
    }
    this.#refuseUnknownKeys(["service"], SERVICE_KEYS);
    const extensions = this.#ids(["service", "extensions"], "extension", this.#known.extensions);
    const pipelines = this.#pipelines();
    const telemetry = decodeAt(telemetrySchema, {
      root: this.#root,
      path: ["service", "telemetry"],
    });
    if ("problems" in telemetry) {
      this.#problems.push(...telemetry.problems);
      return undefined;
    }
    return {
      components: this.#modules(),
      extensions,
      pipelines,
      telemetry: telemetry.value,
      telemetryInput: telemetry.input,
    };
  }

  /** They were checked when they were loaded. */
  #modules(): string[] {
    const node = nodeAt(this.#root, ["service", "components"]);
    const items = node?.kind === "list" ? node.items : [];
    return items.flatMap((item) => (item.kind === "scalar" ? String(item.value) : []));
  }

  #pipelines(): PipelineConfig[] {
    const path = ["service", "pipelines"];
    const node = nodeAt(this.#root, path);
    if (node?.kind !== "map" || node.entries.size === 0) {
      const form = "Add traces: {receivers: [...], exporters: [...]}";
      this.#refuse(path, `service must have at least one pipeline. ${form}`);
      return [];
    }
    return [...node.entries.keys()]
      .map((key) => this.#pipeline(key))
      .filter((pipeline) => pipeline !== undefined);
  }

  #pipeline(key: string): PipelineConfig | undefined {
    const path = ["service", "pipelines", key];
    const id = parseComponentId(key);
    if (typeof id === "string") {
      this.#refuseKey(path, id);
      return undefined;
    }
    const signal = SIGNALS.find((known) => known === id.type);
    if (signal === undefined) {
      const near = nearest(id.type, SIGNALS);
      const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
      this.#refuseKey(
        path,
        `in "${key}" id: unknown pipeline signal: "${id.type}".${hint} Signals are ${SIGNALS.join(", ")}`,
      );
      return undefined;
    }
    this.#refuseUnknownKeys(path, KINDS);
    const body = nodeAt(this.#root, path);
    if (body?.kind === "list" || (body?.kind === "scalar" && body.value !== null)) {
      this.#refuse(path, "expected a map with receivers, processors and exporters");
      return undefined;
    }
    return this.#members(id.text, signal, path);
  }

  #members(id: string, signal: Signal, path: string[]): PipelineConfig {
    const [receivers, processors, exporters] = KINDS.map((kind) =>
      this.#ids([...path, kind], kind.slice(0, -1), this.#known[kind]),
    );
    for (const kind of ["receivers", "exporters"] as const) {
      const node = nodeAt(this.#root, [...path, kind]);
      const isEmpty =
        node === undefined ||
        (node.kind === "list" && node.items.length === 0) ||
        (node.kind === "scalar" && (node.value === null || node.value === ""));
      if (isEmpty) {
        this.#problems.push({
          at: locate(this.#root, [...path, kind]),
          path,
          message: `must have at least one ${kind.slice(0, -1)}. Add ${kind}: [...]`,
        });
      }
    }
    this.#refuseRepeated(processors ?? [], path);
    return {
      id,
      signal,
      receivers: [...new Set(receivers)],
      processors: processors ?? [],
      exporters: [...new Set(exporters)],
    };
  }

  #refuseRepeated(processors: readonly string[], path: string[]): void {
    processors.forEach((processor, at) => {
      if (processors.indexOf(processor) === at) return;
      this.#problems.push({
        at: locate(this.#root, [...path, "processors", at]),
        path,
        message: `references processor "${processor}" multiple times. Name it once, or use ${processor}/2`,
      });
    });
  }

  /** The ids of a list that exist. */
  #ids(path: ConfigPath, kind: string, known: ReadonlySet<string>): string[] {
    const node = nodeAt(this.#root, path);
    if (node === undefined) return [];
    if (node.kind === "scalar" && node.value === null) return [];
    if (node.kind !== "list") {
      this.#refuse(path, "source data must be an array or slice, got string. Write [a, b]");
      return [];
    }
    const result = decodeAt(idListSchema, { root: this.#root, path });
    if ("problems" in result) {
      this.#problems.push(...result.problems);
      return [];
    }
    return result.value.map((written, at) => {
      const id = parseComponentId(written);
      const text = typeof id === "string" ? written : id.text;
      const message =
        typeof id === "string"
          ? id
          : known.has(text)
            ? undefined
            : notConfigured(kind, text, known);
      if (message !== undefined) {
        const owner = path.slice(0, -1);
        this.#problems.push({
          at: locate(this.#root, [...path, at]),
          path: kind === "extension" ? path : owner,
          message,
        });
      }
      return text;
    });
  }

  #refuseUnknownKeys(path: ConfigPath, known: readonly string[]): void {
    const node = nodeAt(this.#root, path);
    if (node?.kind !== "map") return;
    for (const key of node.entries.keys()) {
      if (known.includes(key)) continue;
      this.#refuseKey([...path, key], unknownKey(key, known));
    }
  }

  #refuse(path: ConfigPath, message: string): void {
    this.#problems.push({ at: locate(this.#root, path), path, message });
  }

  #refuseKey(path: ConfigPath, message: string): void {
    this.#problems.push({ at: locateKey(this.#root, path), path, message });
  }
}

function notConfigured(kind: string, id: string, known: ReadonlySet<string>): string {
  const near = nearest(id, known);
  const hint = near === undefined ? `Add it under ${kind}s:` : `Did you mean "${near}"?`;
  return `references ${kind} "${id}" which is not configured. ${hint}`;
}
