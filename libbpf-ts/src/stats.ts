// SPDX-License-Identifier: Apache-2.0
import { guarded } from "./failure.ts";
import { type NativeHandle, native } from "./native.ts";

/** While open, the kernel counts run time and runs of every BPF program on the machine. */
export class StatsHandle {
  readonly #native: NativeHandle;

  constructor(handle: NativeHandle) {
    this.#native = handle;
  }

  /** A second call does nothing. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Turns on `BPF_ENABLE_STATS` (Linux 5.8) until the handle is closed or the process ends. Costs
 * some tens of nanoseconds a run, for every program on the machine.
 *
 * @throws BpfError `KERNEL`, EPERM without CAP_SYS_ADMIN.
 */
export function enableStats(): StatsHandle {
  return guarded({ code: "KERNEL", operation: "enable BPF statistics" }, () => {
    return new StatsHandle(native.NativeStats.enable());
  });
}
