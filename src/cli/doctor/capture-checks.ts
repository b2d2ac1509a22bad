// SPDX-License-Identifier: Apache-2.0
import type { ObjectFacts } from "./bpf-objects.ts";
import { type Finding, fallsBack, missing, unused, works } from "./finding.ts";
import type { HostFacts } from "./host.ts";
import type { Needs } from "./needs.ts";

/** Of `bpf/socket_messages.bpf.c`: without them io_uring's calls have no payload. */
const URING_PROGRAMS = ["uring_submitted", "uring_waits"];
const SLEEPS_PROGRAM = "thread_switched";
const SOCK = "socket_messages";
const SYSCALLS = "socket_syscalls";
const SELECTION = "selection";
/** Uprobes of `ebpf_l7`: without them it sees less. */
const COMPANIONS: ReadonlySet<string> = new Set(["tls", "runtimes"]);
const SETUP = "Run: npm run setup";

/** What stands against an object: programs that must be there, or a refusal. */
function obstacle(
  object: ObjectFacts | undefined,
  isOptional: (program: string) => boolean,
): { readonly why: string; readonly advice: string } | undefined {
  if (object === undefined) {
    return { why: "the compiled BPF programs are not there", advice: SETUP };
  }
  const lacking = object.missing.filter((each) => !isOptional(each.program));
  const [first] = lacking;
  if (first !== undefined) {
    return { why: first.why, advice: `It needs a kernel that has ${first.section}.` };
  }
  const { refusal } = object;
  if (refusal === undefined) return undefined;
  const advice = refusal.errno === "EPERM" ? "See Privileges." : "Report it with this output.";
  return { why: refusal.message, advice };
}

function objectNamed(host: HostFacts, name: string): ObjectFacts | undefined {
  return host.objects.find((each) => each.name === name);
}

/** The extension `discovery`. */
export function checkDiscovery(host: HostFacts, needs: Needs): readonly Finding[] {
  const [id, title] = ["discovery", "Discovery of processes and their descendants"];
  if (!needs.types.has("discovery")) return [unused(id, title)];
  const object = objectNamed(host, SELECTION);
  const against = obstacle(object, (program) => program === "process_moved");
  if (against !== undefined) return [missing(id, title, against)];
  if (object?.missing.length === 0) return [works(id, title, "its programs load")];
  return [
    fallsBack(id, title, {
      why: "a process that changes its cgroup is noticed at the next rescan only",
      advice: "Lower poll_interval if cgroups of running processes change.",
    }),
  ];
}

/** The receiver `ebpf_l7`. */
export function checkCapture(host: HostFacts, needs: Needs): readonly Finding[] {
  const titles = {
    hooks: "Capture of socket messages",
    io_uring: "Payload of io_uring's sends and receives",
    sleeps: "Sleeps on locks told from waits for events",
  };
  if (!needs.types.has("ebpf_l7")) {
    return Object.entries(titles).map(([id, title]) => unused(id, title));
  }
  const sock = objectNamed(host, SOCK);
  const hooks = checkHooks(host, needs, titles.hooks);
  const usesSock = hooks.verdict === "works" && needs.hooks !== "syscalls";
  if (hooks.verdict === "missing") {
    const lost = { why: "there is no capture", advice: "", isEssential: false };
    return [
      hooks,
      missing("io_uring", titles.io_uring, lost),
      missing("sleeps", titles.sleeps, lost),
    ];
  }
  const capture = usesSock ? sock : objectNamed(host, SYSCALLS);
  return [
    hooks,
    checkUring(usesSock ? sock : undefined, titles.io_uring),
    checkSleeps(capture, titles.sleeps),
  ];
}

function checkHooks(host: HostFacts, needs: Needs, title: string): Finding {
  const isOptional = (program: string): boolean =>
    [...URING_PROGRAMS, SLEEPS_PROGRAM].includes(program);
  const sock = obstacle(objectNamed(host, SOCK), isOptional);
  const syscalls = obstacle(objectNamed(host, SYSCALLS), isOptional);
  switch (needs.hooks) {
    case "sock":
      return sock === undefined
        ? works("hooks", title, "in the sockets (sock), as configured")
        : missing("hooks", title, { why: sock.why, advice: `${sock.advice} Or set hooks: auto.` });
    case "syscalls":
      return syscalls === undefined
        ? works("hooks", title, "at system calls (syscalls), as configured")
        : missing("hooks", title, syscalls);
    case "auto":
      if (sock === undefined) return works("hooks", title, "in the sockets (sock)");
      if (syscalls !== undefined) return missing("hooks", title, syscalls);
      return fallsBack("hooks", title, {
        why: `at system calls (syscalls), which costs more, because ${sock.why}`,
        advice: "Linux 6.3 and later have the hooks in the sockets.",
      });
  }
}

function checkUring(sock: ObjectFacts | undefined, title: string): Finding {
  const id = "io_uring";
  if (sock === undefined) {
    return missing(id, title, {
      why: "the hooks at system calls do not see io_uring",
      advice:
        "Linux 6.3 and later have hooks that do; programs that do not use io_uring lose nothing.",
      isEssential: false,
    });
  }
  const [lacking] = sock.missing.filter((each) => URING_PROGRAMS.includes(each.program));
  if (lacking === undefined) return works(id, title, "its tracepoints are there");
  return fallsBack(id, title, {
    why: `${lacking.why}: such calls are counted, without payload`,
    advice: "Linux 6.0 and later have it, if built with CONFIG_IO_URING.",
  });
}

function checkSleeps(capture: ObjectFacts | undefined, title: string): Finding {
  const lacking = capture?.missing.find((each) => each.program === SLEEPS_PROGRAM);
  if (lacking === undefined) return works("sleeps", title, "sched_switch is there");
  return fallsBack("sleeps", title, {
    why: `${lacking.why}: parents in thread pools are linked more cautiously`,
    advice: "Every kernel with BTF has it; look for a policy that hides it.",
  });
}

/** `tcp.bpf.o`, `tcp_metrics.bpf.o` and `ebpf_tcp.bpf.o` are those of `ebpf_tcp`. */
function isUsed(object: ObjectFacts, { types }: Needs): boolean {
  if (COMPANIONS.has(object.name)) return types.has("ebpf_l7");
  return [...types].some((type) => {
    const short = type.startsWith("ebpf_") ? type.slice("ebpf_".length) : type;
    return object.name === type || object.name === short || object.name.startsWith(`${short}_`);
  });
}

/** Objects that belong to further receivers: each by its own name. */
export function checkOthers(host: HostFacts, needs: Needs): readonly Finding[] {
  const known = [SOCK, SYSCALLS, SELECTION];
  return host.objects
    .filter((each) => !known.includes(each.name))
    .map((object) => {
      const id = `programs:${object.name}`;
      const title = `Programs of ${object.name}`;
      if (needs.isConfigured && !isUsed(object, needs)) return unused(id, title);
      const against = obstacle(object, () => true);
      if (against !== undefined) {
        const isEssential = isUsed(object, needs) && !COMPANIONS.has(object.name);
        return missing(id, title, { ...against, isEssential });
      }
      const [first] = object.missing;
      if (first === undefined) return works(id, title, "they load");
      const names = object.missing.map((each) => each.program).join(", ");
      return fallsBack(id, title, {
        why: `${first.why}; left out: ${names}`,
        advice: `A kernel with ${first.section} has all of it.`,
      });
    });
}
