// SPDX-License-Identifier: Apache-2.0
import { randomInt } from "node:crypto";
import type { Connection } from "./connection.ts";
import { ADDRESS_WORDS, type Segment } from "./segment.ts";
import type { Side } from "./tcp-streams.ts";

/** A connection or a pair of UDP ports. Side 0 is whoever was seen first. */
export class Flow {
  readonly hash: number;
  readonly protocol: number;
  readonly family: 4 | 6;
  /** Of side 0, then of side 1. */
  readonly addresses: Uint32Array;
  readonly ports: readonly [number, number];
  /** Another flow with the same hash. */
  next: Flow | undefined;
  /** Where it stands in the table's list. */
  index = 0;
  lastNs = 0;
  connection: Connection | undefined;

  constructor(hash: number, segment: Segment) {
    this.hash = hash;
    this.protocol = segment.protocol;
    this.family = segment.family;
    this.addresses = segment.addresses.slice();
    this.ports = [segment.sourcePort, segment.destinationPort];
  }

  /** Which side sent this segment; undefined when it is of another flow. */
  sideOf(segment: Segment): Side | undefined {
    if (segment.protocol !== this.protocol) return undefined;
    const [first, second] = this.ports;
    const { sourcePort, destinationPort } = segment;
    if (sourcePort === first && destinationPort === second && this.#isSame(segment, 0)) return 0;
    if (
      sourcePort === second &&
      destinationPort === first &&
      this.#isSame(segment, ADDRESS_WORDS)
    ) {
      return 1;
    }
    return undefined;
  }

  /** `shift`: where the segment's source is in ours. */
  #isSame({ addresses }: Segment, shift: number): boolean {
    const words = 2 * ADDRESS_WORDS;
    for (let word = 0; word < words; word++) {
      if (addresses[word] !== this.addresses[(word + shift) % words]) return false;
    }
    return true;
  }
}

/** Entries that are looked at to find one that was idle for long. */
const EVICTION_SAMPLES = 64;

/** All flows, found by a hash that is the same for both directions. Bounded. */
export class FlowTable {
  readonly #byHash = new Map<number, Flow>();
  readonly #flows: Flow[] = [];
  readonly #max: number;
  /** So that no capture can be made whose flows all have one hash. */
  readonly #seed = randomInt(2 ** 32);
  #hand = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#flows.length;
  }

  get isFull(): boolean {
    return this.#flows.length >= this.#max;
  }

  find(segment: Segment): Flow | undefined {
    let flow = this.#byHash.get(hashOf(segment, this.#seed));
    while (flow !== undefined && flow.sideOf(segment) === undefined) flow = flow.next;
    return flow;
  }

  /** The caller has made room. */
  add(segment: Segment): Flow {
    const flow = new Flow(hashOf(segment, this.#seed), segment);
    flow.next = this.#byHash.get(flow.hash);
    flow.index = this.#flows.length;
    this.#byHash.set(flow.hash, flow);
    this.#flows.push(flow);
    return flow;
  }

  remove(flow: Flow): void {
    const last = this.#flows.pop();
    if (last !== undefined && last !== flow) {
      last.index = flow.index;
      this.#flows[flow.index] = last;
    }
    const first = this.#byHash.get(flow.hash);
    if (first === flow) {
      if (flow.next === undefined) this.#byHash.delete(flow.hash);
      else this.#byHash.set(flow.hash, flow.next);
      return;
    }
    let before = first;
    while (before !== undefined && before.next !== flow) before = before.next;
    if (before !== undefined) before.next = flow.next;
  }

  /** The longest idle of some; undefined when the table is empty. */
  longestIdle(): Flow | undefined {
    let best: Flow | undefined;
    for (let count = 0; count < EVICTION_SAMPLES; count++) {
      const flow = this.walk();
      if (best === undefined || (flow !== undefined && flow.lastNs < best.lastNs)) best = flow;
    }
    return best;
  }

  /** One flow after the other, round and round. */
  walk(): Flow | undefined {
    if (this.#hand >= this.#flows.length) this.#hand = 0;
    return this.#flows[this.#hand++];
  }

  [Symbol.iterator](): IterableIterator<Flow> {
    return [...this.#flows].values();
  }
}

function hashOf(segment: Segment, seed: number): number {
  const { addresses, sourcePort, destinationPort, protocol } = segment;
  let source = mix(seed ^ sourcePort);
  let destination = mix(seed ^ destinationPort);
  for (let word = 0; word < ADDRESS_WORDS; word++) {
    source = mix(source ^ (addresses[word] ?? 0));
    destination = mix(destination ^ (addresses[word + ADDRESS_WORDS] ?? 0));
  }
  return (mix((source + destination) | 0) ^ protocol) & 0x3fffffff;
}

function mix(value: number): number {
  const product = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  return Math.imul(product ^ (product >>> 13), 0xc2b2ae35);
}
