// SPDX-License-Identifier: Apache-2.0

const DASH = 45;
const VERSION_00_BYTES = 55;

/**
 * W3C Trace Context section 3.2. Writes 16 and 8 bytes and returns the trace flags, or returns -1
 * when the field must be ignored; the outputs then hold nothing of use.
 */
export function readTraceparent(
  bytes: Uint8Array,
  start: number,
  end: number,
  traceId: Uint8Array,
  spanId: Uint8Array,
): number {
  const length = end - start;
  if (length < VERSION_00_BYTES) return -1;
  const version = lowerHexByte(bytes, start);
  if (version < 0 || version === 0xff) return -1;
  // Later versions may append fields, after another dash.
  if (length > VERSION_00_BYTES && (version === 0 || bytes[start + VERSION_00_BYTES] !== DASH)) {
    return -1;
  }
  if (bytes[start + 2] !== DASH || bytes[start + 35] !== DASH || bytes[start + 52] !== DASH) {
    return -1;
  }
  if (!readId(bytes, start + 3, traceId) || !readId(bytes, start + 36, spanId)) return -1;
  return lowerHexByte(bytes, start + 53);
}

/** All zero is invalid. */
function readId(bytes: Uint8Array, start: number, id: Uint8Array): boolean {
  let any = 0;
  for (let index = 0; index < id.length; index++) {
    const byte = lowerHexByte(bytes, start + 2 * index);
    if (byte < 0) return false;
    id[index] = byte;
    any |= byte;
  }
  return any !== 0;
}

function lowerHexByte(bytes: Uint8Array, at: number): number {
  const high = lowerHex(bytes[at] ?? 0);
  const low = lowerHex(bytes[at + 1] ?? 0);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function lowerHex(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  return byte >= 97 && byte <= 102 ? byte - 87 : -1;
}
