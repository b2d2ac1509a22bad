// SPDX-License-Identifier: Apache-2.0

import {
  KEY_POOL_BUSY,
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  TRIGGER_REQUEST,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import type { StitchKey } from "../key.ts";
import type { Nodes } from "../nodes.ts";

/** The server span that may be the cause, and a number for the kind of evidence. */
export interface Hint {
  readonly low: number;
  readonly high: number;
  readonly kind: number;
}

const SLEPT = 1;
const AFTER_CALL = 2;

/**
 * The request that the thread's evidence names though it is not sure, as far as that is known. Not where a
 * call may have waited for its connection: then it is somebody else's, each time, and no times
 * tell.
 */
export function hintOf(key: StitchKey, nodes: Nodes): Hint | undefined {
  if (key.has(KEY_POOL_BUSY)) return undefined;
  const kind = key.has(KEY_SLEPT) ? SLEPT : 0;
  if (key.triggerKind === TRIGGER_REQUEST) {
    if (!key.has(KEY_TRIGGER_OPEN)) return undefined;
    return { low: key.triggerLow, high: key.triggerHigh, kind };
  }
  if (key.triggerKind !== TRIGGER_RESPONSE) return undefined;
  const call = nodes.find(key.triggerLow, key.triggerHigh);
  const low = nodes.originLow[call] ?? 0;
  const high = nodes.originHigh[call] ?? 0;
  if (call === 0 || (low === 0 && high === 0)) return undefined;
  return { low, high, kind: kind | AFTER_CALL };
}
