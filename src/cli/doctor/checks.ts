// SPDX-License-Identifier: Apache-2.0
import type { ProbeResult } from "libbpf-ts";
import type { ObjectFacts } from "./bpf-objects.ts";
import { checkCapture, checkDiscovery, checkOthers } from "./capture-checks.ts";
import { type Finding, fallsBack, missing, unused, works } from "./finding.ts";
import type { Attempt, HostFacts } from "./host.ts";
import type { Needs } from "./needs.ts";

const MIB = 1024 * 1024;
/** Measured: 95 to 200 MiB resident, with the rings; see README.md. */
const MEMORY_NEEDED_BYTES = 128 * MIB;
const MEMORY_COMFORTABLE_BYTES = 384 * MIB;
/** Before it, BPF memory counted as locked memory. */
const FIRST_WITHOUT_MEMLOCK = [5, 11] as const;

/** Judges what was found on a host by what is needed of it. Pure. */
export function judge(host: HostFacts, needs: Needs): readonly Finding[] {
  const usesBpf = isBpfUsed(host.objects, needs);
  return [
    ...(usesBpf ? checkKernel(host, needs) : [unused("kernel", "Kernel features")]),
    ...checkDiscovery(host, needs),
    ...checkCapture(host, needs),
    ...checkOthers(host, needs),
    checkProc(host, needs),
    checkContainers(host, needs),
    checkMemory(host, needs),
    ...host.listens.map((each) => checkListen(each, needs)),
    ...host.connects.map(checkConnect),
  ];
}

/** Components whose type begins so load programs of their own. */
function isBpfUsed(objects: readonly ObjectFacts[], needs: Needs): boolean {
  const types = [...needs.types];
  return types.some(
    (type) =>
      type === "discovery" || type.startsWith("ebpf_") || objects.some(({ name }) => name === type),
  );
}

function checkKernel(host: HostFacts, needs: Needs): readonly Finding[] {
  const { kernel } = host;
  return [
    checkPrivileges(host),
    probed("btf", "Kernel type information (BTF)", kernel.btf),
    probed("tracing", "BTF tracepoints", kernel.tracing),
    probed("ring_buffer", "Ring buffer", kernel.ringBuffer),
    probed("task_storage", "Marks on threads (task local storage)", kernel.taskStorage),
    checkLockdown(host),
    checkLockedMemory(host, needs),
  ];
}

function probed(id: string, title: string, result: ProbeResult): Finding {
  if (result.isSupported) return works(id, title, "works");
  return missing(id, title, { why: result.errno ?? "refused", advice: result.advice });
}

function checkPrivileges({ kernel, userId }: HostFacts): Finding {
  const { bpf, perfmon, sysAdmin, sysPtrace } = kernel.capabilities;
  const [id, title] = ["privileges", "Privileges"];
  if (!((bpf && perfmon) || sysAdmin)) {
    const why = `user ${userId} has ${bpf || perfmon ? "not both" : "neither"} of CAP_BPF and CAP_PERFMON`;
    const advice =
      "Run as root, or give CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE (systemd: AmbientCapabilities=; containers: cap_add).";
    return missing(id, title, { why, advice });
  }
  if (!sysPtrace && userId !== 0) {
    return fallsBack(id, title, {
      why: "without CAP_SYS_PTRACE the programs of other users' processes cannot be read",
      advice: "Give CAP_SYS_PTRACE, or select targets by ports or container.",
    });
  }
  return works(id, title, bpf && perfmon ? "CAP_BPF and CAP_PERFMON" : "CAP_SYS_ADMIN");
}

function checkLockdown({ kernel }: HostFacts): Finding {
  const [id, title] = ["lockdown", "Kernel lockdown"];
  if (kernel.lockdown !== "confidentiality") {
    return works(id, title, kernel.lockdown === "unknown" ? "none reported" : kernel.lockdown);
  }
  return missing(id, title, {
    why: "confidentiality: programs may not read what the kernel holds",
    advice: "Boot with lockdown=integrity, or without lockdown.",
  });
}

function checkLockedMemory({ kernel }: HostFacts, needs: Needs): Finding {
  const [id, title] = ["locked_memory", "Limit of locked memory"];
  const [major = 0, minor = 0] = kernel.release.split(".").map(Number);
  const isOld =
    major < FIRST_WITHOUT_MEMLOCK[0] ||
    (major === FIRST_WITHOUT_MEMLOCK[0] && minor < FIRST_WITHOUT_MEMLOCK[1]);
  if (!isOld) return works(id, title, "this kernel does not count BPF memory against it");
  const neededBytes = 2 * needs.ringBytes + 16 * MIB;
  if (kernel.capabilities.sysResource || kernel.memlockBytes >= neededBytes) {
    return works(id, title, "enough, or may be raised");
  }
  return missing(id, title, {
    why: `${mebibytes(kernel.memlockBytes)} for programs and maps, which need ${mebibytes(neededBytes)}`,
    advice:
      "Raise it (ulimit -l unlimited, systemd: LimitMEMLOCK=infinity), or give CAP_SYS_RESOURCE.",
  });
}

function checkProc({ proc, userId }: HostFacts, needs: Needs): Finding {
  const [id, title] = ["proc", "Other processes in /proc"];
  if (!needs.types.has("discovery")) return unused(id, title);
  if (proc.processes === 0) {
    const advice = "Mount procfs: mount -t proc proc /proc.";
    return missing(id, title, { why: "/proc shows no process", advice });
  }
  if (!proc.isWholeHost) {
    return fallsBack(id, title, {
      why: "this is a pid namespace of its own: only processes inside of it are found",
      advice: "To watch the whole host, run with the host's (hostPID: true, --pid=host).",
    });
  }
  if (proc.refused > 0) {
    return fallsBack(id, title, {
      why: `the programs of ${proc.refused} of ${proc.processes} processes may not be read`,
      advice:
        userId === 0
          ? "A policy of this host protects them; select such processes by ports or container."
          : "Run as root or with CAP_SYS_PTRACE; a mount option hidepid= of /proc also hides them.",
    });
  }
  return works(id, title, `${proc.processes} processes, all readable`);
}

function checkContainers({ runtimeFolders }: HostFacts, needs: Needs): Finding {
  const [id, title] = ["containers", "Names of containers"];
  if (!needs.types.has("discovery") || !needs.usesContainers) return unused(id, title);
  const readable = runtimeFolders.filter((each) => each.isReadable).map((each) => each.path);
  const hidden = runtimeFolders.filter((each) => !each.isReadable).map((each) => each.path);
  if (hidden.length > 0) {
    return fallsBack(id, title, {
      why: `${hidden.join(", ")} cannot be read: containers are known by id only`,
      advice: "Run as root, or give the agent read access to these folders.",
    });
  }
  if (readable.length > 0) return works(id, title, readable.join(", "));
  if (!needs.isConfigured) return works(id, title, "no container runtime keeps files on this host");
  return fallsBack(id, title, {
    why: "no container runtime's folder is here: containers are known by id only",
    advice: "In a container, mount /var/lib/docker/containers or /run/containerd read-only.",
  });
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}

function checkMemory({ memory }: HostFacts, needs: Needs): Finding {
  const [id, title] = ["memory", "Memory"];
  const { availableBytes, limitBytes } = memory;
  const bytes = Math.min(availableBytes, limitBytes);
  const what =
    limitBytes < availableBytes
      ? `the control group allows ${mebibytes(limitBytes)}`
      : `${mebibytes(availableBytes)} are available`;
  const advice = "Give more, or lower ring_size and the limits of memory_limiter and queues.";
  if (bytes < MEMORY_NEEDED_BYTES + needs.ringBytes) {
    return missing(id, title, { why: `${what}; the agent needs 128 MiB and its rings`, advice });
  }
  if (bytes < MEMORY_COMFORTABLE_BYTES + needs.ringBytes) {
    const why = `${what}: enough for small loads`;
    return fallsBack(id, title, { why, advice });
  }
  return works(id, title, what);
}

function checkListen({ place, failure }: Attempt, needs: Needs): Finding {
  const { owner, host, port } = place;
  const id = `listen:${owner}:${port}`;
  const title = `Port ${host}:${port} of ${owner}`;
  if (failure === undefined) return works(id, title, "free");
  const why =
    failure === "EADDRINUSE" ? "another program listens there" : `cannot be opened: ${failure}`;
  const advice = listenAdvice(failure);
  return missing(id, title, { why, advice, isEssential: needs.isConfigured });
}

function listenAdvice(failure: string): string {
  switch (failure) {
    case "EADDRINUSE":
      return "Set another endpoint, or stop that program; perhaps an agent runs already.";
    case "EACCES":
      return "Set a port from 1024 on, or give CAP_NET_BIND_SERVICE.";
    default:
      return "Set an endpoint whose address this host has.";
  }
}

function checkConnect({ place, failure }: Attempt): Finding {
  const { owner, host, port } = place;
  const id = `connect:${owner}`;
  const title = `Destination ${host}:${port} of ${owner}`;
  if (failure === undefined) return works(id, title, "answers");
  return fallsBack(id, title, {
    why: `cannot be reached: ${failure}`,
    advice:
      "Until it answers, data waits in the sending queue; check the endpoint and the network.",
  });
}
