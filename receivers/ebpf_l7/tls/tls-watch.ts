// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  BpfError,
  type BpfMap,
  type Link,
  type LoadedObject,
  openObject,
  type UprobeMultiTarget,
} from "libbpf-ts";
import { TLS_IN_GO } from "../../../bpf/generated/wire.ts";
import type { Logger } from "../../../src/component/telemetry.ts";
import type { SelectedProcess } from "../../../src/model/process.ts";
import { LINEAGE_MAPS } from "../runtimes/runtimes.ts";
import { CALL, findLibrary, type LibraryKind, type TlsLibrary, type TlsProbe } from "./library.ts";
import { type MappedFile, mappedFiles } from "./mappings.ts";

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
/** A process that is gone by then was not worth the look, which holds others up. */
const FIRST_LOOK_MS = 300;
/** When a process is looked at again: libraries are loaded late. */
const LOOK_AGAIN_MS = [300, 1000, 3000, 10_000, 30_000];
/** The kernel takes some 25 ms to take a breakpoint away; nobody shall wait for several of them. */
const DETACH_PAUSE_MS = 100;
/** Files that were looked into. */
const FILES_MAX = 4096;

export interface TlsConfig {
  readonly enabled: boolean;
  readonly openssl: boolean;
  readonly gnutls: boolean;
  readonly go: boolean;
}

export interface TlsWatchOptions {
  readonly config: TlsConfig;
  /** That captures: its maps are shared. */
  readonly capture: LoadedObject;
  readonly selection: BpfMap;
  /** Of the object's global variables. */
  readonly rodata: Readonly<Record<string, number | boolean>>;
  /** How many processes are watched. */
  readonly onCount: (processes: number) => void;
  readonly logger: Logger;
}

/** A process whose libraries are looked for, or found. */
interface Watched {
  readonly process: SelectedProcess;
  readonly links: Link[];
  /** Identities of files that are probed or cannot be. */
  readonly files: Set<string>;
  probes: number;
  looks: number;
  timer: NodeJS.Timeout | undefined;
  /** Why its TLS cannot be seen, as logged. */
  told: string;
}

/**
 * Reads the clear text of selected processes where their TLS libraries take and give it: finds the
 * libraries among what the process maps and attaches uprobes to them, for this process only.
 */
export class TlsWatch {
  readonly #options: TlsWatchOptions;
  readonly #kinds: ReadonlySet<LibraryKind>;
  readonly #watched = new Map<number, Watched>();
  readonly #libraries = new Map<string, TlsLibrary | undefined>();
  /** Of processes that are not watched any more. */
  readonly #ended: Link[] = [];
  #detaching: NodeJS.Timeout | undefined;
  #object: LoadedObject | undefined;
  #refusal = "";
  #attached = 0;
  #hasGo = false;
  /** `uprobe.session` is there, until the kernel says otherwise. */
  #hasSessions = true;

  constructor(options: TlsWatchOptions) {
    this.#options = options;
    const kinds = ["openssl", "gnutls", "go"] as const;
    this.#kinds = new Set(kinds.filter((kind) => options.config[kind]));
  }

  /** Processes whose clear text is read. */
  get processes(): number {
    return this.#attached;
  }

  /** Places where a breakpoint was put, of all processes. */
  get probes(): number {
    let sum = 0;
    for (const { probes } of this.#watched.values()) sum += probes;
    return sum;
  }

  follow(process: SelectedProcess): void {
    this.forget(process);
    if (!this.#options.config.enabled) return;
    const watched: Watched = {
      ...{ process, links: [], files: new Set<string>(), probes: 0, looks: 0 },
      ...{ timer: undefined, told: "" },
    };
    this.#watched.set(process.pid, watched);
    watched.timer = setTimeout(() => this.#look(watched), FIRST_LOOK_MS);
    watched.timer.unref();
  }

  forget({ pid }: SelectedProcess): void {
    const watched = this.#watched.get(pid);
    if (watched === undefined) return;
    this.#watched.delete(pid);
    clearTimeout(watched.timer);
    if (watched.links.length === 0) return;
    this.#ended.push(...watched.links);
    this.#detaching ??= setInterval(() => this.#detachOne(), DETACH_PAUSE_MS).unref();
    this.#count(-1);
  }

  #detachOne(): void {
    this.#ended.shift()?.detach();
    if (this.#ended.length > 0) return;
    clearInterval(this.#detaching);
    this.#detaching = undefined;
  }

  /** The process has a connection under TLS: is its clear text read? Looks again if not. */
  sees(pid: number): boolean {
    const watched = this.#watched.get(pid);
    if (watched === undefined) return false;
    if (watched.links.length === 0) this.#find(watched);
    if (watched.links.length > 0) return true;
    const reason = this.#refusal === "" ? "no known TLS library with symbols" : this.#refusal;
    this.#tell(watched, reason);
    return false;
  }

  close(): void {
    for (const { timer } of this.#watched.values()) clearTimeout(timer);
    clearInterval(this.#detaching);
    for (const link of this.#ended.splice(0)) link.detach();
    this.#watched.clear();
    this.#object?.close();
  }

  #look(watched: Watched): void {
    this.#find(watched);
    const pauseMs = LOOK_AGAIN_MS[watched.looks++] ?? LOOK_AGAIN_MS.at(-1);
    watched.timer = setTimeout(() => this.#look(watched), pauseMs);
    watched.timer.unref();
  }

  #find(watched: Watched): void {
    if (this.#refusal !== "") return;
    const { pid } = watched.process;
    for (const file of mappedFiles(pid)) {
      if (watched.files.has(file.identity)) continue;
      watched.files.add(file.identity);
      try {
        const library = this.#libraryIn(file);
        if (library !== undefined) this.#attach(watched, file, library);
      } catch (error) {
        if (existsSync(`/proc/${pid}`)) this.#tell(watched, String(error));
      }
    }
  }

  #libraryIn(file: MappedFile): TlsLibrary | undefined {
    const { identity, path } = file;
    const known = this.#libraries.get(identity);
    if (known !== undefined || this.#libraries.has(identity)) return known;
    const found = findLibrary(path, this.#kinds);
    if (this.#libraries.size >= FILES_MAX) this.#libraries.clear();
    this.#libraries.set(identity, found);
    return found;
  }

  #attach(watched: Watched, { path, name }: MappedFile, { kind, probes }: TlsLibrary): void {
    const { pid } = watched.process;
    this.#object ??= this.#load();
    const made: Link[] = [];
    try {
      for (const [program, places] of Map.groupBy(probes, (probe) => probe.program)) {
        const targets = places.map((place) => ({ offset: place.offset, cookie: cookieOf(place) }));
        const target = { kind: "uprobe_multi", path, pid, targets } as const;
        made.push(...this.#attachOne(this.#object, program, target));
      }
    } catch (cause) {
      for (const link of made) link.detach();
      throw cause;
    }
    if (kind === "go") this.#hasGo = true;
    if (watched.links.length === 0) this.#count(1);
    watched.links.push(...made);
    watched.probes += probes.length;
    const { logger } = this.#options;
    logger.info("TLS followed", { pid, library: name, kind, probes: probes.length });
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

  #load(): LoadedObject {
    const { capture, selection, rodata } = this.#options;
    try {
      const object = openObject(fileURLToPath(OBJECT));
      object.rodata.set(rodata);
      for (const name of SHARED_MAPS) object.map(name).reuse(capture.map(name));
      object.map("selected_tasks").reuse(selection);
      for (const { name } of object.programs) {
        object.program(name).setAutoload(PROGRAMS.includes(name));
      }
      return object.load();
    } catch (cause) {
      this.#refusal = String(cause);
      throw cause;
    }
  }

  #count(change: number): void {
    this.#attached += change;
    this.#options.onCount(this.#attached + (this.#hasGo ? TLS_IN_GO : 0));
  }

  #tell(watched: Watched, reason: string): void {
    if (watched.told === reason) return;
    watched.told = reason;
    const { pid, serviceName } = watched.process;
    this.#options.logger.warn("TLS is opaque: no spans of its connections", {
      ...{ pid, service: serviceName, reason },
    });
  }
}

function cookieOf({ call, registers = 0 }: TlsProbe): bigint {
  return (BigInt(registers) << 32n) | BigInt(call);
}
