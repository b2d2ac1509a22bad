// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type BpfMap, type Link, type LoadedObject, openObject } from "libbpf-ts";
import type { Logger } from "../../../src/component/telemetry.ts";
import type { SelectedProcess } from "../../../src/model/process.ts";
import { planGo } from "./go.ts";
import { JavaAgents, type JavaConfig } from "./java-agents.ts";
import { NodeProcesses } from "./node-processes.ts";
import { encodePlan, type RuntimePlan, type RuntimeRefusal } from "./plan.ts";
import { planPython } from "./python.ts";

const OBJECT = new URL("../../../build/bpf/runtimes.bpf.o", import.meta.url);
/** The maps of bpf/include/lineage.bpf.h, which the capturing object made. */
const RUNTIME_MAPS = [
  "runtime_processes",
  "goroutines",
  "go_callers",
  "python_contexts",
  "python_lineages",
  "python_connections",
] as const;
/** The same, those of bpf/include/java-lineage.bpf.h, and of node-lineage.bpf.h. */
export const LINEAGE_MAPS: readonly string[] = [
  ...RUNTIME_MAPS,
  ...["java_threads", "java_origins", "java_callers"],
  "node_turns",
];
/** What an object that sees clear text shares with the capturing one besides. */
const CAPTURE_MAPS: readonly string[] = [
  ...["socket_messages", "capture_counters", "thread_states", "verdicts", "port_rules"],
  ...["tls_sessions", "tls_sockets", "tls_threads", "tls_empty", "tls_go_calls"],
  "java_records",
];

export interface RuntimesConfig {
  readonly go: boolean;
  readonly go_starts: boolean;
  readonly python: boolean;
  readonly node: boolean;
}

export interface RuntimesOptions {
  readonly config: RuntimesConfig;
  readonly java: JavaConfig;
  /** That captures: its maps are shared. */
  readonly capture: LoadedObject;
  readonly selection: BpfMap;
  /** Of the global variables of an object that sees clear text. */
  readonly rodata: Readonly<Record<string, number | boolean>>;
  /** How many processes are followed. */
  readonly onCount: (count: number) => void;
  /** How many of them are JVMs with our agent, which also tells clear text. */
  readonly onJvms: (count: number) => void;
  readonly logger: Logger;
}

/**
 * Follows requests inside selected processes by their language runtime: tells the kernel how to
 * read it and attaches the uprobes that it needs, to these processes only.
 */
export class Runtimes {
  readonly #options: RuntimesOptions;
  readonly #links = new Map<number, readonly Link[]>();
  readonly #node: NodeProcesses;
  #nodeCount = 0;
  readonly #java: JavaAgents;
  #javaCount = 0;
  #object: LoadedObject | undefined;
  #isRefused = false;

  constructor(options: RuntimesOptions) {
    const { java, capture, selection, rodata, logger } = options;
    this.#options = options;
    this.#java = new JavaAgents({
      ...{ config: java, capture, selection, rodata, logger },
      sharedMaps: [...CAPTURE_MAPS, ...LINEAGE_MAPS],
      onCount: (count) => {
        this.#javaCount = count;
        this.#count();
        options.onJvms(count);
      },
    });
    this.#node = new NodeProcesses({
      runtimes: capture.map("runtime_processes"),
      onCount: (count) => {
        this.#nodeCount = count;
        this.#count();
      },
      onFollowed: ({ pid }) => logger.info("Runtime followed", { pid, version: "node" }),
      onRefused: (process, reason) => this.#warn(process, reason),
    });
  }

  /** Does nothing for a process of another runtime, or one that is followed already. */
  follow(process: SelectedProcess): void {
    const { pid } = process;
    this.forget(process);
    this.#java.follow(process);
    if (this.#options.config.node) this.#node.follow(process);
    try {
      const plan = this.#planOf(process);
      if (plan === undefined || this.#isRefused) return;
      if ("refused" in plan) this.#warn(process, plan.refused);
      else this.#attach(pid, plan);
    } catch (error) {
      if (existsSync(`/proc/${pid}`)) this.#warn(process, String(error));
    }
  }

  forget(process: SelectedProcess): void {
    const { pid } = process;
    this.#java.forget(process);
    this.#node.forget(process);
    const links = this.#links.get(pid);
    if (links === undefined) return;
    this.#links.delete(pid);
    this.#options.capture.map("runtime_processes").delete(uint32(pid));
    for (const link of links) link.detach();
    this.#count();
  }

  #count(): void {
    this.#options.onCount(this.#links.size + this.#javaCount + this.#nodeCount);
  }

  /** The process tells the clear text of its TLS. */
  seesTls(pid: number): boolean {
    return this.#java.has(pid);
  }

  close(): void {
    this.#java.close();
    this.#node.close();
    this.#links.clear();
    this.#object?.close();
  }

  #planOf({ pid }: SelectedProcess): RuntimePlan | RuntimeRefusal | undefined {
    const { config } = this.#options;
    const go = config.go ? planGo(`/proc/${pid}/exe`, config.go_starts) : undefined;
    return go ?? (config.python ? planPython(pid) : undefined);
  }

  #attach(pid: number, plan: RuntimePlan): void {
    const { capture, logger } = this.#options;
    this.#object ??= this.#load();
    const links: Link[] = [];
    this.#links.set(pid, links);
    try {
      for (const { program, offset } of plan.probes) {
        const { path } = plan;
        links.push(
          this.#object.attach(program, { kind: "uprobe_multi", path, pid, targets: [{ offset }] }),
        );
      }
      capture.map("runtime_processes").set(uint32(pid), encodePlan(plan));
      this.#count();
    } catch (cause) {
      for (const link of links) link.detach();
      this.#links.delete(pid);
      throw cause;
    }
    logger.info("Runtime followed", { pid, version: plan.version });
  }

  #load(): LoadedObject {
    const { capture, selection } = this.#options;
    try {
      const object = openObject(fileURLToPath(OBJECT));
      for (const name of RUNTIME_MAPS) object.map(name).reuse(capture.map(name));
      object.map("selected_tasks").reuse(selection);
      return object.load();
    } catch (cause) {
      this.#isRefused = true;
      throw cause;
    }
  }

  #warn({ pid, serviceName }: SelectedProcess, reason: string): void {
    this.#options.logger.warn("Runtime not followed: its calls are linked by other evidence", {
      pid,
      service: serviceName,
      reason,
    });
  }
}

function uint32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}
