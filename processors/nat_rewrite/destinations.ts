// SPDX-License-Identifier: Apache-2.0
import {
  ENTRY_WORDS,
  ORIGIN,
  ORIGINAL_DESTINATION,
  ORIGINAL_PORTS,
  ORIGINAL_SOURCE,
} from "../../src/conntrack/nat-entry.ts";
import { Lookup, type NatTable } from "../../src/conntrack/nat-table.ts";

const PROTOCOL_MASK = 0xff;

/** Where connections to one address and port really went: one place, or several. */
interface Destination {
  readonly words: Int32Array;
  readonly port: number;
  isAmbiguous: boolean;
}

/**
 * Data points name no connection, only the address that was asked for. It is told where all
 * connections to it that lived since some time went to the same place. Built anew when the table
 * has changed: metrics come every few seconds.
 */
export class Destinations {
  readonly #table: NatTable;
  readonly #byAddress = new Map<string, Destination>();
  readonly #lookup = new Lookup();
  readonly #entry = new Int32Array(ENTRY_WORDS);
  #version = -1;

  constructor(table: NatTable) {
    this.#table = table;
  }

  /** Connections that ended before `afterNs` do not count. */
  refresh(afterNs: number, nowNs: number): void {
    if (this.#version === this.#table.version) return;
    this.#version = this.#table.version;
    this.#byAddress.clear();
    this.#table.each(afterNs, (words, at, untilNs) => {
      this.#entry.set(words.subarray(at, at + ENTRY_WORDS));
      this.#add(Math.min(untilNs, nowNs));
    });
  }

  find(words: Int32Array, at: number, port: number, protocol: number): Destination | undefined {
    return this.#byAddress.get(keyOf(words, at, port, protocol));
  }

  #add(atNs: number): void {
    const entry = this.#entry;
    const lookup = this.#lookup;
    const ports = entry[ORIGINAL_PORTS] ?? 0;
    for (let index = 0; index < 8; index++) {
      lookup.words[index] = entry[ORIGINAL_SOURCE + index] ?? 0;
    }
    lookup.localPort = ports >>> 16;
    lookup.peerPort = ports & 0xffff;
    lookup.protocol = (entry[ORIGIN] ?? 0) & PROTOCOL_MASK;
    lookup.startNs = atNs;
    const resolution = this.#table.resolve(lookup);
    if (resolution === "none") return;
    const key = keyOf(entry, ORIGINAL_DESTINATION, lookup.peerPort, lookup.protocol);
    const known = this.#byAddress.get(key);
    const isAmbiguous = resolution === "ambiguous";
    if (known === undefined) {
      const words = lookup.real.slice();
      this.#byAddress.set(key, { words, port: lookup.realPort, isAmbiguous });
    } else if (isAmbiguous || known.port !== lookup.realPort) known.isAmbiguous = true;
    else if (known.words.some((word, index) => word !== lookup.real[index])) {
      known.isAmbiguous = true;
    }
  }
}

function keyOf(words: Int32Array, at: number, port: number, protocol: number): string {
  return `${protocol}/${words[at]}/${words[at + 1]}/${words[at + 2]}/${words[at + 3]}/${port}`;
}
