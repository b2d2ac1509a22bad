// SPDX-License-Identifier: Apache-2.0
import type { Signal } from "../model/batch.ts";
import type { Labels } from "./telemetry.ts";

/** One series of the agent's own metrics. */
export interface MetricSample {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly unit: string;
  readonly description: string;
  readonly labels: Labels;
  /** Of a histogram the sum of what was recorded. */
  readonly value: number;
}

export interface PipelineFacts {
  readonly id: string;
  readonly signal: Signal;
  readonly receivers: readonly string[];
  readonly processors: readonly string[];
  readonly exporters: readonly string[];
}

/** A program that is not attached, or a process that is not followed, though it was wanted. */
export interface RefusedProbe {
  readonly name: string;
  /** For people. */
  readonly reason: string;
}

/** What a component may know of the agent as a whole. */
export interface AgentView {
  readonly pipelines: readonly PipelineFacts[];
  /** Ids, in the order of their start. */
  readonly extensions: readonly string[];
  /** The type of an extension by its id, to find one by what it is. */
  extensionType(id: string): string | undefined;
  /** Of all components, now. */
  refusedProbes(): readonly RefusedProbe[];
  /** Own metrics now. */
  metrics(): Promise<readonly MetricSample[]>;
}
