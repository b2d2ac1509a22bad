// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectorFactory,
  ExporterFactory,
  ExtensionFactory,
  Factory,
  ProcessorFactory,
  ReceiverFactory,
} from "../component/component.ts";
import type { Signal } from "../model/batch.ts";
import type { Plain } from "./node.ts";
import type { TelemetryConfig } from "./telemetry-config.ts";

/** A configured component: what its factory needs. */
export interface Configured<F extends Factory> {
  /** As written: `type` or `type/name`. */
  readonly id: string;
  readonly factory: F;
  /** What the factory's schema gave. */
  readonly config: unknown;
  /** What the schema was given. */
  readonly input: Plain;
}

export interface PipelineConfig {
  /** `traces` or `traces/name`. */
  readonly id: string;
  readonly signal: Signal;
  /** Ids of receivers and connectors. */
  readonly receivers: readonly string[];
  readonly processors: readonly string[];
  /** Ids of exporters and connectors. */
  readonly exporters: readonly string[];
}

/** A checked configuration: every reference resolves, every body has passed its schema. */
export interface AgentConfig {
  readonly receivers: ReadonlyMap<string, Configured<ReceiverFactory>>;
  readonly processors: ReadonlyMap<string, Configured<ProcessorFactory>>;
  readonly exporters: ReadonlyMap<string, Configured<ExporterFactory>>;
  readonly connectors: ReadonlyMap<string, Configured<ConnectorFactory>>;
  readonly extensions: ReadonlyMap<string, Configured<ExtensionFactory>>;
  readonly service: {
    /** Ids, in the order of the configuration. */
    readonly extensions: readonly string[];
    readonly pipelines: readonly PipelineConfig[];
    readonly telemetry: TelemetryConfig;
    readonly telemetryInput: Plain;
    /** Modules with further components, as written. */
    readonly components: readonly string[];
  };
}
