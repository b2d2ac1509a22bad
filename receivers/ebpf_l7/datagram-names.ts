// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, Role } from "../../src/model/protocol.ts";

/** Questions remembered to see whether both ends are watched. */
const NAMES_MAX = 4096;
const CLIENT = 1;
const SERVER = 2;
const BOTH = CLIENT | SERVER;
const TWO_TO_21 = 2 ** 21;

/**
 * Datagrams have no sequence numbers that both ends see. The name of a question is a hash of its
 * bytes (DNS: a random id and the question) beside the ports, which go into the connection's name:
 * equal at both ends unless the ports are translated between them.
 */
export class DatagramNames {
  readonly #ends = new Map<number, number>();

  /** Below 2^53: stands for the position in the client's stream. */
  begin(record: DataRecord, role: Role): number {
    const name = hash(record);
    if (this.#ends.size >= NAMES_MAX && !this.#ends.has(name)) {
      const [oldest] = this.#ends.keys();
      if (oldest !== undefined) this.#ends.delete(oldest);
    }
    const bit = role === "client" ? CLIENT : SERVER;
    this.#ends.set(name, (this.#ends.get(name) ?? 0) | bit);
    return name;
  }

  /** This agent watches both ends of the exchange. */
  isObserved(name: number): boolean {
    return this.#ends.get(name) === BOTH;
  }
}

function hash({ bytes, start, captured }: DataRecord): number {
  let [a, b] = [0x811c9dc5, captured];
  for (let at = start; at < start + captured; at++) {
    a = Math.imul(a ^ (bytes[at] ?? 0), 0x01000193);
    b = Math.imul(b + (bytes[at] ?? 0), 0x85ebca6b) ^ (b >>> 15);
  }
  return (a >>> 0) * TWO_TO_21 + ((b >>> 0) & (TWO_TO_21 - 1));
}
