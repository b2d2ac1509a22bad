// SPDX-License-Identifier: Apache-2.0
import type {
  Exporter,
  Extension,
  Factory,
  PipelineSettings,
  Processor,
  Receiver,
  Settings,
} from "../component/component.ts";
import { AgentError, messageOf } from "../component/errors.ts";
import type { Fields, Telemetry } from "../component/telemetry.ts";
import type { AgentConfig, Configured, PipelineConfig } from "../config/agent-config.ts";
import type { Signal } from "../model/batch.ts";
import { allReady } from "./demand.ts";
import { type ExporterStage, Pipeline, type ProcessorStage } from "./pipeline.ts";
import { ReceiverOutlet } from "./receiver-outlet.ts";

export interface BuildInputs {
  readonly config: AgentConfig;
  readonly buildInfo: { readonly version: string };
  /** `validate` leaves extensions out, as the Collector does. */
  readonly withExtensions: boolean;
  /** Telemetry whose log lines carry `fields`. */
  telemetryFor(fields: Fields): Telemetry;
  /** A component is finished: the agent should shut down with an error. */
  readonly onBroken: (componentId: string, error: unknown) => void;
}

export interface Stage<C> {
  readonly id: string;
  readonly kind: string;
  readonly component: C;
}

/** The components in the order in which they start, and what connects them. */
export interface Built {
  readonly extensions: readonly Stage<Extension>[];
  readonly exporters: readonly Stage<Exporter>[];
  readonly processors: readonly Stage<Processor>[];
  readonly receivers: readonly Stage<Receiver>[];
  readonly pipelines: readonly Pipeline[];
  readonly outlets: readonly ReceiverOutlet[];
}

export function buildGraph(inputs: BuildInputs): Built {
  return new Builder(inputs).build();
}

interface BuiltPipeline {
  readonly config: PipelineConfig;
  readonly pipeline: Pipeline;
  readonly processors: readonly ProcessorStage[];
  readonly exporters: readonly ExporterStage[];
}

class Builder {
  readonly #inputs: BuildInputs;
  readonly #exporters = new Map<string, Stage<Exporter>>();

  constructor(inputs: BuildInputs) {
    this.#inputs = inputs;
  }

  build(): Built {
    const { config, withExtensions } = this.#inputs;
    const extensions = withExtensions
      ? config.service.extensions.map((id) => this.#extension(id))
      : [];
    const built = config.service.pipelines.map((pipeline) => this.#pipeline(pipeline));
    const receivers: Stage<Receiver>[] = [];
    const outlets: ReceiverOutlet[] = [];
    for (const id of new Set(config.service.pipelines.flatMap((pipeline) => pipeline.receivers))) {
      const made = this.#receiver(id, built);
      receivers.push(made.stage);
      outlets.push(...made.outlets);
    }
    return {
      extensions,
      exporters: [...this.#exporters.values()],
      processors: built.flatMap(({ processors }) =>
        processors.map(({ settings, processor }) => ({
          id: settings.id,
          kind: "processor",
          component: processor,
        })),
      ),
      receivers,
      pipelines: built.map(({ pipeline }) => pipeline),
      outlets,
    };
  }

  #extension(id: string): Stage<Extension> {
    const { factory, config } = configured(this.#inputs.config.extensions, id);
    const settings = this.#settings(id, "extension", {});
    const component = guarded("extension", id, () => factory.create(settings, config));
    return { id, kind: "extension", component };
  }

  #pipeline(config: PipelineConfig): BuiltPipeline {
    const exporters = config.exporters.map((id) => ({
      id,
      exporter: this.#exporter(id, config.signal).component,
    }));
    const processors = config.processors.map((id) => this.#processor(id, config));
    const settings: PipelineSettings = {
      ...this.#settings(config.id, "pipeline", {}),
      signal: config.signal,
      pipelineId: config.id,
    };
    const { onBroken } = this.#inputs;
    const pipeline = new Pipeline({ settings, processors, exporters, onBroken });
    return { config, pipeline, processors, exporters };
  }

  #exporter(id: string, signal: Signal): Stage<Exporter> {
    const key = `${signal} ${id}`;
    const known = this.#exporters.get(key);
    if (known !== undefined) return known;
    const { factory, config } = configured(this.#inputs.config.exporters, id);
    const settings = {
      ...this.#settings(id, "exporter", { "otelcol.signal": signal }),
      signal,
    };
    const component = guarded("exporter", id, () => factory.create(settings, config));
    const stage = { id, kind: "exporter", component };
    this.#exporters.set(key, stage);
    return stage;
  }

  #processor(id: string, pipeline: PipelineConfig): ProcessorStage {
    const { factory, config } = configured(this.#inputs.config.processors, id);
    const { signal, id: pipelineId } = pipeline;
    const fields = { "otelcol.signal": signal, "otelcol.pipeline.id": pipelineId };
    const settings: PipelineSettings = {
      ...this.#settings(id, "processor", fields),
      signal,
      pipelineId,
    };
    const processor = guarded("processor", id, () => factory.create(settings, config));
    return { settings, processor };
  }

  #receiver(
    id: string,
    built: readonly BuiltPipeline[],
  ): { readonly stage: Stage<Receiver>; readonly outlets: readonly ReceiverOutlet[] } {
    const { factory, config } = configured(this.#inputs.config.receivers, id);
    const reached = built.filter((pipeline) => pipeline.config.receivers.includes(id));
    const signals = new Set(reached.map((pipeline) => pipeline.config.signal));
    const exporters = new Set(reached.flatMap((pipeline) => pipeline.exporters).map(exporterOf));
    const processors = reached.flatMap((pipeline) => pipeline.processors);
    const ready = [
      ...[...exporters].map((exporter) => exporter.ready),
      ...processors.map(({ processor }) => processor.ready).filter((flag) => flag !== undefined),
    ];
    const settings = {
      ...this.#settings(id, "receiver", {}),
      signals,
      demand: allReady(ready),
    };
    const receiver = guarded("receiver", id, () => factory.create(settings, config));
    const outlets = [...signals].map(
      (signal) =>
        new ReceiverOutlet({
          settings,
          receiver,
          signal,
          pipelines: reached
            .filter((pipeline) => pipeline.config.signal === signal)
            .map(({ pipeline }) => pipeline),
          onBroken: this.#inputs.onBroken,
        }),
    );
    return { stage: { id, kind: "receiver", component: receiver }, outlets };
  }

  #settings(id: string, kind: string, fields: Fields): Settings {
    const telemetry = this.#inputs.telemetryFor({
      "otelcol.component.id": id,
      "otelcol.component.kind": kind,
      ...fields,
    });
    return { id, telemetry, buildInfo: this.#inputs.buildInfo };
  }
}

function exporterOf(stage: ExporterStage): Exporter {
  return stage.exporter;
}

function configured<F extends Factory>(
  all: ReadonlyMap<string, Configured<F>>,
  id: string,
): Configured<F> {
  const found = all.get(id);
  // The configuration was checked: every reference resolves.
  if (found === undefined) throw new AgentError("BS_INTERNAL", `"${id}" is not configured`);
  return found;
}

function guarded<C>(kind: string, id: string, create: () => C): C {
  try {
    return create();
  } catch (error) {
    throw new AgentError(
      "BS_START",
      `failed to build pipelines: failed to create "${id}" ${kind}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
