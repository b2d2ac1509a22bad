// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import type { Link, LoadedObject } from "libbpf-ts";
import { TLS_IN_GO } from "../../../bpf/generated/wire.ts";
import type { Logger } from "../../../src/component/telemetry.ts";
import type { SelectedProcess } from "../../../src/model/process.ts";
import type { LibraryKind, TlsLibrary } from "./library.ts";
import { LibraryFinder } from "./library-finder.ts";
import { type MappedFile, mappedFiles } from "./mappings.ts";
import { TlsProbes, type TlsProbesOptions } from "./tls-probes.ts";

/** A process that is gone by then was not worth the look, which holds others up. */
const FIRST_LOOK_MS = 300;
/** When a process is looked at again: libraries are loaded late. */
const LOOK_AGAIN_MS = [300, 1000, 3000, 10_000];
const LOOK_AGAIN_MAX_MS = 30_000;
/** The kernel takes some 25 ms to take a breakpoint away; nobody shall wait for several of them. */
const DETACH_PAUSE_MS = 100;
/** Files that were looked into. */
const FILES_MAX = 4096;

export interface TlsConfig {
  readonly enabled: boolean;
  readonly openssl: boolean;
  readonly gnutls: boolean;
  readonly nss: boolean;
  readonly go: boolean;
  /** Connections that cannot be read have a span each. */
  readonly opaque_spans: boolean;
}

export interface TlsWatchOptions extends TlsProbesOptions {
  readonly config: TlsConfig;
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
  /** A look that is under way. */
  finding: Promise<void> | undefined;
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
  readonly #libraries = new Map<string, Promise<TlsLibrary | undefined>>();
  /** Of processes that are not watched any more. */
  readonly #ended: Link[] = [];
  #detaching: NodeJS.Timeout | undefined;
  readonly #finder = new LibraryFinder();
  readonly #probes: TlsProbes;
  #refusal = "";
  #attached = 0;
  #hasGo = false;

  constructor(options: TlsWatchOptions) {
    this.#options = options;
    this.#probes = new TlsProbes(options);
    const kinds = ["openssl", "gnutls", "nss", "go"] as const;
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
      ...{ timer: undefined, finding: undefined, told: "" },
    };
    this.#watched.set(process.pid, watched);
    this.#lookIn(watched, FIRST_LOOK_MS);
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

  /**
   * The process has a connection under TLS. Calls back, now or later, if its clear text is not read:
   * then nobody knows its library, also after another look.
   */
  meet(pid: number, onOpaque: () => void): void {
    const watched = this.#watched.get(pid);
    if (watched === undefined) onOpaque();
    else if (watched.links.length === 0) void this.#explain(watched, onOpaque);
  }

  close(): void {
    for (const { timer } of this.#watched.values()) clearTimeout(timer);
    clearInterval(this.#detaching);
    for (const link of this.#ended.splice(0)) link.detach();
    this.#watched.clear();
    this.#finder.close();
    this.#probes.close();
  }

  async #explain(watched: Watched, onOpaque: () => void): Promise<void> {
    await this.#find(watched);
    if (watched.links.length > 0) return;
    onOpaque();
    if (watched.told !== "" || !this.#isWatched(watched)) return;
    const reason = this.#refusal === "" ? await this.#reasonOf(watched) : this.#refusal;
    if (watched.links.length === 0 && this.#isWatched(watched)) this.#tell(watched, reason);
  }

  async #reasonOf({ process: { pid } }: Watched): Promise<string> {
    const isJava = mappedFiles(pid).some(({ name }) => name.endsWith("/libjvm.so"));
    if (isJava) return "Java: JSSE is in bytecode";
    try {
      return await this.#finder.explain(`/proc/${pid}/exe`);
    } catch (error) {
      return String(error);
    }
  }

  #isWatched(watched: Watched): boolean {
    return this.#watched.get(watched.process.pid) === watched;
  }

  #lookIn(watched: Watched, pauseMs: number): void {
    watched.timer = setTimeout(() => void this.#look(watched), pauseMs);
    watched.timer.unref();
  }

  async #look(watched: Watched): Promise<void> {
    await this.#find(watched);
    const pauseMs = LOOK_AGAIN_MS[watched.looks++] ?? LOOK_AGAIN_MAX_MS;
    if (this.#isWatched(watched)) this.#lookIn(watched, pauseMs);
  }

  #find(watched: Watched): Promise<void> {
    watched.finding ??= this.#findIn(watched).finally(() => {
      watched.finding = undefined;
    });
    return watched.finding;
  }

  /** Does not throw. */
  async #findIn(watched: Watched): Promise<void> {
    const { pid } = watched.process;
    for (const file of mappedFiles(pid)) {
      if (this.#refusal !== "" || !this.#isWatched(watched)) return;
      if (watched.files.has(file.identity)) continue;
      watched.files.add(file.identity);
      try {
        const library = await this.#libraryIn(file);
        if (library !== undefined) await this.#attach(watched, file, library);
      } catch (error) {
        if (existsSync(`/proc/${pid}`) && this.#isWatched(watched)) {
          this.#tell(watched, String(error));
        }
      }
    }
  }

  #libraryIn({ identity, path }: MappedFile): Promise<TlsLibrary | undefined> {
    const known = this.#libraries.get(identity);
    if (known !== undefined) return known;
    const found = this.#finder.find(path, this.#kinds);
    if (this.#libraries.size >= FILES_MAX) this.#libraries.clear();
    this.#libraries.set(identity, found);
    // The next process may be luckier.
    found.catch(() => this.#libraries.delete(identity));
    return found;
  }

  async #attach(watched: Watched, { path, name }: MappedFile, library: TlsLibrary): Promise<void> {
    const { pid } = watched.process;
    const object = await this.#load();
    // It may have ended meanwhile, and its number be another's.
    if (!this.#isWatched(watched)) return;
    const made = this.#probes.attach(object, { path, pid }, library);
    const { kind, probes } = library;
    if (kind === "go") this.#hasGo = true;
    if (watched.links.length === 0) this.#count(1);
    watched.links.push(...made);
    watched.probes += probes.length;
    const { logger } = this.#options;
    logger.info("TLS followed", { pid, library: name, kind, probes: probes.length });
  }

  async #load(): Promise<LoadedObject> {
    try {
      return await this.#probes.load();
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
