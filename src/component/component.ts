// SPDX-License-Identifier: Apache-2.0
import type { Observable } from "rxjs";
import type { z } from "zod";
import type { Batch, Signal } from "../model/batch.ts";
import type { AgentView, RefusedProbe } from "./agent-view.ts";
import type { Telemetry } from "./telemetry.ts";

/** What components may ask of the running agent. */
export interface Host {
  /** The started extension with this id, or undefined. */
  extension(id: string): Extension | undefined;
  /** What runs besides; absent where there is no whole agent, as in tests of one component. */
  readonly agent?: AgentView | undefined;
  /** A component cannot go on: starts an orderly shutdown with exit status 1. */
  fatal(componentId: string, error: unknown): void;
}

/** What every component is given when created. Clocks and files arrive here so tests can fake them. */
export interface Settings {
  /** As written in the configuration: `type` or `type/name`. */
  readonly id: string;
  readonly telemetry: Telemetry;
  readonly buildInfo: { readonly version: string };
}

/**
 * `start` returns quickly and rejects on a problem that a human must see. `shutdown` may be
 * called without `start` and twice; it flushes until `signal` aborts and counts what is left
 * as dropped with the reason `shutdown`.
 */
export interface Component {
  start(host: Host): Promise<void>;
  shutdown(signal: AbortSignal): Promise<void>;
  /** What it wanted to attach or follow and could not, now. */
  refusedProbes?(): readonly RefusedProbe[];
}

/** One instance an id, shared by all pipelines and signals that name it. */
export interface Receiver extends Component {
  /**
   * Hot; nothing flows before `start`, and the topology subscribes first. `next` returns after
   * all synchronous work downstream. Completes at shutdown; before it, only when there is no more
   * to come (a file was read): when every receiver's outputs have completed, the agent drains
   * and ends with exit status 0.
   */
  output(signal: Signal): Observable<Batch>;
}

export interface ReceiverSettings extends Settings {
  /** The signals of the pipelines that name this receiver. */
  readonly signals: ReadonlySet<Signal>;
  /** False while something downstream is full: stop reading, or refuse and count. */
  readonly demand: Observable<boolean>;
}

/** One instance a pipeline and id. */
export interface Processor extends Component {
  /** Subscribed once. Must pass completion on, after flushing what it holds. */
  process(input: Observable<Batch>): Observable<Batch>;
  /** Closes upstream valves while false (memory_limiter). */
  readonly ready?: Observable<boolean>;
}

export interface PipelineSettings extends Settings {
  readonly signal: Signal;
  /** `traces` or `traces/name`. */
  readonly pipelineId: string;
}

/** One instance an id and signal. */
export interface Exporter extends Component {
  /** False: refused (full or shut down); the topology counts it and settles the receipt. */
  accept(batch: Batch): boolean;
  /** False while accepting would refuse; replays its last value. Never closes for non-blocking queues. */
  readonly ready: Observable<boolean>;
}

export interface ExporterSettings extends Settings {
  readonly signal: Signal;
}

/** The signal of the pipelines that a connector takes from, and of those that it gives to. */
export interface SignalPair {
  readonly from: Signal;
  readonly to: Signal;
}

export interface ConnectorSettings extends Settings, SignalPair {}

/** One instance an id and pair of signals: the end of some pipelines and the start of others. */
export interface Connector extends Component {
  /**
   * Subscribed once. Must pass completion on, after flushing what it holds. A batch that is not
   * passed on has its receipt settled here.
   */
  connect(input: Observable<Batch>): Observable<Batch>;
}

export interface Extension extends Component {
  /** Called when all pipelines run. */
  pipelinesReady?(): void;
  /** Called before the first receiver stops; also when not all was started. */
  pipelinesStopping?(): void;
}

export type Stability = "development" | "alpha" | "beta" | "stable";

interface FactoryBase<Config> {
  /** The key in the configuration, `lower_snake_case`. */
  readonly type: string;
  /** Old names that are still accepted, with a warning. */
  readonly aliases?: readonly string[];
  readonly stability: Stability;
  /** Strict; parsing `{}` gives the defaults, or the error that says what is required. */
  readonly configSchema: z.ZodType<Config>;
}

export interface ReceiverFactory<Config = unknown> extends FactoryBase<Config> {
  readonly kind: "receiver";
  readonly signals: readonly Signal[];
  create(settings: ReceiverSettings, config: Config): Receiver;
}
export interface ProcessorFactory<Config = unknown> extends FactoryBase<Config> {
  readonly kind: "processor";
  readonly signals: readonly Signal[];
  create(settings: PipelineSettings, config: Config): Processor;
}
export interface ExporterFactory<Config = unknown> extends FactoryBase<Config> {
  readonly kind: "exporter";
  readonly signals: readonly Signal[];
  create(settings: ExporterSettings, config: Config): Exporter;
}
export interface ConnectorFactory<Config = unknown> extends FactoryBase<Config> {
  readonly kind: "connector";
  readonly pairs: readonly SignalPair[];
  create(settings: ConnectorSettings, config: Config): Connector;
}
export interface ExtensionFactory<Config = unknown> extends FactoryBase<Config> {
  readonly kind: "extension";
  create(settings: Settings, config: Config): Extension;
}
export type Factory =
  | ReceiverFactory
  | ProcessorFactory
  | ExporterFactory
  | ConnectorFactory
  | ExtensionFactory;

/**
 * Forgets the configuration's type, so that a factory fits the registry: the engine only hands
 * `create` what `configSchema` has parsed.
 */
export function defineReceiver<C>(factory: ReceiverFactory<C>): ReceiverFactory {
  return factory as unknown as ReceiverFactory;
}
export function defineProcessor<C>(factory: ProcessorFactory<C>): ProcessorFactory {
  return factory as unknown as ProcessorFactory;
}
export function defineExporter<C>(factory: ExporterFactory<C>): ExporterFactory {
  return factory as unknown as ExporterFactory;
}
export function defineConnector<C>(factory: ConnectorFactory<C>): ConnectorFactory {
  return factory as unknown as ConnectorFactory;
}
export function defineExtension<C>(factory: ExtensionFactory<C>): ExtensionFactory {
  return factory as unknown as ExtensionFactory;
}
