// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";

import { readText } from "./capabilities.ts";
import { errnoName } from "./errors.ts";
import { BTF_KIND, KernelBtf } from "./kernel-btf.ts";
import { MAP_TYPE } from "./map.ts";
import { hasBpffs, hasTracefs } from "./mounts.ts";
import { native } from "./native.ts";
import {
  type KernelReport,
  type ProbeResult,
  probe,
  probeHelper,
  probeMapType,
  probeProgramType,
  refused,
  WORKS,
} from "./probe.ts";

/** Everything that {@link probeAll} found; each name with whether it works and, if not, why. */
export interface FeatureReport extends KernelReport {
  /** By the kind of attachment, as libbpf's section names spell it. */
  readonly attachKinds: Readonly<Record<string, ProbeResult>>;
  /** By `BPF_PROG_TYPE_*`, in lower case; `tracing` and `lsm` are among the attach kinds. */
  readonly programTypes: Readonly<Record<string, ProbeResult>>;
  /** By the names of {@link MAP_TYPE}. */
  readonly mapTypes: Readonly<Record<string, ProbeResult>>;
  /** Helpers that some kernels lack, by name. */
  readonly helpers: Readonly<Record<string, ProbeResult>>;
  /** Kernel functions that programs may call, by name; known by BTF, not tried. */
  readonly kfuncs: Readonly<Record<string, ProbeResult>>;
  readonly mounts: { readonly bpffs: ProbeResult; readonly tracefs: ProbeResult };
  /** Bytes of locked memory allowed; only kernels before 5.11 count BPF memory against it. */
  readonly memlockBytes: number;
  readonly libbpf: string;
}

/** `BPF_PROG_TYPE_*` of `linux/bpf.h`. */
const PROGRAM_TYPES = {
  socket_filter: 1,
  kprobe: 2,
  sched_cls: 3,
  tracepoint: 5,
  xdp: 6,
  perf_event: 7,
  cgroup_skb: 8,
  sock_ops: 13,
  sk_skb: 14,
  sk_msg: 16,
  raw_tracepoint: 17,
  cgroup_sock_addr: 18,
  struct_ops: 27,
  sk_lookup: 30,
  syscall: 31,
  netfilter: 32,
} as const;

/** `BPF_PROG_TYPE_EXT`. */
const EXTENSION = 28;

/** Attach types of `linux/bpf.h` with the kernel function or typedef that each is tried on. */
const TRACING_KINDS = {
  tp_btf: { type: 26, attachType: 23, target: "btf_trace_sched_switch", kind: BTF_KIND.typedef },
  fentry: { type: 26, attachType: 24, target: "do_nanosleep", kind: BTF_KIND.func },
  fexit: { type: 26, attachType: 25, target: "do_nanosleep", kind: BTF_KIND.func },
  iter: { type: 26, attachType: 28, target: "bpf_iter_task", kind: BTF_KIND.func },
  lsm: { type: 29, attachType: 27, target: "bpf_lsm_file_open", kind: BTF_KIND.func },
} as const;

const SIMPLE_KINDS = {
  tracepoint: 5,
  raw_tp: 17,
  perf_event: 7,
  "cgroup_skb/egress": 8,
  "cgroup/connect4": 18,
  sockops: 13,
  tc: 3,
  xdp: 6,
  socket: 1,
  sk_msg: 16,
  sk_skb: 14,
  sk_lookup: 30,
  syscall: 31,
  netfilter: 32,
} as const;

/** The errno by which a kernel that knows the kind refuses a link that cannot be. */
const LINK_KINDS = {
  tcx: "ENODEV",
  netkit: "ENODEV",
  "kprobe.multi": "EINVAL",
  "uprobe.multi": "EBADF",
  "uprobe.session": "EBADF",
} as const;

/** Helper numbers of `linux/bpf.h`, with a type of program that has them. */
const HELPERS = {
  bpf_get_stackid: [27, PROGRAM_TYPES.perf_event],
  bpf_sk_storage_get: [107, PROGRAM_TYPES.sock_ops],
  bpf_probe_read_user: [112, PROGRAM_TYPES.tracepoint],
  bpf_ktime_get_boot_ns: [125, PROGRAM_TYPES.tracepoint],
  bpf_ringbuf_reserve: [131, PROGRAM_TYPES.tracepoint],
  bpf_get_task_stack: [141, PROGRAM_TYPES.tracepoint],
  bpf_reserve_hdr_opt: [144, PROGRAM_TYPES.sock_ops],
  bpf_task_storage_get: [156, PROGRAM_TYPES.tracepoint],
  bpf_for_each_map_elem: [164, PROGRAM_TYPES.tracepoint],
  bpf_snprintf: [165, PROGRAM_TYPES.tracepoint],
  bpf_get_attach_cookie: [174, PROGRAM_TYPES.tracepoint],
  bpf_task_pt_regs: [175, PROGRAM_TYPES.tracepoint],
  bpf_loop: [181, PROGRAM_TYPES.tracepoint],
  bpf_dynptr_from_mem: [197, PROGRAM_TYPES.tracepoint],
  bpf_user_ringbuf_drain: [209, PROGRAM_TYPES.tracepoint],
} as const;

const KFUNCS = [
  "bpf_cast_to_kern_ctx",
  "bpf_rdonly_cast",
  "bpf_session_is_return",
  "bpf_session_cookie",
  "bpf_skb_ct_lookup",
  "bpf_xdp_ct_lookup",
  "bpf_sock_destroy",
  "bpf_task_from_pid",
  "bpf_cgroup_from_id",
  "bpf_iter_task_new",
  "bpf_copy_from_user_str",
  "bpf_get_dentry_xattr",
] as const;

const EVENT_SOURCES = "/sys/bus/event_source/devices";

function entriesOf<T>(
  all: Readonly<Record<string, T>>,
  check: (value: T, name: string) => ProbeResult,
): Readonly<Record<string, ProbeResult>> {
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, check(value, name)]));
}

function probeTracingKind(
  btf: KernelBtf | undefined,
  kind: (typeof TRACING_KINDS)[keyof typeof TRACING_KINDS],
  isPrivileged: boolean,
): ProbeResult {
  const id = btf?.typeId(kind.target, kind.kind) ?? 0;
  if (id === 0) {
    return refused("ENOENT", "This kernel's BTF does not have it.");
  }
  const errno = native.tryLoad(kind.type, kind.attachType, id, 0);
  if (errno === 0) {
    return WORKS;
  }
  return refusedTracing(errnoName(errno), isPrivileged);
}

/** Who holds the capabilities and is refused is not helped by the advice to get them. */
function refusedTracing(name: string, isPrivileged: boolean): ProbeResult {
  return name === "EPERM" && isPrivileged
    ? refused(name, "The kernel forbids it to everybody: its configuration, lockdown or a policy.")
    : refused(name);
}

/** Kprobes and uprobes are perf events of their own kind, which the kernel lists. */
function probeEventSource(name: "kprobe" | "uprobe", option: string): ProbeResult {
  if (!existsSync(`${EVENT_SOURCES}/${name}`)) {
    return refused("ENOENT", `This kernel was built without ${option}.`);
  }
  return probeProgramType(PROGRAM_TYPES.kprobe);
}

/** A program without a target is refused as such where the kernel allows the type. */
function probeFreplace(isPrivileged: boolean): ProbeResult {
  const errno = errnoName(native.tryLoad(EXTENSION, 0, 0, 0));
  return errno === "EINVAL" ? WORKS : refusedTracing(errno, isPrivileged);
}

function probeStructOps(btf: KernelBtf | undefined): ProbeResult {
  const id = btf?.typeId("bpf_struct_ops_tcp_congestion_ops", BTF_KIND.struct) ?? 0;
  return id === 0
    ? refused("ENOENT", "This kernel's BTF names no operations that programs may implement.")
    : probeProgramType(PROGRAM_TYPES.struct_ops);
}

function probeLink(name: string, expected: string): ProbeResult {
  const errno = errnoName(native.tryLink(name.replace(".", "_")));
  if (errno === expected) {
    return WORKS;
  }
  return errno === "EINVAL"
    ? refused(errno, "This kernel does not know this kind of link.")
    : refused(errno);
}

function probeAttachKinds(
  btf: KernelBtf | undefined,
  isPrivileged: boolean,
): FeatureReport["attachKinds"] {
  const uprobe = probeEventSource("uprobe", "CONFIG_UPROBE_EVENTS");
  return {
    ...entriesOf(SIMPLE_KINDS, (type, name) =>
      name === "tracepoint" && !hasTracefs()
        ? refused("ENOENT", "tracefs is not mounted; it is mounted when a tracepoint is attached.")
        : probeProgramType(type),
    ),
    ...entriesOf(TRACING_KINDS, (kind) => probeTracingKind(btf, kind, isPrivileged)),
    uprobe,
    usdt: uprobe,
    kprobe: probeEventSource("kprobe", "CONFIG_KPROBES"),
    freplace: probeFreplace(isPrivileged),
    struct_ops: probeStructOps(btf),
    ...entriesOf(LINK_KINDS, (expected, name) => probeLink(name, expected)),
  };
}

function memlockBytes(): number {
  const text = /^Max locked memory\s+(\S+)/m.exec(readText("/proc/self/limits"))?.[1];
  return text === undefined || text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
}

function mount(isThere: boolean, kind: string, path: string): ProbeResult {
  const advice = `It is mounted when it is needed; by hand: mount -t ${kind} ${kind} ${path}`;
  return isThere ? WORKS : refused("ENOENT", advice);
}

function loadKernelBtf(): KernelBtf | undefined {
  try {
    return KernelBtf.load();
  } catch {
    return undefined;
  }
}

/**
 * What this kernel has and allows to this process, all of it: some hundred small programs, maps and
 * look-ups, a tenth of a second. Attaches nothing.
 */
export function probeAll(): FeatureReport {
  using btf = loadKernelBtf();
  const kfunc = (name: string): ProbeResult =>
    btf?.hasFunction(name) === true ? WORKS : refused("ENOENT", "This kernel does not have it.");
  const basics = probe();
  const { bpf, perfmon, sysAdmin } = basics.capabilities;
  return {
    ...basics,
    attachKinds: probeAttachKinds(btf, (bpf && perfmon) || sysAdmin),
    programTypes: entriesOf(PROGRAM_TYPES, (type) => probeProgramType(type)),
    mapTypes: entriesOf(MAP_TYPE, (type) => probeMapType(type)),
    helpers: entriesOf(HELPERS, ([helper, type]) => probeHelper(type, helper)),
    kfuncs: Object.fromEntries(KFUNCS.map((name) => [name, kfunc(name)])),
    mounts: {
      bpffs: mount(hasBpffs(), "bpf", "/sys/fs/bpf"),
      tracefs: mount(hasTracefs(), "tracefs", "/sys/kernel/tracing"),
    },
    memlockBytes: memlockBytes(),
    libbpf: native.libbpfVersion(),
  };
}
