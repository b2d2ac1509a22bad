// SPDX-License-Identifier: Apache-2.0
import type { Observable, Subscription } from "rxjs";

/** For receivers that read a file piece by piece: when the next one may be read. */
export class DemandGate {
  readonly #subscription: Subscription;
  readonly #stopping: AbortSignal;
  #isOpen = false;
  #onOpen: (() => void) | undefined;

  /** `stopping` ends all waiting. */
  constructor(demand: Observable<boolean>, stopping: AbortSignal) {
    this.#stopping = stopping;
    stopping.addEventListener("abort", this.#release, { once: true });
    this.#subscription = demand.subscribe((isOpen) => {
      this.#isOpen = isOpen;
      if (isOpen) this.#release();
    });
  }

  /** Gives others a turn of the event loop, and waits while there is no demand. */
  async turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (!this.#isOpen && !this.#stopping.aborted) {
      await new Promise<void>((resolve) => {
        this.#onOpen = resolve;
      });
    }
  }

  close(): void {
    this.#stopping.removeEventListener("abort", this.#release);
    this.#subscription.unsubscribe();
  }

  readonly #release = (): void => {
    this.#onOpen?.();
    this.#onOpen = undefined;
  };
}
