// SPDX-License-Identifier: Apache-2.0

/** IP protocol numbers of what carries data for us. */
export const TCP = 6;
export const UDP = 17;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const ACK = 0x10;

/** Four words of an address; an IPv4 address is IPv4-mapped, so that all compare alike. */
export const ADDRESS_WORDS = 4;

/** The innermost TCP segment or UDP datagram of a packet, as a cursor: valid until the next one. */
export class Segment {
  family: 4 | 6 = 4;
  /** `TCP` or `UDP`. */
  protocol = 0;
  /** Source at 0, destination at 4: words in host order. */
  readonly addresses: Uint32Array = new Uint32Array(2 * ADDRESS_WORDS);
  sourcePort = 0;
  destinationPort = 0;
  /** Of TCP. */
  sequence = 0;
  acknowledged = 0;
  flags = 0;
  /** Payload on the wire; `captured` bytes of it are at `bytes[start …]`. */
  length = 0;
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  captured = 0;
  timeNs = 0;
}

export function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function u32(bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0;
}
