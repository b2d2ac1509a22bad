// SPDX-License-Identifier: Apache-2.0
import {
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  ROLE_CLIENT,
  TRIGGER_REQUEST,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import type { Evidence } from "./evidence.ts";

/**
 * The thread had one incoming request open when it wrote: there is nothing else that could have
 * caused the call. Less sure when it slept in between, since another thread may have woken it.
 */
export const sameThread: Evidence = {
  name: "same_thread",
  target: "trigger",
  offer(key) {
    if (key.role !== ROLE_CLIENT || key.openRequests > 1) return 0;
    const isOpen =
      key.triggerKind === TRIGGER_REQUEST
        ? key.has(KEY_TRIGGER_OPEN)
        : key.triggerKind === TRIGGER_RESPONSE && key.openRequests === 1;
    if (!isOpen) return 0;
    return key.has(KEY_SLEPT) ? 90 : 100;
  },
};
