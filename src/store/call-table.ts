// SPDX-License-Identifier: Apache-2.0
const SLOTS = 32_768;
const EMPTY = 0;
const CALLER = 1;
const CALLEE = 2;

/** Values of a slot, as they were given. */
export interface CallSlot {
  /** The node that the span belongs to, and the one that its attributes name (callers). */
  readonly node: number;
  readonly peer: number;
  readonly protocol: number;
  readonly low: number;
  readonly high: number;
  readonly isError: boolean;
  readonly isRewritten: boolean;
}

/** A caller's span and the span that it caused have met, or the caller waited in vain. */
export interface CallEvents {
  met(caller: CallSlot, calleeNode: number): void;
  alone(caller: CallSlot): void;
}

/**
 * Finds both ends of calls by the caller's span id, whichever comes first. Bounded: an entry whose
 * slot is needed by another ends as if its time were up.
 */
export class CallTable {
  readonly #events: CallEvents;
  readonly #state = new Uint8Array(SLOTS);
  readonly #idLow = new Uint32Array(SLOTS);
  readonly #idHigh = new Uint32Array(SLOTS);
  readonly #node = new Uint16Array(SLOTS);
  readonly #peer = new Uint16Array(SLOTS);
  readonly #protocol = new Uint16Array(SLOTS);
  readonly #low = new Uint32Array(SLOTS);
  readonly #high = new Uint32Array(SLOTS);
  readonly #flags = new Uint8Array(SLOTS);
  /** Round of `sweep` in which it came. */
  readonly #round = new Uint8Array(SLOTS);
  #now = 0;

  constructor(events: CallEvents) {
    this.#events = events;
  }

  /** The span with this id calls another. */
  caller(idLow: number, idHigh: number, call: CallSlot): void {
    const slot = this.#seek(idLow, idHigh);
    if (this.#state[slot] === CALLEE) {
      this.#state[slot] = EMPTY;
      this.#events.met(call, this.#node[slot] ?? 0);
      return;
    }
    this.#state[slot] = CALLER;
    this.#node[slot] = call.node;
    this.#peer[slot] = call.peer;
    this.#protocol[slot] = call.protocol;
    this.#low[slot] = call.low;
    this.#high[slot] = call.high;
    this.#flags[slot] = Number(call.isError) | (Number(call.isRewritten) << 1);
  }

  /** A span of this node was called by the span with this id. */
  callee(idLow: number, idHigh: number, node: number): void {
    const slot = this.#seek(idLow, idHigh);
    if (this.#state[slot] === CALLER) {
      this.#events.met(this.#read(slot), node);
      this.#state[slot] = EMPTY;
      return;
    }
    this.#state[slot] = CALLEE;
    this.#node[slot] = node;
  }

  /** Ends what has seen `rounds` sweeps. */
  sweep(rounds: number): void {
    this.#now = (this.#now + 1) & 0xff;
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#state[slot] === EMPTY) continue;
      if (((this.#now - (this.#round[slot] ?? 0)) & 0xff) >= rounds) this.#end(slot);
    }
  }

  /** Ends all, before node numbers change their meaning. */
  clear(): void {
    for (let slot = 0; slot < SLOTS; slot++) if (this.#state[slot] !== EMPTY) this.#end(slot);
  }

  /** The slot of this id, emptied if another one has it. */
  #seek(idLow: number, idHigh: number): number {
    const slot = (Math.imul(idLow ^ (idHigh >>> 3), 0x9e3779b1) >>> 17) % SLOTS;
    const isSame = this.#idLow[slot] === idLow && this.#idHigh[slot] === idHigh;
    if (this.#state[slot] !== EMPTY && !isSame) this.#end(slot);
    this.#idLow[slot] = idLow;
    this.#idHigh[slot] = idHigh;
    this.#round[slot] = this.#now;
    return slot;
  }

  #end(slot: number): void {
    if (this.#state[slot] === CALLER) this.#events.alone(this.#read(slot));
    this.#state[slot] = EMPTY;
  }

  #read(slot: number): CallSlot {
    const flags = this.#flags[slot] ?? 0;
    return {
      node: this.#node[slot] ?? 0,
      peer: this.#peer[slot] ?? 0,
      protocol: this.#protocol[slot] ?? 0,
      low: this.#low[slot] ?? 0,
      high: this.#high[slot] ?? 0,
      isError: (flags & 1) !== 0,
      isRewritten: (flags & 2) !== 0,
    };
  }
}
