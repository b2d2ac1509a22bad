// SPDX-License-Identifier: Apache-2.0
import type { AgentConfig, PipelineConfig } from "../config/agent-config.ts";

/** Pipelines that share a receiver, a connector or an exporter, and no others with them. */
export interface Island {
  /** The configuration with these pipelines only. */
  readonly config: AgentConfig;
  /** All that was written about these pipelines: the same text, the same island. */
  readonly key: string;
}

/** A configuration in parts that have nothing to do with each other: each can be restarted alone. */
export function islandsOf(config: AgentConfig): readonly Island[] {
  const open = [...config.service.pipelines];
  const islands: Island[] = [];
  for (let first = open.shift(); first !== undefined; first = open.shift()) {
    const together = [first];
    // Grows while it is walked.
    for (const pipeline of together) {
      const near = open.filter((other) =>
        endsOf(other).some((id) => endsOf(pipeline).includes(id)),
      );
      for (const other of near) open.splice(open.indexOf(other), 1);
      together.push(...near);
    }
    const pipelines = config.service.pipelines.filter((one) => together.includes(one));
    islands.push({
      config: { ...config, service: { ...config.service, pipelines } },
      key: JSON.stringify(pipelines.map((pipeline) => written(pipeline, config))),
    });
  }
  return islands;
}

/** What a pipeline shares with others; a processor is one of its own. A connector is on both sides. */
function endsOf(pipeline: PipelineConfig): readonly string[] {
  return [...pipeline.receivers, ...pipeline.exporters];
}

function written(pipeline: PipelineConfig, config: AgentConfig): unknown {
  const { id, receivers, processors, exporters } = pipeline;
  const body = (one: string, kind: "receivers" | "processors" | "exporters"): unknown => {
    const { factory, input } = config[kind].get(one) ?? config.connectors.get(one) ?? {};
    return [one, factory?.kind, factory?.type, input];
  };
  return [
    id,
    receivers.map((one) => body(one, "receivers")),
    processors.map((one) => body(one, "processors")),
    exporters.map((one) => body(one, "exporters")),
  ];
}
