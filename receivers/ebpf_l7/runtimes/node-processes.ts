// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { ATTR_PROCESS_RUNTIME_NAME } from "@opentelemetry/semantic-conventions/incubating";
import type { BpfMap } from "libbpf-ts";
import { NODE_SLOTS } from "../../../bpf/generated/wire.ts";
import type { SelectedProcess } from "../../../src/model/process.ts";
import { planNode } from "./node.ts";
import { encodePlan } from "./plan.ts";

/** When a process is looked into, after it was selected: it may only just begin. */
const LOOK_MS: readonly number[] = [0, 100, 400, 2000, 10_000];

interface Followed {
  readonly process: SelectedProcess;
  looks: number;
  slot: number | undefined;
  timer: NodeJS.Timeout | undefined;
}

export interface NodeProcessesOptions {
  readonly runtimes: BpfMap;
  readonly onCount: (count: number) => void;
  readonly onFollowed: (process: SelectedProcess) => void;
  readonly onRefused: (process: SelectedProcess, reason: string) => void;
}

/** Node processes whose async ids the kernel side reads: as many as there are slots. */
export class NodeProcesses {
  readonly #options: NodeProcessesOptions;
  readonly #followed = new Map<number, Followed>();
  readonly #free: number[] = Array.from({ length: NODE_SLOTS }, (_, slot) => slot);

  constructor(options: NodeProcessesOptions) {
    this.#options = options;
  }

  follow(process: SelectedProcess): void {
    if (process.attributes.get(ATTR_PROCESS_RUNTIME_NAME) !== "nodejs") return;
    const followed: Followed = { process, looks: 0, slot: undefined, timer: undefined };
    this.#followed.set(process.pid, followed);
    this.#lookLater(followed);
  }

  forget({ pid }: SelectedProcess): void {
    const followed = this.#followed.get(pid);
    if (followed === undefined) return;
    clearTimeout(followed.timer);
    this.#followed.delete(pid);
    if (followed.slot === undefined) return;
    this.#options.runtimes.delete(uint32(pid));
    this.#free.push(followed.slot);
    this.#options.onCount(NODE_SLOTS - this.#free.length);
  }

  close(): void {
    for (const { timer } of this.#followed.values()) clearTimeout(timer);
    this.#followed.clear();
  }

  #lookLater(followed: Followed): boolean {
    const pauseMs = LOOK_MS[followed.looks++];
    if (pauseMs === undefined) return false;
    followed.timer = setTimeout(() => this.#look(followed), pauseMs).unref();
    return true;
  }

  #look(followed: Followed): void {
    const { process } = followed;
    const { pid } = process;
    const { onRefused, onCount, onFollowed, runtimes } = this.#options;
    try {
      const plan = planNode(pid);
      if (plan === undefined) return;
      if ("refused" in plan) {
        if (!this.#lookLater(followed)) onRefused(process, plan.refused);
        return;
      }
      const slot = this.#free.pop();
      if (slot === undefined) {
        onRefused(process, `${NODE_SLOTS} processes of Node are followed already`);
        return;
      }
      followed.slot = slot;
      runtimes.set(uint32(pid), encodePlan({ ...plan, slot }));
      onCount(NODE_SLOTS - this.#free.length);
      onFollowed(process);
    } catch (error) {
      if (existsSync(`/proc/${pid}`)) onRefused(process, String(error));
    }
  }
}

function uint32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
