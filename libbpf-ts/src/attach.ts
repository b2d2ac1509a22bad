// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readFileSync } from "node:fs";

import type {
  AttachTarget,
  CgroupIteratorTarget,
  KprobeMultiTarget,
  NetfilterTarget,
  PerfEventTarget,
  UprobeTarget,
  XdpTarget,
} from "./attach-target.ts";
import { BpfError } from "./errors.ts";
import { functionOffset } from "./function-offsets.ts";
import { ensureTracefs } from "./mounts.ts";
import { type NativeLink, type NativeObject, native } from "./native.ts";
import { attachUprobeMulti, type RejectedTarget } from "./uprobe-multi.ts";

/** What one call of attach made: kernel links, and what was left out. */
export interface Attachment {
  readonly handles: readonly NativeLink[];
  readonly rejected: readonly RejectedTarget[];
}

export interface AttachRequest {
  readonly object: NativeObject;
  readonly program: string;
  readonly section: string;
}

const EVERY_PROCESS = -1;
const XDP_MODE = { generic: 1 << 1, driver: 1 << 2, hardware: 1 << 3 } as const;
/** `NFPROTO_*` and `NF_INET_*` of `linux/netfilter.h`. */
const NETFILTER_FAMILY = { ipv4: 2, ipv6: 10 } as const;
const NETFILTER_HOOK = {
  pre_routing: 0,
  local_in: 1,
  forward: 2,
  local_out: 3,
  post_routing: 4,
} as const;
const NETFILTER_DEFRAGMENT = 1;
/** `BPF_CGROUP_ITER_*` of `linux/bpf.h`. */
const CGROUP_ORDER = {
  self: 1,
  descendants_first_parent: 2,
  descendants_last_parent: 3,
  ancestors: 4,
} as const;

function invalid(message: string): BpfError {
  return new BpfError({ code: "ARGUMENT", message });
}

function interfaceIndex(wanted: string | number): number {
  if (typeof wanted === "number") {
    return wanted;
  }
  const index = native.interfaceIndex(wanted);
  if (index === 0) {
    throw invalid(`interface "${wanted}": there is none of that name in this network namespace.`);
  }
  return index;
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new BpfError({ code: "ARGUMENT", message: `open ${path}: ${reason}.`, cause });
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** `0-3,8` as numbers. */
export function parseCpuList(text: string): readonly number[] {
  return text
    .trim()
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first, last = first] = part.split("-").map(Number);
      const start = first ?? 0;
      return Array.from({ length: (last ?? start) - start + 1 }, (_, index) => start + index);
    });
}

export function onlineCpus(): readonly number[] {
  return parseCpuList(readFileSync("/sys/devices/system/cpu/online", "utf8"));
}

function attachPerfEvent(request: AttachRequest, target: PerfEventTarget): readonly NativeLink[] {
  const { frequency, period, tid, cookie = 0n } = target;
  const rate = frequency ?? period ?? 0;
  if ((frequency === undefined) === (period === undefined) || rate <= 0) {
    throw invalid(`attach "${request.program}": give a frequency or a period above 0, not both.`);
  }
  const links: NativeLink[] = [];
  try {
    for (const cpu of target.cpus ?? (tid === undefined ? onlineCpus() : [-1])) {
      links.push(
        request.object.attachPerfEvent(request.program, {
          ...target.event,
          period: rate,
          isFrequency: frequency !== undefined,
          pid: tid ?? EVERY_PROCESS,
          cpu,
          cookie,
        }),
      );
    }
  } catch (cause) {
    for (const link of links) {
      link.detach();
    }
    throw cause;
  }
  return links;
}

function attachUprobe(
  { object, program, section }: AttachRequest,
  target: UprobeTarget,
): NativeLink {
  const { path, pid, cookie = 0n, symbol, referenceCounterOffset = 0 } = target;
  const offset = symbol === undefined ? target.offset : functionOffset(path, symbol).offset;
  return object.attachUprobe(program, {
    path,
    offset: offset ?? 0,
    pid: pid ?? EVERY_PROCESS,
    cookie,
    referenceCounterOffset,
    isReturn: target.isReturn ?? section.startsWith("uretprobe"),
  });
}

function attachKprobeMulti(request: AttachRequest, target: KprobeMultiTarget): NativeLink {
  const { object, program, section } = request;
  const { functions, cookies, isReturn, isSession } = target;
  return object.attachKprobeMulti(
    program,
    [...functions],
    BigUint64Array.from(cookies ?? functions.map(() => 0n)),
    isReturn ?? section.startsWith("kretprobe"),
    isSession ?? section.startsWith("kprobe.session"),
  );
}

function attachXdp({ object, program }: AttachRequest, target: XdpTarget): NativeLink {
  const flags = target.mode === undefined ? 0 : XDP_MODE[target.mode];
  return object.attachTarget(program, interfaceIndex(target.interface), flags);
}

function attachNetfilter({ object, program }: AttachRequest, target: NetfilterTarget): NativeLink {
  const { family, hook, priority, defragment = false } = target;
  return object.attachNetfilter(
    program,
    NETFILTER_FAMILY[family],
    NETFILTER_HOOK[hook],
    priority,
    defragment ? NETFILTER_DEFRAGMENT : 0,
  );
}

function attachCgroupIterator(request: AttachRequest, target: CgroupIteratorTarget): NativeLink {
  const order = CGROUP_ORDER[target.order ?? "descendants_first_parent"];
  return withFile(target.path, (fd) =>
    request.object.attachCgroupIterator(request.program, fd, order),
  );
}

/** A link to a sock map where the kernel has such (6.10 on), else a plain attachment. */
function attachSockmap({ object, program }: AttachRequest, mapFd: number): NativeLink {
  try {
    return object.attachTarget(program, mapFd, 0);
  } catch (cause) {
    const isOld = cause instanceof Error && "code" in cause && cause.code === "22";
    if (!isOld) {
      throw cause;
    }
    return object.attachDirect(program, mapFd);
  }
}

function attachOne(request: AttachRequest, target: AttachTarget): NativeLink {
  const { object, program, section } = request;
  switch (target.kind) {
    case "tracepoint":
      ensureTracefs();
      return object.attachTracepoint(program, target.category, target.name, target.cookie ?? 0n);
    case "raw_tracepoint":
      return object.attachRawTracepoint(program, target.name, target.cookie ?? 0n);
    case "trace":
      return object.attachTrace(program, target.cookie ?? 0n);
    case "kprobe": {
      const isReturn = target.isReturn ?? section.startsWith("kretprobe");
      const { offset = 0, cookie = 0n } = target;
      return object.attachKprobe(program, target.function, offset, isReturn, cookie);
    }
    case "ksyscall": {
      const isReturn = target.isReturn ?? section.startsWith("kretsyscall");
      return object.attachKsyscall(program, target.syscall, isReturn, target.cookie ?? 0n);
    }
    case "kprobe_multi":
      return attachKprobeMulti(request, target);
    case "uprobe":
      return attachUprobe(request, target);
    case "usdt": {
      const { path, provider, name, pid = EVERY_PROCESS, cookie = 0n } = target;
      return object.attachUsdt(program, pid, path, provider, name, cookie);
    }
    case "cgroup":
      return withFile(target.path, (fd) => object.attachCgroup(program, fd, target.order ?? ""));
    case "xdp":
      return attachXdp(request, target);
    case "tcx":
      return object.attachTcx(program, interfaceIndex(target.interface), target.order ?? "");
    case "netkit":
      return object.attachNetkit(program, interfaceIndex(target.interface), target.order ?? "");
    case "tc": {
      const index = interfaceIndex(target.interface);
      const { direction, handle = 0, priority = 0 } = target;
      return object.attachTc(program, index, direction === "egress", handle, priority);
    }
    case "netfilter":
      return attachNetfilter(request, target);
    case "netns":
      return withFile(target.path ?? "/proc/self/ns/net", (fd) =>
        object.attachTarget(program, fd, 0),
      );
    case "sockmap":
      return attachSockmap(request, target.map.fd);
    case "socket":
      return object.attachSocket(program, target.fd);
    case "freplace":
      return object.attachFreplace(program, target.programFd, target.function);
    case "map_iterator":
      return object.attachMapIterator(program, target.map.nativeHandle);
    case "cgroup_iterator":
      return attachCgroupIterator(request, target);
    default:
      return attachBySection(request, target.kind === undefined ? target : {});
  }
}

function attachBySection(
  { object, program, section }: AttachRequest,
  options: { readonly pid?: number; readonly tid?: number },
): NativeLink {
  const { pid = 0, tid = 0 } = options;
  if (pid !== 0 || tid !== 0) {
    return object.attachTaskIterator(program, pid, tid);
  }
  if (section.startsWith("tp/") || section.startsWith("tracepoint/")) {
    ensureTracefs();
  }
  return object.attach(program);
}

/** Attaches a program; errors are as the addon throws them. */
export function attachTo(request: AttachRequest, target: AttachTarget): Attachment {
  if (target.kind === "uprobe_multi") {
    const { link, rejected } = attachUprobeMulti(request, target);
    return { handles: [link], rejected };
  }
  if (target.kind === "perf_event") {
    return { handles: attachPerfEvent(request, target), rejected: [] };
  }
  return { handles: [attachOne(request, target)], rejected: [] };
}
