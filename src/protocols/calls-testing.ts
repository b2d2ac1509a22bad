// SPDX-License-Identifier: Apache-2.0
import type { SeenExchange } from "./testing.ts";

/** For tests: a span in one line, all its attributes in the order of their names. */
export function callLine({ name, attributes }: SeenExchange): string {
  const parts = Object.entries(attributes)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${Array.isArray(value) ? value.join(",") : String(value)}`);
  return [name, ...parts].join(" ");
}

/** Bytes as characters of Latin-1, for messages that tests write by hand. */
export function u8(value: number): string {
  return String.fromCharCode(value & 255);
}

export function u16(value: number): string {
  return u8(value >> 8) + u8(value);
}

export function u32(value: number): string {
  return u16(value >>> 16) + u16(value);
}

export function fromHex(text: string): string {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex").toString("latin1");
}
