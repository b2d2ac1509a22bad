// SPDX-License-Identifier: Apache-2.0
import { ADDRESS_WORDS } from "./segment.ts";

/** The text form of RFC 5952, dotted for an IPv4-mapped address of an IPv4 packet. */
export function addressText(words: Uint32Array, at: number, family: 4 | 6): string {
  if (family === 4) {
    const word = words[at + 3] ?? 0;
    return [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join(".");
  }
  const groups: number[] = [];
  for (let index = 0; index < ADDRESS_WORDS; index++) {
    const word = words[at + index] ?? 0;
    groups.push(word >>> 16, word & 0xffff);
  }
  return compressIpv6(groups);
}

/** The longest run of two or more zero groups, the first of equals, becomes `::`. */
function compressIpv6(groups: readonly number[]): string {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  const hex = (part: readonly number[]): string => part.map((one) => one.toString(16)).join(":");
  if (best.start < 0) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}

/** `10.0.0.1:80`, `[::1]:80`. */
export function endpointText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
