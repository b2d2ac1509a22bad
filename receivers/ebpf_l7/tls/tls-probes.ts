// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";
import {
  BpfError,
  type BpfMap,
  type Link,
  type LoadedObject,
  openObject,
  type UprobeMultiTarget,
} from "libbpf-ts";
import { LINEAGE_MAPS } from "../runtimes/runtimes.ts";
import { CALL, type TlsLibrary, type TlsProbe } from "./library.ts";

const OBJECT = new URL("../../../build/bpf/tls.bpf.o", import.meta.url);
/** Of the capturing object: the ring, what is kept of threads, and what joins the two. */
const SHARED_MAPS = [
  ...["socket_messages", "capture_counters", "thread_states", "verdicts", "port_rules"],
  ...["tls_sessions", "tls_sockets", "tls_threads", "tls_empty", "tls_go_calls"],
  ...LINEAGE_MAPS,
];
/** Programs of headers that this object shares with the capturing one. */
const PROGRAMS: readonly string[] = [
  "tls_call",
  "tls_called",
  "tls_returned",
  "tls_made",
  ...(process.arch === "x64" ? ["tls_read_ended"] : []),
  "tls_go_called",
  "tls_go_returned",
  "tls_go_made",
];

export interface TlsProbesOptions {
  /** That captures: its maps are shared. */
  readonly capture: LoadedObject;
  readonly selection: BpfMap;
  /** Of the object's global variables. */
  readonly rodata: Readonly<Record<string, number | boolean>>;
}

/** The programs of `bpf/tls.bpf.c`: loaded when they are needed, attached to libraries. */
export class TlsProbes {
  readonly #options: TlsProbesOptions;
  #loading: Promise<LoadedObject> | undefined;
  /** `uprobe.session` is there, until the kernel says otherwise. */
  #hasSessions = true;

  constructor(options: TlsProbesOptions) {
    this.#options = options;
  }

  /** Another thread verifies them. @throws BpfError when this kernel refuses them, every time. */
  load(): Promise<LoadedObject> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  /** @throws BpfError; then nothing is attached. */
  attach(
    object: LoadedObject,
    { path, pid }: { readonly path: string; readonly pid: number },
    { probes }: TlsLibrary,
  ): readonly Link[] {
    const made: Link[] = [];
    try {
      for (const [program, places] of Map.groupBy(probes, (probe) => probe.program)) {
        const targets = places.map((place) => ({ offset: place.offset, cookie: cookieOf(place) }));
        const target = { kind: "uprobe_multi", path, pid, targets } as const;
        made.push(...this.#attachOne(object, program, target));
      }
    } catch (cause) {
      for (const link of made) link.detach();
      throw cause;
    }
    return made;
  }

  close(): void {
    // What cannot be loaded has nothing to close.
    this.#loading?.then((object) => object.close()).catch(() => {});
  }

  /** Calls by one program at both ends; before Linux 6.13 by two, the end's first. */
  #attachOne(object: LoadedObject, program: string, target: UprobeMultiTarget): readonly Link[] {
    if (program !== CALL) return [object.attach(program, target)];
    if (this.#hasSessions) {
      try {
        return [object.attach(program, target)];
      } catch (cause) {
        if (!(cause instanceof BpfError) || cause.errno !== "EINVAL") throw cause;
        this.#hasSessions = false;
      }
    }
    const end = object.attach("tls_returned", target);
    try {
      return [end, object.attach("tls_called", target)];
    } catch (cause) {
      end.detach();
      throw cause;
    }
  }

  async #load(): Promise<LoadedObject> {
    const { capture, selection, rodata } = this.#options;
    const object = openObject(fileURLToPath(OBJECT));
    object.rodata.set(rodata);
    for (const name of SHARED_MAPS) object.map(name).reuse(capture.map(name));
    object.map("selected_tasks").reuse(selection);
    for (const { name } of object.programs) {
      object.program(name).setAutoload(PROGRAMS.includes(name));
    }
    return await object.loadAsync();
  }
}

function cookieOf({ call, registers = 0 }: TlsProbe): bigint {
  return (BigInt(registers) << 32n) | BigInt(call);
}
