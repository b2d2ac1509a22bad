// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** Capabilities that BPF programs need, of this process, now (`capabilities(7)`). */
export interface Capabilities {
  readonly bpf: boolean;
  readonly perfmon: boolean;
  readonly netAdmin: boolean;
  readonly sysAdmin: boolean;
  readonly sysResource: boolean;
  readonly sysPtrace: boolean;
}

const CAPABILITY_BITS = {
  netAdmin: 12n,
  sysPtrace: 19n,
  sysAdmin: 21n,
  sysResource: 24n,
  perfmon: 38n,
  bpf: 39n,
} as const;

export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Those in force now; none where `/proc` is not mounted. */
export function readCapabilities(): Capabilities {
  const text = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText("/proc/self/status"))?.[1] ?? "0";
  const bits = BigInt(`0x${text}`);
  const has = (bit: bigint): boolean => ((bits >> bit) & 1n) === 1n;
  return {
    bpf: has(CAPABILITY_BITS.bpf),
    perfmon: has(CAPABILITY_BITS.perfmon),
    netAdmin: has(CAPABILITY_BITS.netAdmin),
    sysAdmin: has(CAPABILITY_BITS.sysAdmin),
    sysResource: has(CAPABILITY_BITS.sysResource),
    sysPtrace: has(CAPABILITY_BITS.sysPtrace),
  };
}
