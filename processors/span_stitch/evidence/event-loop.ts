// SPDX-License-Identifier: Apache-2.0
import {
  KEY_POOL_BUSY,
  KEY_SAME_CONNECTION,
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  ROLE_CLIENT,
  TRIGGER_REQUEST,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import type { Evidence } from "./evidence.ts";

/**
 * The thread has several incoming requests open; what it writes in the turn of a read was caused
 * by that read. Once it slept, the turn is over and the read says nothing. Nor does a response whose
 * very connection is written, where all connections are busy: whoever waited first is next.
 */
export const eventLoop: Evidence = {
  name: "event_loop",
  target: "trigger",
  offer(key) {
    if (key.role !== ROLE_CLIENT || key.openRequests <= 1 || key.has(KEY_SLEPT)) return 0;
    if (key.triggerKind === TRIGGER_REQUEST) return key.has(KEY_TRIGGER_OPEN) ? 95 : 0;
    if (key.triggerKind !== TRIGGER_RESPONSE) return 0;
    if (!key.has(KEY_SAME_CONNECTION)) return 95;
    return key.has(KEY_POOL_BUSY) ? 0 : 90;
  },
};
