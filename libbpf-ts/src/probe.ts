// SPDX-License-Identifier: Apache-2.0
import { release } from "node:os";

import { type Capabilities, readCapabilities, readText } from "./capabilities.ts";
import { adviceFor, BpfError, errnoName } from "./errors.ts";
import { BTF_KIND, KernelBtf } from "./kernel-btf.ts";
import { MAP_TYPE } from "./map.ts";
import { native } from "./native.ts";

/** Whether one thing works here, and if not, why and what to do. */
export interface ProbeResult {
  readonly isSupported: boolean;
  readonly errno: string | undefined;
  /** One sentence; empty when it works. */
  readonly advice: string;
}

export interface KernelReport {
  readonly release: string;
  readonly btf: ProbeResult;
  /** Programs on BTF tracepoints (`tp_btf`), by loading one. */
  readonly tracing: ProbeResult;
  readonly ringBuffer: ProbeResult;
  readonly taskStorage: ProbeResult;
  readonly capabilities: Capabilities;
  /** `none`, `integrity`, `confidentiality`, or `unknown`. */
  readonly lockdown: string;
  /** Number of possible CPUs: the number of copies in a per-CPU value. */
  readonly possibleCpus: number;
}

export const WORKS: ProbeResult = { isSupported: true, errno: undefined, advice: "" };
export function refused(errno: string, advice: string = adviceFor(errno)): ProbeResult {
  return { isSupported: false, errno, advice };
}

function probeTracing(btf: KernelBtf): ProbeResult {
  const target = btf.typeId("btf_trace_sched_switch", BTF_KIND.typedef);
  if (target === 0) {
    return refused("ENOENT", "This kernel's BTF names no tracepoints.");
  }
  const errno = native.tryTracing(target);
  return errno === 0 ? WORKS : refused(errnoName(errno));
}

function probeBtf(): { readonly btf: ProbeResult; readonly tracing: ProbeResult } {
  try {
    using btf = KernelBtf.load();
    return { btf: WORKS, tracing: probeTracing(btf) };
  } catch (cause) {
    const errno = cause instanceof BpfError ? (cause.errno ?? "ENOENT") : "ENOENT";
    const advice = "Needs a kernel with CONFIG_DEBUG_INFO_BTF=y, or BTF given by `btfPath`.";
    const missing = refused(errno, advice);
    return { btf: missing, tracing: missing };
  }
}

/** Whether this kernel has a type of map (`BPF_MAP_TYPE_*`), by creating one. */
export function probeMapType(type: number): ProbeResult {
  return fromLibbpf(native.probeMapType(type));
}

/** Whether this kernel has a type of program (`BPF_PROG_TYPE_*`), by loading one. */
export function probeProgramType(type: number): ProbeResult {
  return fromLibbpf(native.probeProgramType(type));
}

/** Whether programs of a type may call a helper (`BPF_FUNC_*`), by loading one that does. */
export function probeHelper(programType: number, helper: number): ProbeResult {
  return fromLibbpf(native.probeHelper(programType, helper));
}

function fromLibbpf(result: number): ProbeResult {
  if (result > 0) {
    return WORKS;
  }
  // Without privileges libbpf cannot tell a missing feature from a forbidden one.
  const { bpf, sysAdmin } = readCapabilities();
  if (result === 0) {
    return bpf || sysAdmin ? refused("EOPNOTSUPP") : refused("EPERM");
  }
  return refused(errnoName(-result));
}

function readLockdown(): string {
  const text = readText("/sys/kernel/security/lockdown");
  return /\[(\w+)\]/.exec(text)?.[1] ?? "unknown";
}

/** What this kernel has and allows to this process. Loads small programs, attaches nothing. */
export function probe(): KernelReport {
  return {
    release: release(),
    ...probeBtf(),
    ringBuffer: probeMapType(MAP_TYPE.ringbuf),
    taskStorage: probeMapType(MAP_TYPE.taskStorage),
    capabilities: readCapabilities(),
    lockdown: readLockdown(),
    possibleCpus: native.possibleCpus(),
  };
}
