// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { config as rxjsConfig } from "rxjs";
import { messageOf } from "../component/errors.ts";
import type { Logger } from "../component/telemetry.ts";
import type { Loaded } from "../config/load.ts";
import { Service } from "../pipeline/service.ts";
import { ThrottledLog } from "../pipeline/throttled-log.ts";
import { Topology } from "../pipeline/topology.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { TelemetryService } from "../telemetry/telemetry-service.ts";
import { FileWatch } from "./file-watch.ts";

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

export interface AgentInputs {
  readonly loaded: Loaded;
  readonly version: string;
  /** Reads the configuration again, for SIGHUP. */
  readonly reread: () => Promise<Loaded>;
  /** The files that were read last, when a change of theirs is to do what SIGHUP does. */
  readonly watched: ReadonlySet<string> | undefined;
}

/** Runs a configuration until a signal or a broken component ends it. */
export class Agent {
  #loaded: Loaded;
  readonly #reread: () => Promise<Loaded>;
  readonly #version: string;
  readonly #watched: ReadonlySet<string> | undefined;
  readonly #telemetry: TelemetryService;
  readonly #logger: Logger;
  readonly #end = Promise.withResolvers<End>();
  #hangup = Promise.withResolvers<Reload>();
  #signals = 0;
  #follow = (): void => {};

  /** Throws `AgentError` when a log file cannot be opened. */
  constructor(inputs: AgentInputs) {
    const { loaded, version, reread, watched } = inputs;
    this.#loaded = loaded;
    this.#reread = reread;
    this.#version = version;
    this.#watched = watched;
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
    const watch = new FileWatch(onHangup);
    this.#follow = () => watch.set(this.#watched ?? []);
    this.#follow();
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
      watch.set([]);
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
  }

  async #runGuarded(): Promise<number> {
    this.#warn(this.#loaded);
    this.#logger.info("Starting backstitch...", {
      Version: this.#version,
      NumCPU: availableParallelism(),
    });
    let service: Service | undefined;
    try {
      await this.#telemetry.start();
      service = this.#build(this.#loaded);
      await service.start();
    } catch (error) {
      this.#logger.error("Failed to start", { error: messageOf(error) });
      await this.#stop(service);
      throw error;
    }
    this.#logger.info("Everything is ready. Begin running and processing data.");
    const end = await this.#untilEnd(service);
    this.#logEnd(end);
    await this.#stop(service);
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

  /** Waits, and reloads when asked to. */
  async #untilEnd(service: Service): Promise<End> {
    for (;;) {
      const event = await Promise.race([this.#end.promise, this.#hangup.promise]);
      if (event.kind !== "reload") return event;
      this.#hangup = Promise.withResolvers<Reload>();
      await this.#reload(service);
    }
  }

  /**
   * The new configuration is read, checked and built before anything stops: a bad one changes
   * nothing. One that cannot start is taken back; only if the old one cannot start either is that
   * the agent's end.
   */
  async #reload(service: Service): Promise<void> {
    this.#logger.info("Reading the configuration again");
    let loaded: Loaded;
    try {
      loaded = await this.#reread();
      await dryBuild(loaded, this.#version);
    } catch (error) {
      this.#follow();
      const fields = { error: messageOf(error) };
      this.#logger.error("The new configuration is not taken; nothing has changed", fields);
      return;
    }
    this.#follow();
    this.#logger.info("Config updated, restarting what has changed");
    this.#warn(loaded);
    const [before, after] = [this.#loaded, loaded].map(({ config }) =>
      JSON.stringify(config.service.telemetryInput),
    );
    if (before !== after) this.#logger.warn("service::telemetry changes with a restart only");
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), DRAIN_MS);
    const outcome = await service.change(loaded.config, deadline.signal);
    clearTimeout(timer);
    if (outcome === "changed") {
      this.#loaded = loaded;
      this.#logger.info("Everything is ready. Begin running and processing data.");
    } else if (outcome === "restored") {
      this.#logger.warn("The configuration before the reload runs again");
    } else {
      this.#onBroken("the agent itself", "the configuration before the reload cannot start again");
    }
  }

  #build(loaded: Loaded): Service {
    return new Service({
      config: loaded.config,
      buildInfo: { version: this.#version },
      telemetryFor: (fields) => this.#telemetry.forComponent(fields),
      ownMetrics: () => this.#telemetry.samples(),
      logger: this.#logger,
      onBroken: (componentId, error) => this.#onBroken(componentId, error),
      onFinished: () => this.#end.resolve({ kind: "finished" }),
    });
  }

  async #stop(service: Service | undefined): Promise<void> {
    this.#logger.info("Starting shutdown...");
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), DRAIN_MS);
    await service?.shutdown(deadline.signal);
    clearTimeout(timer);
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
    telemetryFor: () => telemetry,
    logger: telemetry.logger,
    onBroken: () => undefined,
  });
  await topology.shutdown(AbortSignal.abort());
}
