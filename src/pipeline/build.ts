// SPDX-License-Identifier: Apache-2.0
import type { Observable } from "rxjs";
import type {
  Component,
  ConnectorSettings,
  Exporter,
  Extension,
  Factory,
  PipelineSettings,
  Receiver,
  Settings,
} from "../component/component.ts";
import { AgentError, messageOf } from "../component/errors.ts";
import type { Fields, Telemetry } from "../component/telemetry.ts";
import type { AgentConfig, Configured, PipelineConfig } from "../config/agent-config.ts";
import { type ConnectorUse, connectorUses } from "../config/connectors.ts";
import type { Signal } from "../model/batch.ts";
import { ConnectorNode } from "./connector-node.ts";
import { allReady } from "./demand.ts";
import { type ExporterStage, Pipeline, type ProcessorStage } from "./pipeline.ts";
import { ReceiverOutlet } from "./receiver-outlet.ts";

export interface BuildInputs {
  readonly config: AgentConfig;
  readonly buildInfo: { readonly version: string };
  /** Telemetry whose log lines carry `fields`. */
  telemetryFor(fields: Fields): Telemetry;
  /** A component is finished: the agent should shut down with an error. */
  readonly onBroken: (componentId: string, error: unknown) => void;
  /** Every receiver has completed by itself: there is no more to come. */
  readonly onFinished?: () => void;
}

export interface Stage<C> {
  readonly id: string;
  readonly kind: string;
  readonly component: C;
}

/** The components in the order in which they start, and what connects them. */
export interface Built {
  readonly exporters: readonly Stage<Exporter>[];
  /** Processors and connectors, in the order in which data meets them. */
  readonly processors: readonly Stage<Component>[];
  readonly receivers: readonly Stage<Receiver>[];
  /** What holds data, in the order in which it is flushed: what feeds another comes before it. */
  readonly flow: readonly (Pipeline | ConnectorNode)[];
  readonly outlets: readonly ReceiverOutlet[];
}

export function buildGraph(inputs: BuildInputs): Built {
  return new Builder(inputs).build();
}

interface BuiltPipeline {
  readonly config: PipelineConfig;
  readonly pipeline: Pipeline;
  readonly processors: readonly ProcessorStage[];
  /** Is there room in all that is reached from here? */
  readonly ready: Observable<boolean>;
}

interface BuiltConnector {
  readonly node: ConnectorNode;
  readonly stage: Stage<Component>;
}

class Builder {
  readonly #inputs: BuildInputs;
  readonly #exporters = new Map<string, Stage<Exporter>>();
  readonly #uses: readonly ConnectorUse[];
  readonly #pipelines = new Map<PipelineConfig, BuiltPipeline>();
  readonly #connectors = new Map<ConnectorUse, BuiltConnector>();
  /** Filled from the ends: what a part feeds is there before it. */
  readonly #stages: Stage<Component>[] = [];
  readonly #flow: (Pipeline | ConnectorNode)[] = [];
  #outletsOpen = 0;

  constructor(inputs: BuildInputs) {
    this.#inputs = inputs;
    this.#uses = connectorUses(inputs.config);
  }

  build(): Built {
    const { config } = this.#inputs;
    // From the last, so that `toReversed` gives the order of the configuration again.
    for (const pipeline of config.service.pipelines.toReversed()) this.#pipeline(pipeline);
    const built = [...this.#pipelines.values()].toReversed();
    const receivers: Stage<Receiver>[] = [];
    const outlets: ReceiverOutlet[] = [];
    for (const id of new Set(config.service.pipelines.flatMap((pipeline) => pipeline.receivers))) {
      if (config.connectors.has(id)) continue;
      const made = this.#receiver(id, built);
      receivers.push(made.stage);
      outlets.push(...made.outlets);
    }
    return {
      exporters: [...this.#exporters.values()],
      processors: this.#stages.toReversed(),
      receivers,
      flow: this.#flow.toReversed(),
      outlets,
    };
  }

  /** Built once, after all that it feeds. The configuration has no cycles. */
  #pipeline(config: PipelineConfig): BuiltPipeline {
    const known = this.#pipelines.get(config);
    if (known !== undefined) return known;
    const exporters = config.exporters.flatMap((id) => this.#ends(id, config));
    const processors = config.processors.map((id) => this.#processor(id, config));
    const settings: PipelineSettings = {
      ...this.#settings(config.id, "pipeline", {}),
      signal: config.signal,
      pipelineId: config.id,
    };
    const { onBroken } = this.#inputs;
    const pipeline = new Pipeline({ settings, processors, exporters, onBroken });
    const ready = allReady([
      ...new Set(exporters.map(({ exporter }) => exporter.ready)),
      ...processors.map(({ processor }) => processor.ready).filter((flag) => flag !== undefined),
    ]);
    const built = { config, pipeline, processors, ready };
    this.#pipelines.set(config, built);
    this.#flow.push(pipeline);
    for (const { settings, processor } of processors.toReversed()) {
      this.#stages.push({ id: settings.id, kind: "processor", component: processor });
    }
    return built;
  }

  /** What takes a pipeline's batches under this id: an exporter, or a connector's instances. */
  #ends(id: string, pipeline: PipelineConfig): ExporterStage[] {
    if (!this.#inputs.config.connectors.has(id)) {
      const { component } = this.#exporter(id, pipeline.signal);
      return [{ id, kind: "exporter", exporter: component }];
    }
    return this.#uses
      .filter((use) => use.id === id && use.sources.includes(pipeline))
      .map((use) => ({ id, kind: "connector", exporter: this.#connector(use).node }));
  }

  #connector(use: ConnectorUse): BuiltConnector {
    const known = this.#connectors.get(use);
    if (known !== undefined) return known;
    const { id, from, to } = use;
    const targets = use.targets
      .toReversed()
      .map((target) => this.#pipeline(target))
      .toReversed();
    const { factory, config } = configured(this.#inputs.config.connectors, id);
    const settings: ConnectorSettings = {
      ...this.#settings(id, "connector", { "otelcol.signal": from, "otelcol.signal.output": to }),
      from,
      to,
    };
    const connector = guarded("connector", id, () => factory.create(settings, config));
    const node = new ConnectorNode({
      settings,
      connector,
      targets: targets.map(({ pipeline }) => pipeline),
      ready: allReady(targets.map(({ ready }) => ready)),
      onBroken: this.#inputs.onBroken,
    });
    const built = { node, stage: { id, kind: "connector", component: connector } };
    this.#connectors.set(use, built);
    this.#flow.push(node);
    this.#stages.push(built.stage);
    return built;
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
    const settings = {
      ...this.#settings(id, "receiver", {}),
      signals,
      demand: allReady(reached.map(({ ready }) => ready)),
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
          onFinished: () => this.#onOutletFinished(),
        }),
    );
    this.#outletsOpen += outlets.length;
    return { stage: { id, kind: "receiver", component: receiver }, outlets };
  }

  #onOutletFinished(): void {
    if (--this.#outletsOpen === 0) this.#inputs.onFinished?.();
  }

  #settings(id: string, kind: string, fields: Fields): Settings {
    return settingsOf(this.#inputs, id, kind, fields);
  }
}

function settingsOf(
  inputs: Pick<BuildInputs, "buildInfo" | "telemetryFor">,
  id: string,
  kind: string,
  fields: Fields,
): Settings {
  const telemetry = inputs.telemetryFor({
    "otelcol.component.id": id,
    "otelcol.component.kind": kind,
    ...fields,
  });
  return { id, telemetry, buildInfo: inputs.buildInfo };
}

/** Throws `AgentError` when it cannot be created. */
export function buildExtension(
  inputs: Pick<BuildInputs, "buildInfo" | "telemetryFor">,
  config: AgentConfig,
  id: string,
): Extension {
  const { factory, config: own } = configured(config.extensions, id);
  const settings = settingsOf(inputs, id, "extension", {});
  return guarded("extension", id, () => factory.create(settings, own));
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
