// SPDX-License-Identifier: Apache-2.0
import {
  ENTRY_ID,
  ENTRY_WORDS,
  ORIGIN,
  ORIGINAL_DESTINATION,
  ORIGINAL_PORTS,
  ORIGINAL_SOURCE,
  REPLY_PORTS,
  REPLY_SOURCE,
  readAddressText,
} from "./nat-entry.ts";
import { Lookup, type NatTable } from "./nat-table.ts";

const encoder = new TextEncoder();

/** `ADDRESS PORT`, both ends. */
export interface Tuple {
  readonly from: readonly [address: string, port: number];
  readonly to: readonly [address: string, port: number];
}

export interface EntryOptions {
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly protocol?: number;
  readonly source?: number;
  readonly id?: number;
}

export function putAddress(words: Int32Array, at: number, text: string): void {
  const bytes = encoder.encode(text);
  if (!readAddressText(bytes, 0, bytes.length, words, at)) throw new Error(`no address: ${text}`);
}

/** A connection as `NatTable` takes it. */
export function entryOf(options: EntryOptions): Int32Array {
  const { original, reply, protocol = 6, source = 1, id = 0 } = options;
  const words = new Int32Array(ENTRY_WORDS);
  for (const [tuple, addresses, ports] of [
    [original, ORIGINAL_SOURCE, ORIGINAL_PORTS],
    [reply, REPLY_SOURCE, REPLY_PORTS],
  ] as const) {
    putAddress(words, addresses, tuple.from[0]);
    putAddress(words, addresses + ORIGINAL_DESTINATION, tuple.to[0]);
    words[ports] = (tuple.from[1] << 16) | tuple.to[1];
  }
  words[ORIGIN] = (source << 8) | protocol;
  words[ENTRY_ID] = id;
  return words;
}

/** Asks the table for the end of `view.from` at a time. The answer is in the look-up. */
export function look(
  table: NatTable,
  view: Tuple,
  startNs: number,
  protocol = 6,
): { readonly resolution: string; readonly lookup: Lookup } {
  const lookup = new Lookup();
  putAddress(lookup.words, 0, view.from[0]);
  putAddress(lookup.words, 4, view.to[0]);
  lookup.localPort = view.from[1];
  lookup.peerPort = view.to[1];
  lookup.startNs = startNs;
  lookup.protocol = protocol;
  return { resolution: table.resolve(lookup), lookup };
}
