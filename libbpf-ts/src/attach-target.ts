// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from "./map.ts";

interface WithCookie {
  /** What the program reads with `bpf_get_attach_cookie`; 0 if not given. */
  readonly cookie?: bigint;
}

/** Where two programs on one hook stand: before or after those that are there. */
export type AttachOrder = "first" | "last";

export interface TracepointTarget extends WithCookie {
  readonly kind: "tracepoint";
  /** The folder under `/sys/kernel/tracing/events`: `sched`, `syscalls`. */
  readonly category: string;
  readonly name: string;
}

export interface RawTracepointTarget extends WithCookie {
  readonly kind: "raw_tracepoint";
  readonly name: string;
}

/** `tp_btf`, `fentry`, `fexit`, `fmod_ret`, `lsm`: what it attaches to is fixed at load. */
export interface TraceTarget extends WithCookie {
  readonly kind: "trace";
}

export interface KprobeTarget extends WithCookie {
  readonly kind: "kprobe";
  readonly function: string;
  /** Bytes from the start of the function. */
  readonly offset?: number;
  /** On return; by default as the section says (`kretprobe`). */
  readonly isReturn?: boolean;
}

export interface KsyscallTarget extends WithCookie {
  readonly kind: "ksyscall";
  /** Without a prefix: `openat`. */
  readonly syscall: string;
  readonly isReturn?: boolean;
}

export interface KprobeMultiTarget {
  readonly kind: "kprobe_multi";
  readonly functions: readonly string[];
  /** One a function, in the same order. */
  readonly cookies?: readonly bigint[];
  readonly isReturn?: boolean;
  /** On entry and return; by default as the section says (`kprobe.session`). */
  readonly isSession?: boolean;
}

/** A place in a program or library. */
interface InFile {
  /**
   * The program or library. For a process in another mount namespace `/proc/<pid>/root/…`; for what
   * it runs `/proc/<pid>/exe`.
   */
  readonly path: string;
  /** Only this process; every process that maps the file if not given. */
  readonly pid?: number;
}

/** A function by name or by place; one of the two. */
export type UprobePlace =
  | { readonly symbol: string; readonly offset?: undefined }
  /** Bytes from the start of the file. */
  | { readonly offset: number; readonly symbol?: undefined };

export type UprobeTarget = InFile &
  WithCookie &
  UprobePlace & {
    readonly kind: "uprobe";
    /** On return; by default as the section says (`uretprobe`). */
    readonly isReturn?: boolean;
    /** File offset of a counter that the kernel raises while attached (USDT semaphores). */
    readonly referenceCounterOffset?: number;
  };

export type UprobeMultiPlace =
  | (UprobePlace & WithCookie)
  /** Every function whose name fits: `*` for any characters, `?` for one. */
  | (WithCookie & { readonly pattern: string });

/** Many functions by one link (Linux 6.6 on). */
export interface UprobeMultiTarget extends InFile {
  readonly kind: "uprobe_multi";
  readonly targets: readonly UprobeMultiPlace[];
  readonly isReturn?: boolean;
  /** On entry and return, with one cookie (Linux 6.13 on); by default as the section says. */
  readonly isSession?: boolean;
  /**
   * Leave out functions that the kernel cannot probe and list them in the link's `rejected`. When
   * false, one of them fails the whole.
   */
  readonly skipUnprobeable?: boolean;
}

export interface UsdtTarget extends InFile, WithCookie {
  readonly kind: "usdt";
  readonly provider: string;
  readonly name: string;
}

/** `PERF_COUNT_SW_*` and `PERF_COUNT_HW_*` of `linux/perf_event.h`. */
export const PERF_EVENT = {
  cpuClock: { type: 0x1, config: 0 },
  taskClock: { type: 0x1, config: 1 },
  pageFaults: { type: 0x1, config: 2 },
  contextSwitches: { type: 0x1, config: 3 },
  cpuMigrations: { type: 0x1, config: 4 },
  cycles: { type: 0x0, config: 0 },
  instructions: { type: 0x0, config: 1 },
  cacheReferences: { type: 0x0, config: 2 },
  cacheMisses: { type: 0x0, config: 3 },
  branches: { type: 0x0, config: 4 },
  branchMisses: { type: 0x0, config: 5 },
} as const;

export interface PerfEventTarget extends WithCookie {
  readonly kind: "perf_event";
  /** One of {@link PERF_EVENT}, or any `type` and `config` of `perf_event_open(2)`. */
  readonly event: { readonly type: number; readonly config: number };
  /** Samples a second and CPU; or `period`, events from one sample to the next. */
  readonly frequency?: number;
  readonly period?: number;
  /** All that are online if not given; each has an event of its own. */
  readonly cpus?: readonly number[];
  /** Follows this one thread only: to follow a process, filter in the program. */
  readonly tid?: number;
}

/** `cgroup/…`, `sockops`, `cgroup_skb/…`: a cgroup2 directory. */
export interface CgroupTarget {
  readonly kind: "cgroup";
  readonly path: string;
  /** Linux 6.17 on. */
  readonly order?: AttachOrder;
}

/** A network interface by name or index, in this process's network namespace. */
interface OnInterface {
  readonly interface: string | number;
}

export interface XdpTarget extends OnInterface {
  readonly kind: "xdp";
  /** By default the driver's where it has one, else generic. */
  readonly mode?: "generic" | "driver" | "hardware";
}

/** Linux 6.6 on; the section says ingress or egress. */
export interface TcxTarget extends OnInterface {
  readonly kind: "tcx";
  readonly order?: AttachOrder;
}

export interface NetkitTarget extends OnInterface {
  readonly kind: "netkit";
  readonly order?: AttachOrder;
}

/** The classifier of older kernels, on a `clsact` qdisc that is made when missing. */
export interface TcTarget extends OnInterface {
  readonly kind: "tc";
  readonly direction: "ingress" | "egress";
  readonly handle?: number;
  readonly priority?: number;
}

/** Linux 6.4 on. */
export interface NetfilterTarget {
  readonly kind: "netfilter";
  readonly family: "ipv4" | "ipv6";
  readonly hook: "pre_routing" | "local_in" | "forward" | "local_out" | "post_routing";
  /** Smaller runs earlier; not the kernel's own extremes. */
  readonly priority: number;
  /** Put fragments together first. */
  readonly defragment?: boolean;
}

/** `sk_lookup`, `flow_dissector`: a network namespace. */
export interface NetnsTarget {
  readonly kind: "netns";
  /** `/proc/self/ns/net` if not given. */
  readonly path?: string;
}

/** `sk_msg`, `sk_skb/…`: a sock map or sock hash. */
export interface SockmapTarget {
  readonly kind: "sockmap";
  readonly map: BpfMap;
}

/** `socket`: a socket of this process by its descriptor. */
export interface SocketTarget {
  readonly kind: "socket";
  readonly fd: number;
}

/** `freplace`: a function of another loaded program. */
export interface FreplaceTarget {
  readonly kind: "freplace";
  readonly programFd: number;
  readonly function: string;
}

export interface TaskIteratorTarget {
  readonly kind?: undefined;
  /** For task iterators: visit only this process (by its pid in the caller's namespace). */
  readonly pid?: number;
  /** For task iterators: visit only this thread. */
  readonly tid?: number;
}

/** `iter/bpf_map_elem`, `iter/bpf_sk_storage_map`: the entries of one map. */
export interface MapIteratorTarget {
  readonly kind: "map_iterator";
  readonly map: BpfMap;
}

/** `iter/cgroup`. */
export interface CgroupIteratorTarget {
  readonly kind: "cgroup_iterator";
  /** A cgroup2 directory. */
  readonly path: string;
  /** By default the cgroup and all below it, parents first. */
  readonly order?: "self" | "descendants_first_parent" | "descendants_last_parent" | "ancestors";
}

/** What a program is attached to. Without `kind` it is what the program's section says. */
export type AttachTarget =
  | TaskIteratorTarget
  | TracepointTarget
  | RawTracepointTarget
  | TraceTarget
  | KprobeTarget
  | KsyscallTarget
  | KprobeMultiTarget
  | UprobeTarget
  | UprobeMultiTarget
  | UsdtTarget
  | PerfEventTarget
  | CgroupTarget
  | XdpTarget
  | TcxTarget
  | NetkitTarget
  | TcTarget
  | NetfilterTarget
  | NetnsTarget
  | SockmapTarget
  | SocketTarget
  | FreplaceTarget
  | MapIteratorTarget
  | CgroupIteratorTarget;

/** How a task iterator is narrowed. */
export type AttachOptions = TaskIteratorTarget;
