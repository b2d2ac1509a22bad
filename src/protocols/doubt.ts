// SPDX-License-Identifier: Apache-2.0
import type { LossReason } from "../model/protocol.ts";

/**
 * A guess was wrong when, without any completed exchange, its parser complains so much: a breach
 * of the framing has this weight, bytes that it cannot place weigh one each after a breach.
 */
const DOUBT_MAX = 9;
const MALFORMED_DOUBT = 3;
/** Or when it has found nothing that begins an exchange in so many records. */
const FRUITLESS_MAX = 32;

/** Was the guess right that a connection speaks a protocol? By what its parser reports. */
export class Doubt {
  #weight = 0;
  #fruitless = 0;

  get isWrong(): boolean {
    return this.#weight >= DOUBT_MAX || this.#fruitless >= FRUITLESS_MAX;
  }

  /** Its framing was broken, and no exchange was complete. */
  get isAny(): boolean {
    return this.#weight > 0;
  }

  begin(): void {
    this.#fruitless = Number.NEGATIVE_INFINITY;
  }

  lost(reason: LossReason): void {
    this.#fruitless++;
    if (reason === "malformed") this.#weight += MALFORMED_DOUBT;
    else if (this.#weight > 0) this.#weight++;
  }

  /** An exchange is complete: from here on there is no doubt. */
  end(): void {
    this.#weight = Number.NEGATIVE_INFINITY;
  }

  reset(): void {
    this.#weight = 0;
    this.#fruitless = 0;
  }
}
