// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { config as rxjsConfig } from "rxjs";
import { messageOf } from "../component/errors.ts";
import type { Logger } from "../component/telemetry.ts";
import type { Loaded } from "../config/load.ts";
import { ThrottledLog } from "../pipeline/throttled-log.ts";
import { Topology } from "../pipeline/topology.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { TelemetryService } from "../telemetry/telemetry-service.ts";

/** A drain that takes longer is cut: what is left is counted as dropped. */
const DRAIN_MS = 25_000;
/** Exit status when a second signal cuts the drain. */
const INTERRUPTED = 130;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

type Reload = { readonly kind: "reload" };
type End =
  | { readonly kind: "signal"; readonly signal: string }
  | { readonly kind: "finished" }
  | { readonly kind: "broken"; readonly componentId: string; readonly error: unknown };

/** Runs a configuration until a signal or a broken component ends it. */
export class Agent {
  #loaded: Loaded;
  readonly #reread: () => Promise<Loaded>;
  readonly #version: string;
  readonly #telemetry: TelemetryService;
  readonly #logger: Logger;
  readonly #end = Promise.withResolvers<End>();
  #hangup = Promise.withResolvers<Reload>();
  #signals = 0;

  /**
   * `reread` reads the configuration again, for SIGHUP. Throws `AgentError` when a log file
   * cannot be opened.
   */
  constructor(loaded: Loaded, version: string, reread: () => Promise<Loaded>) {
    this.#loaded = loaded;
    this.#reread = reread;
    this.#version = version;
    const { telemetry } = loaded.config.service;
    this.#telemetry = new TelemetryService({
      config: telemetry,
      version,
      instanceId: randomUUID(),
    });
    this.#logger = this.#telemetry.logger;
  }

  /** Resolves with the exit status; rejects when the start fails, after what was started is down. */
  async run(): Promise<number> {
    const onSignal = (signal: NodeJS.Signals): void => this.#onSignal(signal);
    for (const signal of SIGNALS) process.on(signal, onSignal);
    const onHangup = (): void => this.#hangup.resolve({ kind: "reload" });
    process.on("SIGHUP", onHangup);
    const onError = (error: unknown): void => this.#onBroken("the agent itself", error);
    process.on("uncaughtException", onError);
    const streams = new ThrottledLog(this.#logger);
    rxjsConfig.onUnhandledError = (error) => {
      const fields = { error: messageOf(error) };
      streams.write("error", "A component failed on a batch; the batch is lost", fields);
    };
    try {
      return await this.#runGuarded();
    } finally {
      rxjsConfig.onUnhandledError = null;
      process.off("uncaughtException", onError);
      process.off("SIGHUP", onHangup);
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
  }

  async #runGuarded(): Promise<number> {
    this.#warn(this.#loaded);
    this.#logger.info("Starting backstitch...", {
      Version: this.#version,
      NumCPU: availableParallelism(),
    });
    let topology: Topology | undefined;
    try {
      await this.#telemetry.start();
      topology = this.#build(this.#loaded);
      await topology.start();
    } catch (error) {
      this.#logger.error("Failed to start", { error: messageOf(error) });
      await this.#stop(topology);
      throw error;
    }
    this.#logger.info("Everything is ready. Begin running and processing data.");
    const ended = await this.#untilEnd(topology);
    const { end } = ended;
    this.#logEnd(end);
    await this.#stop(ended.topology);
    return end.kind === "broken" ? 1 : 0;
  }

  #logEnd(end: End): void {
    if (end.kind === "signal") {
      this.#logger.info("Received signal from OS", { signal: end.signal });
    } else if (end.kind === "finished") {
      this.#logger.info("Every receiver has read all there is");
    } else {
      this.#logger.error("Asynchronous error received, terminating process", {
        "otelcol.component.id": end.componentId,
        error: messageOf(end.error),
      });
    }
  }

  #warn({ warnings }: Loaded): void {
    for (const { level, message, fields } of warnings) this.#logger[level](message, fields);
  }

  /** Waits, and reloads when asked to; gives what ended the waiting and what runs then. */
  async #untilEnd(first: Topology): Promise<{ readonly end: End; readonly topology: Topology }> {
    let topology = first;
    for (;;) {
      const event = await Promise.race([this.#end.promise, this.#hangup.promise]);
      if (event.kind !== "reload") return { end: event, topology };
      this.#hangup = Promise.withResolvers<Reload>();
      topology = await this.#reload(topology);
    }
  }

  /**
   * The new configuration is read, checked and built before anything stops: a bad one changes
   * nothing. One that cannot start is taken back; only if the old one cannot start either is that
   * the agent's end.
   */
  async #reload(running: Topology): Promise<Topology> {
    this.#logger.info("Received signal from OS", { signal: "SIGHUP" });
    let loaded: Loaded;
    try {
      loaded = await this.#reread();
      await dryBuild(loaded, this.#version);
    } catch (error) {
      const fields = { error: messageOf(error) };
      this.#logger.error("The new configuration is not taken; nothing has changed", fields);
      return running;
    }
    this.#logger.info("Config updated, restart service");
    this.#warn(loaded);
    const [before, after] = [this.#loaded, loaded].map(({ config }) =>
      JSON.stringify(config.service.telemetryInput),
    );
    if (before !== after) this.#logger.warn("service::telemetry changes with a restart only");
    await this.#drain(running);
    const started = await this.#tryStart(loaded);
    if (started !== undefined) {
      this.#loaded = loaded;
      this.#logger.info("Everything is ready. Begin running and processing data.");
      return started;
    }
    const restored = await this.#tryStart(this.#loaded);
    if (restored === undefined) {
      this.#onBroken("the agent itself", "the configuration before the reload cannot start again");
      return running;
    }
    this.#logger.warn("The configuration before the reload runs again");
    return restored;
  }

  async #tryStart(loaded: Loaded): Promise<Topology | undefined> {
    let topology: Topology | undefined;
    try {
      topology = this.#build(loaded);
      await topology.start();
      return topology;
    } catch (error) {
      this.#logger.error("Failed to start", { error: messageOf(error) });
      await topology?.shutdown(AbortSignal.abort());
      return undefined;
    }
  }

  #build(loaded: Loaded): Topology {
    return new Topology({
      config: loaded.config,
      buildInfo: { version: this.#version },
      withExtensions: true,
      telemetryFor: (fields) => this.#telemetry.forComponent(fields),
      logger: this.#logger,
      onBroken: (componentId, error) => this.#onBroken(componentId, error),
      onFinished: () => this.#end.resolve({ kind: "finished" }),
    });
  }

  async #drain(topology: Topology | undefined): Promise<void> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), DRAIN_MS);
    await topology?.shutdown(deadline.signal);
    clearTimeout(timer);
  }

  async #stop(topology: Topology | undefined): Promise<void> {
    this.#logger.info("Starting shutdown...");
    await this.#drain(topology);
    this.#logger.info("Shutdown complete.");
    await this.#telemetry.shutdown();
  }

  #onBroken(componentId: string, error: unknown): void {
    this.#end.resolve({ kind: "broken", componentId, error });
  }

  #onSignal(signal: string): void {
    if (++this.#signals > 1) {
      this.#logger.warn("Second signal: exiting without draining", { signal });
      process.exit(INTERRUPTED);
    }
    this.#end.resolve({ kind: "signal", signal });
  }
}

/** Builds the pipelines as `validate` does; nothing is opened or started. */
export async function dryBuild(loaded: Loaded, version: string): Promise<void> {
  const { telemetry } = createMemoryTelemetry();
  const topology = new Topology({
    config: loaded.config,
    buildInfo: { version },
    withExtensions: false,
    telemetryFor: () => telemetry,
    logger: telemetry.logger,
    onBroken: () => undefined,
  });
  await topology.shutdown(AbortSignal.abort());
}
