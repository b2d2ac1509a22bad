// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  BpfError,
  type BpfMap,
  hasTracepoint,
  type LoadedObject,
  type MappedMemory,
  NotSupportedError,
  type OnRecord,
  openObject,
  type RingReader,
} from "libbpf-ts";
import { DROP_REASONS, NO_PAYLOAD_REASONS } from "../../bpf/generated/codes.ts";
import {
  CAPTURE_COUNTERS_ANNOUNCE_GENERATION,
  CAPTURE_COUNTERS_BYTES,
  CAPTURE_COUNTERS_BYTES_CAPTURED,
  CAPTURE_COUNTERS_BYTES_SEEN,
  CAPTURE_COUNTERS_CAPTURED,
  CAPTURE_COUNTERS_CLOSES,
  CAPTURE_COUNTERS_CLOSES_LOST,
  CAPTURE_COUNTERS_CONNECTIONS,
  CAPTURE_COUNTERS_DROPPED,
  CAPTURE_COUNTERS_FOLLOWS_RUNTIMES,
  CAPTURE_COUNTERS_FOLLOWS_TLS,
  CAPTURE_COUNTERS_MARKERS,
  CAPTURE_COUNTERS_NO_PAYLOAD,
  CAPTURE_COUNTERS_SEEN,
  CAPTURE_COUNTERS_SHED_PER_MILLE,
  PORT_DATAGRAMS,
  TLS_IN_JAVA,
  WIRE_VERDICT_BYTES,
  WIRE_VERDICT_LOCAL_START,
  WIRE_VERDICT_PROTOCOL,
} from "../../bpf/generated/wire.ts";
import type { RefusedProbe } from "../../src/component/agent-view.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Logger } from "../../src/component/telemetry.ts";
import type { Protocol } from "../../src/model/protocol.ts";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import type { EbpfL7Config } from "./config.ts";
import type { RingMemory } from "./decode.ts";
import { disabledInKernel, portRules } from "./protocol-rules.ts";
import { Runtimes } from "./runtimes/runtimes.ts";
import { TlsWatch } from "./tls/tls-watch.ts";

const OBJECTS = new URL("../../build/bpf/", import.meta.url);
const SYSFS_BTF = "/sys/kernel/btf/vmlinux";

/** Without these io_uring's sends and receives have no payload. */
const URING_PROGRAMS = [
  ["uring_submitted", "io_uring_submit_req"],
  ["uring_waits", "io_uring_poll_arm"],
] as const;

/** Attached to the cgroup tree where datagrams are captured. */
const DATAGRAM_PROGRAMS: readonly string[] = [
  "datagram_from_v4",
  "datagram_from_v6",
  "datagram_socket_closed",
];

/** Runs at every context switch of the machine: attached only when it is of use. */
const SLEEPS_PROGRAM = "thread_switched";

/** The kernel's own account since the start; see `struct capture_counters` in wire.h. */
export interface CaptureCounts {
  readonly seen: number;
  readonly captured: number;
  readonly bytesSeen: number;
  readonly bytesCaptured: number;
  readonly connections: number;
  readonly markers: number;
  readonly closes: number;
  readonly closesLost: number;
  /** By the index of `DROP_REASONS`. */
  readonly dropped: readonly number[];
  /** By the index of `NO_PAYLOAD_REASONS`. */
  readonly noPayload: readonly number[];
}

/** What the receiver needs of the kernel; a fake in tests. */
export interface CaptureSource {
  readonly memory: RingMemory;
  readonly ringBytes: number;
  readonly hooks: "sock" | "syscalls";
  pendingBytes(): number;
  drain(onRecord: OnRecord, recordsMax: number): number;
  counts(): CaptureCounts;
  /** Share of connections not captured, 0 to 1000. */
  setShedPerMille(shed: number): void;
  /** Makes the kernel announce every connection again, at its next call. */
  announceAgain(): void;
  /** What user space decided of an undetermined connection; see `struct wire_verdict` in wire.h. */
  decide(socket: number, localStart: number, wireProtocol: number): void;
  /** From now on records tell a sleep on a lock from a wait for events. May be called again. */
  watchSleeps(): void;
  /** Follows requests inside processes by their language runtimes, until `close`. */
  /** Reads the clear text of processes by their TLS libraries, until `close`. */
  watchTls?(config: EbpfL7Config, logger: Logger): TlsWatcher;
  followRuntimes?(
    config: EbpfL7Config,
    logger: Logger,
  ): Pick<Runtimes, "follow" | "forget" | "seesTls">;
  /** Optional programs that this machine does not allow. */
  missingPrograms?(): readonly RefusedProbe[];
  close(): void;
}

export type TlsWatcher = Pick<TlsWatch, "follow" | "forget" | "meet" | "processes" | "probes">;

/** The programs of `bpf/socket_messages.bpf.c` or `bpf/socket_syscalls.bpf.c`, attached. */
export class BpfCapture implements CaptureSource {
  readonly #object: LoadedObject;
  readonly #ring: RingReader;
  readonly #counters: MappedMemory;
  readonly #verdicts: BpfMap;
  readonly #verdictKey = new DataView(new ArrayBuffer(8));
  readonly #verdictValue = new DataView(new ArrayBuffer(WIRE_VERDICT_BYTES));
  readonly hooks: "sock" | "syscalls";
  readonly #selection: BpfMap;
  readonly #missing: readonly RefusedProbe[];
  #generation = 0;
  #watchesSleeps = false;
  #runtimes: Runtimes | undefined;
  #tls: TlsWatch | undefined;
  #tlsCount = 0;
  #jvms = 0;

  constructor(
    object: LoadedObject,
    selection: BpfMap,
    { hooks, missing }: Pick<BpfCapture, "hooks"> & { missing: readonly RefusedProbe[] },
  ) {
    this.#object = object;
    this.#selection = selection;
    this.#missing = missing;
    this.hooks = hooks;
    this.#ring = object.ring("socket_messages");
    this.#verdicts = object.map("verdicts");
    this.#counters = object.map("capture_counters").mmap({ writable: true });
  }

  /** @throws AgentError when this kernel or this user may not do what is needed. */
  static load(
    config: EbpfL7Config,
    selection: BpfMap,
    protocols: readonly Protocol[] = PROTOCOLS,
  ): BpfCapture {
    const hooks = chooseHooks(config.hooks);
    const file = hooks === "sock" ? "socket_messages.bpf.o" : "socket_syscalls.bpf.o";
    const path = fileURLToPath(new URL(file, OBJECTS));
    if (!existsSync(path)) {
      throw new AgentError("BS_START", `ebpf_l7: ${path} is missing. Run: npm run setup`);
    }
    try {
      const object = loadObject({ path, config, selection, hooks, protocols });
      return new BpfCapture(object, selection, { hooks, missing: missingPrograms(config, hooks) });
    } catch (cause) {
      throw toAgentError(cause);
    }
  }

  get memory(): RingMemory {
    return this.#ring;
  }

  get ringBytes(): number {
    return this.#ring.size;
  }

  /** For measurements: BPF run time by program. */
  get object(): LoadedObject {
    return this.#object;
  }

  pendingBytes(): number {
    return this.#ring.pendingBytes();
  }

  drain(onRecord: OnRecord, recordsMax: number): number {
    return this.#ring.drain(onRecord, recordsMax);
  }

  counts(): CaptureCounts {
    const { view } = this.#counters;
    const sum = (field: number): number => {
      let total = 0;
      for (let at = field; at + 8 <= view.byteLength; at += CAPTURE_COUNTERS_BYTES) {
        total += Number(view.getBigUint64(at, true));
      }
      return total;
    };
    return {
      seen: sum(CAPTURE_COUNTERS_SEEN),
      captured: sum(CAPTURE_COUNTERS_CAPTURED),
      bytesSeen: sum(CAPTURE_COUNTERS_BYTES_SEEN),
      bytesCaptured: sum(CAPTURE_COUNTERS_BYTES_CAPTURED),
      connections: sum(CAPTURE_COUNTERS_CONNECTIONS),
      markers: sum(CAPTURE_COUNTERS_MARKERS),
      closes: sum(CAPTURE_COUNTERS_CLOSES),
      closesLost: sum(CAPTURE_COUNTERS_CLOSES_LOST),
      dropped: DROP_REASONS.map((_, index) => sum(CAPTURE_COUNTERS_DROPPED + 8 * index)),
      noPayload: NO_PAYLOAD_REASONS.map((_, index) => sum(CAPTURE_COUNTERS_NO_PAYLOAD + 8 * index)),
    };
  }

  setShedPerMille(shed: number): void {
    this.#setKnob(CAPTURE_COUNTERS_SHED_PER_MILLE, shed);
  }

  announceAgain(): void {
    this.#generation = (this.#generation + 1) >>> 0;
    this.#setKnob(CAPTURE_COUNTERS_ANNOUNCE_GENERATION, this.#generation);
  }

  decide(socket: number, localStart: number, wireProtocol: number): void {
    const [key, value] = [this.#verdictKey, this.#verdictValue];
    key.setBigUint64(0, BigInt(socket), true);
    value.setUint32(WIRE_VERDICT_LOCAL_START, localStart, true);
    value.setUint32(WIRE_VERDICT_PROTOCOL, wireProtocol, true);
    this.#verdicts.set(new Uint8Array(key.buffer), new Uint8Array(value.buffer));
  }

  /** The same on every CPU. */
  #setKnob(field: number, value: number): void {
    const { view } = this.#counters;
    for (let at = field; at + 4 <= view.byteLength; at += CAPTURE_COUNTERS_BYTES) {
      view.setUint32(at, value, true);
    }
  }

  watchSleeps(): void {
    if (this.#watchesSleeps) return;
    this.#object.attach(SLEEPS_PROGRAM);
    this.#watchesSleeps = true;
  }

  followRuntimes(config: EbpfL7Config, logger: Logger): Runtimes {
    this.#runtimes = new Runtimes({
      ...{ config: config.runtimes, java: config.java, rodata: clearTextRodata(config) },
      ...{ logger, capture: this.#object, selection: this.#selection },
      onCount: (count) => this.#setKnob(CAPTURE_COUNTERS_FOLLOWS_RUNTIMES, count),
      onJvms: (count) => {
        this.#jvms = count > 0 ? TLS_IN_JAVA + count : 0;
        this.#setKnob(CAPTURE_COUNTERS_FOLLOWS_TLS, this.#tlsCount + this.#jvms);
      },
    });
    return this.#runtimes;
  }

  watchTls(config: EbpfL7Config, logger: Logger): TlsWatcher {
    this.#tls = new TlsWatch({
      ...{ config: config.tls, logger, capture: this.#object, selection: this.#selection },
      rodata: clearTextRodata(config),
      onCount: (count) => {
        this.#tlsCount = count;
        this.#setKnob(CAPTURE_COUNTERS_FOLLOWS_TLS, count + this.#jvms);
      },
    });
    return this.#tls;
  }

  missingPrograms(): readonly RefusedProbe[] {
    return this.#missing;
  }

  /** Detaches and frees. */
  close(): void {
    this.#tls?.close();
    this.#runtimes?.close();
    this.#ring.close();
    this.#counters.close();
    this.#object.close();
  }
}

/** Global variables of the objects that see clear text. */
function clearTextRodata(config: EbpfL7Config): Readonly<Record<string, number | boolean>> {
  return {
    capture_bytes_max: config.capture_bytes,
    protocols_disabled: disabledInKernel(config.protocols, PROTOCOLS),
    has_port_rules: portRules(config.protocols, PROTOCOLS).size > 0,
  };
}

function chooseHooks(wanted: EbpfL7Config["hooks"]): "sock" | "syscalls" {
  if (!existsSync(SYSFS_BTF)) {
    throw new AgentError(
      "BS_KERNEL_UNSUPPORTED",
      `ebpf_l7: this kernel has no type information (${SYSFS_BTF}). ` +
        "Use a kernel built with CONFIG_DEBUG_INFO_BTF=y, Linux 5.8 or later.",
    );
  }
  if (wanted === "syscalls") return "syscalls";
  if (hasTracepoint("sock_send_length") && hasTracepoint("sock_recv_length")) return "sock";
  if (wanted === "auto") return "syscalls";
  throw new AgentError(
    "BS_KERNEL_UNSUPPORTED",
    "ebpf_l7: hooks: sock: this kernel has no tracepoint sock_send_length (Linux 6.3 has). " +
      "Set hooks: auto.",
  );
}

/** What a newer kernel or another set-up would have. */
function missingPrograms(
  config: EbpfL7Config,
  hooks: "sock" | "syscalls",
): readonly RefusedProbe[] {
  if (hooks === "syscalls") {
    if (config.hooks === "syscalls") return [];
    const reason =
      "This kernel has no such tracepoint (Linux 6.3 has). System calls are watched instead: what " +
      "io_uring moves is not seen";
    return [{ name: "sock_send_length, sock_recv_length", reason }];
  }
  const missing = URING_PROGRAMS.filter(([, tracepoint]) => !hasTracepoint(tracepoint)).map(
    ([name, tracepoint]) => ({
      name,
      reason: `This kernel has no tracepoint ${tracepoint}: io_uring's calls have no payload`,
    }),
  );
  const rules = [...portRules(config.protocols, PROTOCOLS).values()];
  if (!rules.some((rule) => (rule & PORT_DATAGRAMS) !== 0)) return missing;
  if (cgroupMount() !== undefined) return missing;
  const reason = "No cgroup2 tree is mounted: datagrams do not say from whom they came";
  return [...missing, { name: DATAGRAM_PROGRAMS.join(", "), reason }];
}

interface LoadOptions {
  readonly path: string;
  readonly config: EbpfL7Config;
  readonly selection: BpfMap;
  readonly hooks: "sock" | "syscalls";
  readonly protocols: readonly Protocol[];
}

function loadObject(options: LoadOptions): LoadedObject {
  const object = openObject(options.path);
  const { protocols } = options.config;
  const rules = portRules(protocols, options.protocols);
  const capturesDatagrams = [...rules.values()].some((rule) => (rule & PORT_DATAGRAMS) !== 0);
  object.rodata.set({
    capture_bytes_max: options.config.capture_bytes,
    protocols_disabled: disabledInKernel(protocols, options.protocols),
    has_port_rules: [...rules.values()].some((rule) => (rule & ~PORT_DATAGRAMS) !== 0),
    captures_datagrams: capturesDatagrams,
  });
  object.map("socket_messages").setMaxEntries(options.config.ring_size);
  object.map("capture_counters").setMaxEntries(possibleCpus());
  object.map("selected_tasks").reuse(options.selection);
  if (options.hooks === "syscalls") {
    object.map("socket_states").setMaxEntries(options.config.max_connections);
  } else {
    for (const [program, tracepoint] of URING_PROGRAMS) {
      object.program(program).setAutoload(hasTracepoint(tracepoint));
    }
    for (const name of DATAGRAM_PROGRAMS) object.program(name).setAutoload(capturesDatagrams);
  }
  const loaded = object.load();
  try {
    const ports = loaded.map("port_rules");
    for (const [port, rule] of rules) ports.set(uint32(port), uint32(rule));
    for (const { name } of loaded.programs) {
      if (name !== SLEEPS_PROGRAM && !DATAGRAM_PROGRAMS.includes(name)) loaded.attach(name);
    }
    if (options.hooks === "sock" && capturesDatagrams) attachDatagramPrograms(loaded);
    return loaded;
  } catch (cause) {
    loaded.close();
    throw cause;
  }
}

/**
 * Without them a receive on an unconnected socket does not say from whom the datagram came, and
 * nothing tells that a socket is closed.
 */
function attachDatagramPrograms(loaded: LoadedObject): void {
  const path = cgroupMount();
  if (path === undefined) return;
  for (const name of DATAGRAM_PROGRAMS) loaded.attach(name, { kind: "cgroup", path });
}

/** Where the kernel's cgroup2 tree is mounted. */
function cgroupMount(): string | undefined {
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, path, type] = line.split(" ");
    if (type === "cgroup2") return path;
  }
  return undefined;
}

function uint32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}

/** CPUs that may ever be there: the programs count by CPU number. */
function possibleCpus(): number {
  const list = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return Math.max(...list.split(/[,-]/).map((part) => Number.parseInt(part, 10))) + 1;
}

function toAgentError(cause: unknown): unknown {
  if (!(cause instanceof BpfError)) return cause;
  const isRefused = cause.errno === "EPERM" || cause.errno === "EACCES";
  if (isRefused && process.geteuid?.() !== 0) {
    const advice = "Run as root, or give CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE.";
    return new AgentError("BS_PRIVILEGE", `ebpf_l7: ${cause.message} ${advice}`, { cause });
  }
  const unsupported = cause instanceof NotSupportedError;
  const code = unsupported ? "BS_KERNEL_UNSUPPORTED" : isRefused ? "BS_PRIVILEGE" : "BS_START";
  return new AgentError(code, `ebpf_l7: ${cause.message}`, { cause });
}
