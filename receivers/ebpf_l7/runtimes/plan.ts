// SPDX-License-Identifier: Apache-2.0
import {
  WIRE_RUNTIME_BYTES,
  WIRE_RUNTIME_CONNECTION,
  WIRE_RUNTIME_CONTEXT,
  WIRE_RUNTIME_CURRENT,
  WIRE_RUNTIME_GOID,
  WIRE_RUNTIME_KIND,
  WIRE_RUNTIME_PARENT_GOID,
  WIRE_RUNTIME_SLOT,
  WIRE_RUNTIME_TABLE,
  WIRE_RUNTIME_THREAD_STATE,
} from "../../../bpf/generated/wire.ts";

/** A place in a file where a program of `bpf/runtimes.bpf.c` is attached. */
export interface RuntimeProbe {
  readonly program: "go_round_trip" | "go_created" | "python_copied";
  /** Bytes from the start of the file. */
  readonly offset: number;
}

/** How to follow one process's runtime; the offsets are those of `struct wire_runtime`. */
export interface RuntimePlan {
  readonly kind: number;
  /** Of the runtime, for the log: `go1.26.1`, `3.11`. */
  readonly version: string;
  /** The file that the probes are in, as this process can open it. */
  readonly path: string;
  readonly probes: readonly RuntimeProbe[];
  readonly goid?: number;
  readonly parentGoid?: number;
  readonly current?: number;
  readonly connection?: number;
  readonly threadState?: number;
  readonly context?: number;
  readonly table?: bigint;
  readonly slot?: number;
}

/** Why a process of that runtime is not followed. */
export interface RuntimeRefusal {
  readonly refused: string;
}

export function encodePlan(plan: RuntimePlan): Uint8Array {
  const bytes = new Uint8Array(WIRE_RUNTIME_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(WIRE_RUNTIME_KIND, plan.kind, true);
  view.setUint32(WIRE_RUNTIME_GOID, plan.goid ?? 0, true);
  view.setUint32(WIRE_RUNTIME_PARENT_GOID, plan.parentGoid ?? 0, true);
  view.setUint32(WIRE_RUNTIME_CURRENT, plan.current ?? 0, true);
  view.setUint32(WIRE_RUNTIME_CONNECTION, plan.connection ?? 0, true);
  view.setUint32(WIRE_RUNTIME_THREAD_STATE, plan.threadState ?? 0, true);
  view.setUint32(WIRE_RUNTIME_CONTEXT, plan.context ?? 0, true);
  view.setUint32(WIRE_RUNTIME_SLOT, plan.slot ?? 0, true);
  view.setBigUint64(WIRE_RUNTIME_TABLE, plan.table ?? 0n, true);
  return bytes;
}
