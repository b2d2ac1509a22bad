// SPDX-License-Identifier: Apache-2.0
import type { Outcome, Receipt } from "../model/batch.ts";

const ACCEPTED: Outcome = { kind: "accepted" };

/** A permanent refusal outweighs a retryable one, that one a drop, that one acceptance. */
function severity(outcome: Outcome): number {
  if (outcome.kind === "accepted") return 0;
  if (outcome.kind === "dropped") return 1;
  return outcome.retryable ? 2 : 3;
}

/** Calls `onOutcome` with the first outcome; later ones are ignored. */
export function createReceipt(onOutcome: (outcome: Outcome) => void): Receipt {
  let settled = false;
  return {
    settle(outcome) {
      if (settled) return;
      settled = true;
      onOutcome(outcome);
    },
  };
}

/**
 * For a batch that goes `ways` (at least one): as many receipts, and `receipt` settles with the
 * worst outcome when all have settled.
 */
export function splitReceipt(receipt: Receipt, ways: number): Receipt[] {
  let open = ways;
  let worst = ACCEPTED;
  const onOutcome = (outcome: Outcome): void => {
    if (severity(outcome) > severity(worst)) worst = outcome;
    if (--open === 0) receipt.settle(worst);
  };
  return Array.from({ length: ways }, () => createReceipt(onOutcome));
}

/** For batches that became one: settles all of them. Undefined when there is none. */
export function joinReceipts(receipts: readonly (Receipt | undefined)[]): Receipt | undefined {
  const present = receipts.filter((receipt) => receipt !== undefined);
  if (present.length <= 1) return present[0];
  return createReceipt((outcome) => {
    for (const receipt of present) receipt.settle(outcome);
  });
}
