// SPDX-License-Identifier: Apache-2.0
import type { Subscription } from "rxjs";
import type { Component, Extension, Host } from "../component/component.ts";
import { AgentError, messageOf } from "../component/errors.ts";
import type { Logger } from "../component/telemetry.ts";
import { type BuildInputs, type Built, buildGraph } from "./build.ts";

/** After the shutdown's signal a component may still take so long to clean up. */
const CLEANUP_MS = 2_000;

export interface TopologyInputs extends BuildInputs {
  readonly logger: Logger;
}

interface Named {
  readonly id: string;
  readonly kind: string;
  readonly component: Component;
}

/**
 * Every component of a configuration, connected. Starts extensions, exporters, processors with
 * connectors, and receivers in this order; shuts down the other way, and completion flushes what processors hold.
 */
export class Topology {
  readonly #built: Built;
  readonly #logger: Logger;
  readonly #onBroken: (componentId: string, error: unknown) => void;
  readonly #subscriptions: Subscription[] = [];
  readonly #extensions = new Map<string, Extension>();
  #shutdown: Promise<void> | undefined;
  #isStopping = false;

  /** Creates every component; nothing is opened or started. Throws `AgentError`. */
  constructor(inputs: TopologyInputs) {
    this.#built = buildGraph({
      ...inputs,
      // Receivers complete at shutdown too.
      onFinished: () => !this.#isStopping && inputs.onFinished?.(),
    });
    this.#logger = inputs.logger;
    this.#onBroken = inputs.onBroken;
  }

  /** Rejects with the first component that cannot start; the caller then calls `shutdown`. */
  async start(): Promise<void> {
    const { flow, outlets, extensions, exporters, processors, receivers } = this.#built;
    for (const part of flow) part.wire();
    for (const outlet of outlets) this.#subscriptions.push(outlet.wire());
    const host: Host = {
      extension: (id) => this.#extensions.get(id),
      fatal: (id, error) => this.#onBroken(id, error),
    };
    if (extensions.length > 0) this.#logger.info("Starting extensions...");
    for (const { id, component } of extensions) {
      const fields = { "otelcol.component.id": id, "otelcol.component.kind": "extension" };
      this.#logger.info("Extension is starting...", fields);
      await startOne({ id, kind: "extension", component }, host, "cannot start extensions");
      this.#extensions.set(id, component);
      this.#logger.info("Extension started.", fields);
    }
    for (const named of [...exporters, ...processors.toReversed(), ...receivers]) {
      await startOne(named, host, "cannot start pipelines");
    }
    for (const { component } of extensions) component.pipelinesReady?.();
  }

  /**
   * Receivers stop, processors flush, exporters drain until `signal` aborts, extensions stop.
   * Never rejects: what goes wrong is logged. Works on what was only built, too.
   */
  shutdown(signal: AbortSignal): Promise<void> {
    this.#isStopping = true;
    this.#shutdown ??= this.#stop(signal);
    return this.#shutdown;
  }

  async #stop(signal: AbortSignal): Promise<void> {
    const { flow, extensions, exporters, processors, receivers } = this.#built;
    for (const { component } of extensions) component.pipelinesStopping?.();
    await this.#stopAll(receivers, signal);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    await this.#within(flush(flow), signal, "The pipelines did not flush in time");
    await this.#stopAll(processors, signal);
    await this.#stopAll(exporters, signal);
    if (extensions.length > 0) this.#logger.info("Stopping extensions...");
    for (const extension of extensions.toReversed()) {
      await this.#stopAll([{ ...extension, kind: "extension" }], signal);
    }
  }

  async #stopAll(all: readonly Named[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      all.map(async ({ id, kind, component }) => {
        const fields = { "otelcol.component.id": id, "otelcol.component.kind": kind };
        try {
          const stopped = component.shutdown(signal);
          await this.#within(stopped, signal, "A component did not shut down in time", fields);
        } catch (error) {
          this.#logger.error("Failed to shut a component down", {
            ...fields,
            error: messageOf(error),
          });
        }
      }),
    );
  }

  /** Waits for `work`, but after `signal` only a moment longer. */
  async #within(
    work: Promise<unknown>,
    signal: AbortSignal,
    message: string,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    let timer: NodeJS.Timeout | undefined;
    const onAbort = (): void => {
      timer = setTimeout(() => resolve("late"), CLEANUP_MS);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    try {
      const winner = await Promise.race([work.then(() => "done" as const), late]);
      if (winner === "late") this.#logger.error(message, fields);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }
}

/** One after the other: what a part gives out at its end goes into those behind it. */
async function flush(flow: Built["flow"]): Promise<void> {
  for (const part of flow) await part.complete();
}

async function startOne(named: Named, host: Host, what: string): Promise<void> {
  try {
    await named.component.start(host);
  } catch (error) {
    throw new AgentError(
      "BS_START",
      `${what}: failed to start "${named.id}" ${named.kind}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
