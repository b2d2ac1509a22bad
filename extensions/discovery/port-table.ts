// SPDX-License-Identifier: Apache-2.0

const PROCESSES_MAX = 65_536;
const NO_PORTS: ReadonlySet<number> = new Set();

interface Listening {
  readonly ports: Set<number>;
  /** Of the process; undefined until somebody who knows it asks. */
  readonly startTicks: number | undefined;
}

/** Which process listens on which of the TCP ports that a criterion asks for. Bounded. */
export class PortTable {
  readonly #processes = new Map<number, Listening>();

  /** False when the table is full. */
  add(pid: number, port: number): boolean {
    const known = this.#processes.get(pid);
    if (known !== undefined) {
      known.ports.add(port);
      return true;
    }
    if (this.#processes.size >= PROCESSES_MAX) return false;
    this.#processes.set(pid, { ports: new Set([port]), startTicks: undefined });
    return true;
  }

  /** The ports of a process; what an earlier process of the same id had is forgotten. */
  of(pid: number, startTicks: number): ReadonlySet<number> {
    const known = this.#processes.get(pid);
    if (known === undefined) return NO_PORTS;
    if (known.startTicks === undefined) {
      this.#processes.set(pid, { ports: known.ports, startTicks });
      return known.ports;
    }
    if (isSameTime(known.startTicks, startTicks)) return known.ports;
    this.#processes.delete(pid);
    return NO_PORTS;
  }

  /** A forked child has its parent's sockets. */
  copy(parent: number, child: number, startTicks: number): void {
    const known = this.#processes.get(parent);
    if (known === undefined || this.#processes.size >= PROCESSES_MAX) return;
    this.#processes.set(child, { ports: new Set(known.ports), startTicks });
  }

  delete(pid: number): void {
    this.#processes.delete(pid);
  }

  clear(): void {
    this.#processes.clear();
  }
}

/** Start times of one process from two sources, each rounded to ticks. */
export function isSameTime(oneTicks: number, otherTicks: number): boolean {
  return Math.abs(oneTicks - otherTicks) <= 1;
}
