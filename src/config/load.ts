// SPDX-License-Identifier: Apache-2.0
import type { Factory } from "../component/component.ts";
import type { AgentConfig, Configured } from "./agent-config.ts";
import { parseSection } from "./components-section.ts";
import { checkConnectors } from "./connectors.ts";
import { expandNode } from "./expand.ts";
import { type ConfigNode, childOf, emptyMap, locate, locateKey, mergeNodes } from "./node.ts";
import { type ReadComponents, withOwnComponents } from "./own-components.ts";
import { ConfigError, type Problem } from "./problem.ts";
import { type ProviderInputs, Providers, type Warning } from "./providers.ts";
import { unknownKey } from "./schema-issues.ts";
import { parseService } from "./service-section.ts";

export interface LoadInputs extends ProviderInputs {
  /** Values of `--config`, in order. */
  readonly uris: readonly string[];
  /** Values of `--set`; they come after all of `uris`. */
  readonly sets: readonly string[];
  readonly factories: readonly Factory[];
  /** For `service::components`. See `fetchConfig`. */
  readonly readComponents?: ReadComponents;
}

export interface Loaded {
  readonly config: AgentConfig;
  /** To be logged once the log exists. */
  readonly warnings: readonly Warning[];
}

const TOP_KEYS = ["receivers", "processors", "exporters", "connectors", "extensions", "service"];

/** Reads, merges, expands and checks a configuration. Throws `ConfigError` with all problems. */
export function loadConfig(inputs: LoadInputs): Loaded {
  const problems: Problem[] = [];
  const providers = new Providers(inputs, problems);
  const root = resolve(inputs, providers, problems);
  // After a text that could not be read, other problems would mislead.
  if (problems.length > 0) throw new ConfigError(problems);
  const warnings = [...providers.warnings];
  const factories = withOwnComponents(root, inputs.factories, {
    read: inputs.readComponents,
    problems,
  });
  // Without a module every use of its components would be one more problem.
  if (problems.length > 0) throw new ConfigError(problems);
  const config = parseAgentConfig(root, factories, problems, warnings);
  if (config === undefined || problems.length > 0) throw new ConfigError(problems);
  return { config, warnings };
}

function resolve(inputs: LoadInputs, providers: Providers, problems: Problem[]): ConfigNode {
  const nothing = { source: { name: "", text: "", order: -1 }, offset: 0 };
  let root: ConfigNode = emptyMap(nothing);
  const parts = [
    ...inputs.uris.map((uri) => providers.load(uri)),
    ...inputs.sets.map((set) => providers.loadSet(set)),
  ];
  for (const part of parts) {
    if (part === undefined || (part.kind === "scalar" && part.value === null)) continue;
    if (part.kind === "map") root = mergeNodes(root, part);
    else if (problems.length === 0) {
      const message = "is not a configuration: expected a map with receivers, exporters, service";
      problems.push({ at: part.at, path: [], message });
    }
  }
  if (problems.length > 0) return root;
  return expandNode(root, (scheme, rest, at) => providers.retrieve(scheme, rest, at), problems);
}

function parseAgentConfig(
  root: ConfigNode,
  factories: readonly Factory[],
  problems: Problem[],
  warnings: Warning[],
): AgentConfig | undefined {
  if (root.kind !== "map" || root.entries.size === 0) {
    const message =
      "empty configuration file. Start with receivers:, exporters: and service: {pipelines: …}";
    problems.push({ at: undefined, path: [], message });
    return undefined;
  }
  checkTopLevel(root, problems);
  const read = <F extends Factory>(section: string, isKind: (factory: Factory) => factory is F) =>
    parseSection({
      root,
      section,
      factories: factories.filter(isKind),
      problems,
      warnings,
    });
  const receivers = read("receivers", (factory) => factory.kind === "receiver");
  const processors = read("processors", (factory) => factory.kind === "processor");
  const exporters = read("exporters", (factory) => factory.kind === "exporter");
  const connectors = read("connectors", (factory) => factory.kind === "connector");
  const extensions = read("extensions", (factory) => factory.kind === "extension");
  const service = parseService(
    root,
    {
      receivers: new Set([...receivers.keys(), ...connectors.keys()]),
      processors: new Set(processors.keys()),
      exporters: new Set([...exporters.keys(), ...connectors.keys()]),
      extensions: new Set(extensions.keys()),
    },
    problems,
  );
  if (service === undefined) return undefined;
  const config = {
    receivers: present(receivers),
    processors: present(processors),
    exporters: present(exporters),
    connectors: present(connectors),
    extensions: present(extensions),
    service,
  };
  checkSignals(root, config, problems);
  checkConnectors(root, config, problems);
  return config;
}

function checkTopLevel(root: ConfigNode, problems: Problem[]): void {
  if (root.kind !== "map") return;
  for (const key of root.entries.keys()) {
    if (TOP_KEYS.includes(key)) continue;
    problems.push({
      at: locateKey(root, [key]),
      path: [key],
      message: unknownKey(key, TOP_KEYS),
    });
  }
  for (const kind of ["receiver", "exporter"]) {
    const section = childOf(root, `${kind}s`);
    const isEmpty =
      section === undefined ||
      (section.kind === "scalar" && section.value === null) ||
      (section.kind === "map" && section.entries.size === 0);
    if (!isEmpty) continue;
    const message = `no ${kind} configuration specified in config. Add ${kind}s:`;
    problems.push({ at: undefined, path: [], message });
  }
}

/** A pipeline names only components that carry its signal. */
function checkSignals(root: ConfigNode, config: AgentConfig, problems: Problem[]): void {
  for (const pipeline of config.service.pipelines) {
    for (const kind of ["receivers", "processors", "exporters"] as const) {
      pipeline[kind].forEach((id, at) => {
        const signals = config[kind].get(id)?.factory.signals;
        if (signals === undefined || signals.includes(pipeline.signal)) return;
        const path = ["service", "pipelines", pipeline.id];
        problems.push({
          at: locate(root, [...path, kind, at]),
          path,
          message:
            `${kind.slice(0, -1)} "${id}" does not support ${pipeline.signal}: telemetry type ` +
            `is not supported. It supports ${signals.join(", ")}`,
        });
      });
    }
  }
}

function present<F extends Factory>(
  found: ReadonlyMap<string, Configured<F> | undefined>,
): Map<string, Configured<F>> {
  const all = new Map<string, Configured<F>>();
  for (const [id, configured] of found) if (configured !== undefined) all.set(id, configured);
  return all;
}
