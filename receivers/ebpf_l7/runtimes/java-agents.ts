// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type BpfMap, type Link, type LoadedObject, openObject } from "libbpf-ts";
import { RUNTIME_JAVA } from "../../../bpf/generated/wire.ts";
import type { Logger } from "../../../src/component/telemetry.ts";
import type { SelectedProcess } from "../../../src/model/process.ts";
import type { MappedFile } from "../tls/mappings.ts";
import { channelOffset, type JavaAgent, javaLibrary, loadJavaAgent } from "./java.ts";
import { AttachLater } from "./java-attach.ts";
import { encodePlan } from "./plan.ts";

const OBJECT = new URL("../../../build/bpf/java.bpf.o", import.meta.url);
const PROGRAM = "java_told";
/** When a process is looked at: a JVM's libraries are there soon after its start. */
const LOOK_MS = [300, 300, 700, 2000, 5000, 10_000];

/** Options of the agent that is loaded into JVMs. */
export interface JavaConfig {
  readonly attach: boolean;
}

export interface JavaAgentsOptions {
  readonly config: JavaConfig;
  /** That captures: its maps are shared. */
  readonly capture: LoadedObject;
  readonly selection: BpfMap;
  /** Maps that both objects have. */
  readonly sharedMaps: readonly string[];
  /** Of the object's global variables. */
  readonly rodata: Readonly<Record<string, number | boolean>>;
  /** How many JVMs have the agent. */
  readonly onCount: (count: number) => void;
  readonly logger: Logger;
}

interface Followed {
  readonly process: SelectedProcess;
  looks: number;
  timer: NodeJS.Timeout | undefined;
  link: Link | undefined;
  agent: JavaAgent | undefined;
  isEnded: boolean;
}

/** Loads our agent into selected JVMs where the configuration asks for it, and takes it out again. */
export class JavaAgents {
  readonly #options: JavaAgentsOptions;
  readonly #followed = new Map<number, Followed>();
  #object: LoadedObject | undefined;
  #refusal = "";
  #linked = 0;

  constructor(options: JavaAgentsOptions) {
    this.#options = options;
  }

  follow(process: SelectedProcess): void {
    this.forget(process);
    if (!this.#options.config.attach || this.#refusal !== "") return;
    const followed: Followed = {
      ...{ process, looks: 0, timer: undefined },
      ...{ link: undefined, agent: undefined, isEnded: false },
    };
    this.#followed.set(process.pid, followed);
    this.#lookLater(followed);
  }

  forget({ pid }: SelectedProcess): void {
    const followed = this.#followed.get(pid);
    if (followed === undefined) return;
    this.#followed.delete(pid);
    this.#end(followed);
  }

  /** Our agent is in that process. */
  has(pid: number): boolean {
    return this.#followed.get(pid)?.agent !== undefined;
  }

  close(): void {
    for (const followed of this.#followed.values()) this.#end(followed);
    this.#followed.clear();
    this.#object?.close();
    this.#object = undefined;
  }

  #lookLater(followed: Followed): void {
    const pauseMs = LOOK_MS[followed.looks++];
    if (pauseMs === undefined) return;
    followed.timer = setTimeout(() => void this.#look(followed), pauseMs).unref();
  }

  async #look(followed: Followed): Promise<void> {
    const { pid } = followed.process;
    try {
      const library = javaLibrary(pid);
      if (library === undefined) this.#lookLater(followed);
      else await this.#attach(followed, library);
    } catch (error) {
      this.#detach(followed);
      if (followed.isEnded) return;
      if (error instanceof AttachLater && followed.looks < LOOK_MS.length) {
        this.#lookLater(followed);
        return;
      }
      this.#warn(followed, error);
    }
  }

  /** The kernel side listens before the agent in the JVM speaks. */
  async #attach(followed: Followed, library: MappedFile): Promise<void> {
    const { pid, serviceName } = followed.process;
    const offset = channelOffset(library);
    if (offset === undefined) throw new Error(`${library.name} has not the native method we need`);
    this.#object ??= this.#load();
    const { path } = library;
    followed.link = this.#object.attach(PROGRAM, {
      ...{ kind: "uprobe_multi", path, pid, targets: [{ offset }] },
    });
    this.#setTable(pid, 0n);
    this.#count(1);
    const agent = await loadJavaAgent(pid);
    if (followed.isEnded) {
      agent.release();
      return;
    }
    followed.agent = agent;
    this.#setTable(pid, agent.table);
    const { methods } = agent;
    this.#options.logger.info("Java agent attached", { pid, service: serviceName, methods });
  }

  #setTable(pid: number, table: bigint): void {
    const plan = { kind: RUNTIME_JAVA, version: "", path: "", probes: [], table };
    this.#options.capture.map("runtime_processes").set(uint32(pid), encodePlan(plan));
  }

  #end(followed: Followed): void {
    followed.isEnded = true;
    clearTimeout(followed.timer);
    this.#detach(followed);
  }

  #detach(followed: Followed): void {
    const { link, agent } = followed;
    followed.link = undefined;
    followed.agent = undefined;
    agent?.release();
    if (link === undefined) return;
    this.#options.capture.map("runtime_processes").delete(uint32(followed.process.pid));
    link.detach();
    this.#count(-1);
  }

  #count(change: number): void {
    this.#linked += change;
    this.#options.onCount(this.#linked);
  }

  #load(): LoadedObject {
    const { capture, selection, sharedMaps, rodata } = this.#options;
    try {
      const object = openObject(fileURLToPath(OBJECT));
      object.rodata.set(rodata);
      for (const name of sharedMaps) object.map(name).reuse(capture.map(name));
      object.map("selected_tasks").reuse(selection);
      for (const { name } of object.programs) object.program(name).setAutoload(name === PROGRAM);
      return object.load();
    } catch (cause) {
      this.#refusal = String(cause);
      throw cause;
    }
  }

  #warn({ process: { pid, serviceName } }: Followed, error: unknown): void {
    const reason = existsSync(`/proc/${pid}`)
      ? error instanceof Error
        ? error.message
        : String(error)
      : "the process has ended";
    this.#options.logger.warn("Java agent not attached: calls are linked by other evidence", {
      ...{ pid, service: serviceName, reason },
    });
  }
}

function uint32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}
