// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { config as rxjsConfig } from "rxjs";
import { messageOf } from "../component/errors.ts";
import type { Logger } from "../component/telemetry.ts";
import type { Loaded } from "../config/load.ts";
import { ThrottledLog } from "../pipeline/throttled-log.ts";
import { Topology } from "../pipeline/topology.ts";
import { TelemetryService } from "../telemetry/telemetry-service.ts";

/** A drain that takes longer is cut: what is left is counted as dropped. */
const DRAIN_MS = 25_000;
/** Exit status when a second signal cuts the drain. */
const INTERRUPTED = 130;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

type End =
  | { readonly kind: "signal"; readonly signal: string }
  | { readonly kind: "broken"; readonly componentId: string; readonly error: unknown };

/** Runs a configuration until a signal or a broken component ends it. */
export class Agent {
  readonly #loaded: Loaded;
  readonly #version: string;
  readonly #telemetry: TelemetryService;
  readonly #logger: Logger;
  readonly #end = Promise.withResolvers<End>();
  #signals = 0;

  /** Throws `AgentError` when a log file cannot be opened. */
  constructor(loaded: Loaded, version: string) {
    this.#loaded = loaded;
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
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
  }

  async #runGuarded(): Promise<number> {
    for (const { level, message, fields } of this.#loaded.warnings) {
      this.#logger[level](message, fields);
    }
    this.#logger.info("Starting backstitch...", {
      Version: this.#version,
      NumCPU: availableParallelism(),
    });
    let topology: Topology | undefined;
    try {
      await this.#telemetry.start();
      topology = this.#build();
      await topology.start();
    } catch (error) {
      this.#logger.error("Failed to start", { error: messageOf(error) });
      await this.#stop(topology);
      throw error;
    }
    this.#logger.info("Everything is ready. Begin running and processing data.");
    const end = await this.#end.promise;
    if (end.kind === "signal") {
      this.#logger.info("Received signal from OS", { signal: end.signal });
    } else {
      this.#logger.error("Asynchronous error received, terminating process", {
        "otelcol.component.id": end.componentId,
        error: messageOf(end.error),
      });
    }
    await this.#stop(topology);
    return end.kind === "signal" ? 0 : 1;
  }

  #build(): Topology {
    return new Topology({
      config: this.#loaded.config,
      buildInfo: { version: this.#version },
      withExtensions: true,
      telemetryFor: (fields) => this.#telemetry.forComponent(fields),
      logger: this.#logger,
      onBroken: (componentId, error) => this.#onBroken(componentId, error),
    });
  }

  async #stop(topology: Topology | undefined): Promise<void> {
    this.#logger.info("Starting shutdown...");
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), DRAIN_MS);
    await topology?.shutdown(deadline.signal);
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
