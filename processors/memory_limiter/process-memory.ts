// SPDX-License-Identifier: Apache-2.0
import { totalmem } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Memory } from "./memory-limiter.ts";

/** V8 gives its garbage collector only to a context made after the flag. */
function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return typeof found === "function" ? () => void found() : () => undefined;
}

/**
 * This process. Not its resident memory: that stays high after a peak that is over, and would
 * refuse data for ever.
 */
export function createProcessMemory(): Memory {
  let collect: (() => void) | undefined;
  return {
    used: () => {
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
    total: () => {
      const constrained = process.constrainedMemory();
      return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
    },
    collect: () => {
      collect ??= garbageCollector();
      collect();
    },
    nowMs: () => performance.now(),
  };
}
