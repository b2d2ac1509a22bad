// SPDX-License-Identifier: Apache-2.0
import type { SignalPair } from "../component/component.ts";
import type { AgentConfig, PipelineConfig } from "./agent-config.ts";
import { type ConfigNode, locate, locateKey } from "./node.ts";
import type { Problem } from "./problem.ts";

/** One use of a connector: pipelines of one signal before it and of one signal behind it. */
export interface ConnectorUse extends SignalPair {
  readonly id: string;
  readonly sources: readonly PipelineConfig[];
  readonly targets: readonly PipelineConfig[];
}

/** The instances of a connector that the pipelines ask for, by pair of signals. */
export function connectorUses(config: AgentConfig): ConnectorUse[] {
  const { pipelines } = config.service;
  return [...config.connectors].flatMap(([id, { factory }]) =>
    factory.pairs
      .map((pair) => ({
        ...pair,
        id,
        sources: pipelines.filter((p) => p.signal === pair.from && p.exporters.includes(id)),
        targets: pipelines.filter((p) => p.signal === pair.to && p.receivers.includes(id)),
      }))
      .filter(({ sources, targets }) => sources.length > 0 && targets.length > 0),
  );
}

/** Connectors stand between pipelines, on both sides, have names of their own and make no circle. */
export function checkConnectors(root: ConfigNode, config: AgentConfig, problems: Problem[]): void {
  refuseAmbiguous(root, config, problems);
  const uses = connectorUses(config);
  const isUsed = (id: string, pipeline: PipelineConfig, side: "sources" | "targets"): boolean =>
    uses.some((use) => use.id === id && use[side].includes(pipeline));
  for (const id of config.connectors.keys()) {
    for (const [kind, side, other] of [
      ["exporters", "sources", "receiver"],
      ["receivers", "targets", "exporter"],
    ] as const) {
      const open = config.service.pipelines.filter(
        (pipeline) => pipeline[kind].includes(id) && !isUsed(id, pipeline, side),
      );
      const [first] = open;
      if (first === undefined) continue;
      const path = ["service", "pipelines", first.id];
      problems.push({
        at: locate(root, [...path, kind, first[kind].indexOf(id)]),
        path,
        message:
          `connector "${id}" used as ${kind.slice(0, -1)} in ` +
          `[${open.map((pipeline) => pipeline.id).join(" ")}] pipeline but not used in any ` +
          `supported ${other} pipeline. Name it under ${other}s of another pipeline, too`,
      });
    }
  }
  refuseCycles(root, uses, problems);
}

function refuseAmbiguous(root: ConfigNode, config: AgentConfig, problems: Problem[]): void {
  for (const id of config.connectors.keys()) {
    for (const kind of ["exporter", "receiver"] as const) {
      if (!config[`${kind}s`].has(id)) continue;
      const path = ["connectors", id];
      problems.push({
        at: locateKey(root, path),
        path,
        message:
          `ambiguous ID: Found both "${id}" ${kind} and "${id}" connector. Change one of the ` +
          "components' IDs to eliminate ambiguity " +
          `(e.g. rename "${id}" connector to "${id}/connector")`,
      });
    }
  }
}

/** Depth first from each connector; the first way back to it is told in full. */
function refuseCycles(root: ConfigNode, uses: readonly ConnectorUse[], problems: Problem[]): void {
  const done = new Set<ConnectorUse>();
  const way: { readonly use: ConnectorUse; readonly via: PipelineConfig | undefined }[] = [];
  const visit = (use: ConnectorUse, via: PipelineConfig | undefined): boolean => {
    const at = way.findIndex((step) => step.use === use);
    way.push({ use, via });
    if (at !== -1) {
      const names = way.slice(at).flatMap((step, index) => {
        const between = index === 0 ? [] : (step.via?.processors ?? []);
        const pipeline = step.via?.id ?? "";
        const { id, from, to } = step.use;
        return [
          ...between.map((name) => `processor "${name}" in pipeline "${pipeline}"`),
          `connector "${id}" (${from} to ${to})`,
        ];
      });
      problems.push({
        at: locateKey(root, ["connectors", use.id]),
        path: ["connectors", use.id],
        message: `cycle detected: ${names.join(" -> ")}`,
      });
      return true;
    }
    if (!done.has(use)) {
      for (const target of use.targets) {
        const next = uses.filter(({ sources }) => sources.includes(target));
        if (next.some((following) => visit(following, target))) return true;
      }
      done.add(use);
    }
    way.pop();
    return false;
  };
  uses.some((use) => visit(use, undefined));
}
