// SPDX-License-Identifier: Apache-2.0
import type { Subscription } from "rxjs";
import type { Component, Host } from "../component/component.ts";
import type { Logger } from "../component/telemetry.ts";
import { type BuildInputs, type Built, buildGraph } from "./build.ts";
import { doneInTime, startOne, stopAll } from "./lifecycle.ts";

export interface TopologyInputs extends BuildInputs {
  readonly logger: Logger;
}

/**
 * The pipelines of a configuration, connected. Starts exporters, processors with connectors, and
 * receivers in this order; shuts down the other way, and completion flushes what processors hold.
 */
export class Topology {
  readonly #built: Built;
  readonly #logger: Logger;
  readonly #subscriptions: Subscription[] = [];
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
  }

  get components(): readonly Component[] {
    const { exporters, processors, receivers } = this.#built;
    return [...receivers, ...processors, ...exporters].map(({ component }) => component);
  }

  /** Rejects with the first component that cannot start; the caller then calls `shutdown`. */
  async start(host: Host): Promise<void> {
    const { flow, outlets, exporters, processors, receivers } = this.#built;
    for (const part of flow) part.wire();
    for (const outlet of outlets) this.#subscriptions.push(outlet.wire());
    for (const named of [...exporters, ...processors.toReversed(), ...receivers]) {
      await startOne(named, host, "cannot start pipelines");
    }
  }

  /**
   * Receivers stop, processors flush, exporters drain until `signal` aborts. Never rejects: what
   * goes wrong is logged. Works on what was only built, too.
   */
  shutdown(signal: AbortSignal): Promise<void> {
    this.#isStopping = true;
    this.#shutdown ??= this.#stop(signal);
    return this.#shutdown;
  }

  async #stop(signal: AbortSignal): Promise<void> {
    const { flow, exporters, processors, receivers } = this.#built;
    await stopAll(receivers, signal, this.#logger);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    const isFlushed = await doneInTime(flush(flow), signal);
    if (!isFlushed) this.#logger.error("The pipelines did not flush in time");
    await stopAll(processors, signal, this.#logger);
    await stopAll(exporters, signal, this.#logger);
  }
}

/** One after the other: what a part gives out at its end goes into those behind it. */
async function flush(flow: Built["flow"]): Promise<void> {
  for (const part of flow) await part.complete();
}
