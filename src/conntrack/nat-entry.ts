// SPDX-License-Identifier: Apache-2.0

/**
 * Words of one translated connection in a table row or a scratch array. Addresses are four words,
 * the first two octets of an address in the upper half of its first word; IPv4 as ::ffff:a.b.c.d.
 * Ports are `source << 16 | destination`. The first tuple is what the side that opened the
 * connection sends, the second what the other side sends, both as they are where NAT is done.
 */
export const ENTRY_WORDS = 20;
export const ORIGINAL_SOURCE = 0;
export const ORIGINAL_DESTINATION = 4;
export const ORIGINAL_PORTS = 8;
/** `source << 8 | IP protocol number`; a source is one network namespace, or 0. */
export const ORIGIN = 9;
export const REPLY_SOURCE = 10;
export const REPLY_DESTINATION = 14;
export const REPLY_PORTS = 18;
/** The kernel's id of the connection, 0 when it has none. */
export const ENTRY_ID = 19;

export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
const V4_MAPPED_WORD = 0xffff;

export function isIpv4(words: Int32Array, at: number): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === V4_MAPPED_WORD;
}

export function putIpv4(words: Int32Array, at: number, address: number): void {
  words[at] = 0;
  words[at + 1] = 0;
  words[at + 2] = V4_MAPPED_WORD;
  words[at + 3] = address | 0;
}

/** Are the addresses at the two places equal? */
export function isSameAddress(
  one: Int32Array,
  at: number,
  other: Int32Array,
  otherAt: number,
): boolean {
  return (
    one[at + 3] === other[otherAt + 3] &&
    one[at + 2] === other[otherAt + 2] &&
    one[at + 1] === other[otherAt + 1] &&
    one[at] === other[otherAt]
  );
}

/** Does the other side see anything else than what was sent? */
export function isTranslated(words: Int32Array): boolean {
  const original = words[ORIGINAL_PORTS] ?? 0;
  return (
    !isSameAddress(words, ORIGINAL_DESTINATION, words, REPLY_SOURCE) ||
    !isSameAddress(words, ORIGINAL_SOURCE, words, REPLY_DESTINATION) ||
    words[REPLY_PORTS] !== ((original << 16) | (original >>> 16))
  );
}

const DOT = 0x2e;
const COLON = 0x3a;
const PERCENT = 0x25;

/**
 * Reads an address as text, ASCII, without brackets (a zone is ignored), into four words. False
 * when it is none: a host name for instance.
 */
export function readAddressText(
  bytes: Uint8Array,
  start: number,
  end: number,
  words: Int32Array,
  at: number,
): boolean {
  for (let index = start; index < end; index++) {
    if (bytes[index] === COLON) return readIpv6(bytes, start, end, words, at);
  }
  const value = readIpv4(bytes, start, end);
  if (value < 0) return false;
  putIpv4(words, at, value);
  return true;
}

/** The address as a number, -1 when it is none. */
function readIpv4(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let index = start; index < end; index++) {
    const byte = bytes[index] ?? 0;
    if (byte === DOT) {
      if (digits === 0) return -1;
      value = value * 256 + octet;
      octet = 0;
      digits = 0;
      dots++;
      continue;
    }
    const digit = byte - 0x30;
    if (digit < 0 || digit > 9 || ++digits > 3) return -1;
    octet = octet * 10 + digit;
    if (octet > 255) return -1;
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : -1;
}

const groups = new Uint16Array(8);

function readIpv6(
  bytes: Uint8Array,
  start: number,
  end: number,
  words: Int32Array,
  at: number,
): boolean {
  let count = 0;
  let gapAt = -1;
  let index = start;
  if (bytes[start] === COLON) {
    if (bytes[start + 1] !== COLON) return false;
    gapAt = 0;
    index += 2;
  }
  while (index < end && bytes[index] !== PERCENT) {
    if (count === 8) return false;
    const groupAt = index;
    let value = 0;
    for (let digit = hexDigit(bytes[index]); digit >= 0 && index < end; ) {
      value = value * 16 + digit;
      index++;
      digit = index < end ? hexDigit(bytes[index]) : -1;
    }
    if (index < end && bytes[index] === DOT) {
      const ipv4 = readIpv4(bytes, groupAt, end);
      if (ipv4 < 0 || count > 6) return false;
      groups[count++] = ipv4 >>> 16;
      groups[count++] = ipv4;
      index = end;
      break;
    }
    if (index === groupAt || index - groupAt > 4) return false;
    groups[count++] = value;
    if (index >= end || bytes[index] === PERCENT) break;
    if (bytes[index++] !== COLON) return false;
    if (index < end && bytes[index] === COLON) {
      if (gapAt >= 0) return false;
      gapAt = count;
      index++;
    } else if (index >= end) return false;
  }
  return putGroups({ count, gapAt }, words, at);
}

function putGroups(
  { count, gapAt }: { readonly count: number; readonly gapAt: number },
  words: Int32Array,
  at: number,
): boolean {
  if (gapAt < 0 ? count !== 8 : count > 7) return false;
  const tail = gapAt < 0 ? 0 : count - gapAt;
  const group = (index: number): number => {
    if (gapAt < 0 || index < gapAt) return groups[index] ?? 0;
    return index >= 8 - tail ? (groups[index - 8 + count] ?? 0) : 0;
  };
  for (let word = 0; word < 4; word++) {
    words[at + word] = (group(word * 2) << 16) | group(word * 2 + 1);
  }
  return true;
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** As RFC 5952 writes it; IPv4 with dots. */
export function addressText(words: Int32Array, at: number): string {
  if (isIpv4(words, at)) {
    const value = words[at + 3] ?? 0;
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  }
  const parts = Array.from({ length: 8 }, (_, index) => {
    const word = words[at + (index >> 1)] ?? 0;
    return index % 2 === 0 ? word >>> 16 : word & 0xffff;
  });
  let [bestAt, best] = [-1, 1];
  for (let index = 0; index < 8; ) {
    let stop = index;
    while (stop < 8 && parts[stop] === 0) stop++;
    if (stop - index > best) [bestAt, best] = [index, stop - index];
    index = Math.max(stop, index + 1);
  }
  const hex = (from: number, to: number): string =>
    parts
      .slice(from, to)
      .map((part) => part.toString(16))
      .join(":");
  return bestAt < 0 ? hex(0, 8) : `${hex(0, bestAt)}::${hex(bestAt + best, 8)}`;
}
