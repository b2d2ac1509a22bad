// SPDX-License-Identifier: Apache-2.0
/**
 * Snappy by its format descriptions (google/snappy, format_description.txt and
 * framing_format.txt): blocks, and streams of them.
 */

/** A block is encoded in pieces of so many bytes, so that offsets have two bytes. */
const PIECE_BYTES = 65_536;
const TABLE_BITS = 14;
const TABLE_SIZE = 1 << TABLE_BITS;
const HASH_FACTOR = 0x1e35a7bd;
const MATCH_MIN = 4;
const COPY_MAX = 64;
/** At the end of a piece a match is not worth the look. */
const MARGIN = 15;
const STREAM_HEAD = Uint8Array.of(0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59);
const CHUNK_COMPRESSED = 0x00;
const CHUNK_PLAIN = 0x01;
const CHUNK_SKIPPABLE = 0x80;
const CHUNK_HEAD_BYTES = 4;
const CHECKSUM_BYTES = 4;
const MASK_DELTA = 0xa282ead8;

/** What is wrong with bytes that are no Snappy, or too many. */
export class SnappyError extends Error {
  readonly tooLarge: boolean;
  constructor(message: string, tooLarge = false) {
    super(message);
    this.name = "SnappyError";
    this.tooLarge = tooLarge;
  }
}

interface Length {
  readonly value: number;
  /** Where the data begins. */
  readonly next: number;
}

function readLength(bytes: Uint8Array): Length {
  let value = 0;
  for (let at = 0; at < 5; at++) {
    const byte = bytes[at];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) {
      if (value > 0xffffffff) break;
      return { value, next: at + 1 };
    }
  }
  throw new SnappyError("snappy: corrupt input: the length is no varint");
}

/** One block. Throws `SnappyError`; gives never more than `bytesMax` bytes. */
export function snappyDecode(bytes: Uint8Array, bytesMax: number): Buffer {
  const { value: length, next } = readLength(bytes);
  if (length > bytesMax) throw new SnappyError(`snappy: decoded block is too large`, true);
  // A copy of 64 bytes takes three: what says more than that of itself lies, and costs nothing.
  if (length > 22 * (bytes.length + 1)) throw new SnappyError("snappy: corrupt input: too short");
  const out = Buffer.allocUnsafe(length);
  let from = next;
  let to = 0;
  while (from < bytes.length) {
    const tag = bytes[from] ?? 0;
    from++;
    let size: number;
    if ((tag & 3) === 0) {
      size = (tag >> 2) + 1;
      if (size > 60) {
        const extra = size - 60;
        if (from + extra > bytes.length) throw corrupt();
        size = 1 + littleEndian(bytes, from, extra);
        from += extra;
      }
      if (from + size > bytes.length || to + size > length) throw corrupt();
      out.set(bytes.subarray(from, from + size), to);
      from += size;
      to += size;
      continue;
    }
    const wide = (tag & 3) === 1 ? 1 : (tag & 3) === 2 ? 2 : 4;
    if (from + wide > bytes.length) throw corrupt();
    let offset = littleEndian(bytes, from, wide);
    from += wide;
    if (wide === 1) {
      offset += (tag >> 5) << 8;
      size = ((tag >> 2) & 7) + MATCH_MIN;
    } else size = (tag >> 2) + 1;
    if (offset === 0 || offset > to || to + size > length) throw corrupt();
    if (offset >= size) out.copyWithin(to, to - offset, to - offset + size);
    else for (let at = 0; at < size; at++) out[to + at] = out[to + at - offset] ?? 0;
    to += size;
  }
  if (to !== length) throw corrupt();
  return out;
}

function littleEndian(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let byte = size - 1; byte >= 0; byte--) value = value * 256 + (bytes[at + byte] ?? 0);
  return value;
}

function corrupt(): SnappyError {
  return new SnappyError("snappy: corrupt input");
}

/** One block. */
export function snappyEncode(bytes: Uint8Array): Buffer {
  // The format's own bound: 32 bytes, and a sixth more than there was.
  const out = Buffer.allocUnsafe(32 + bytes.length + Math.ceil(bytes.length / 6));
  let to = 0;
  let length = bytes.length;
  for (; length >= 0x80; length = Math.floor(length / 128)) out[to++] = (length % 128) | 0x80;
  out[to++] = length;
  const table = new Uint16Array(TABLE_SIZE);
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    if (start > 0) table.fill(0);
    to = encodePiece(bytes.subarray(start, start + PIECE_BYTES), table, out, to);
  }
  return out.subarray(0, to);
}

function encodePiece(piece: Uint8Array, table: Uint16Array, out: Buffer, start: number): number {
  let to = start;
  let literal = 0;
  let at = 1;
  let misses = 32;
  const last = piece.length - MARGIN;
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  while (at < last) {
    const word = view.getUint32(at, true);
    const slot = Math.imul(word, HASH_FACTOR) >>> (32 - TABLE_BITS);
    const candidate = table[slot] ?? 0;
    table[slot] = at;
    if (candidate >= at || view.getUint32(candidate, true) !== word) {
      // What does not compress is passed over ever faster.
      at += misses++ >> 5;
      continue;
    }
    misses = 32;
    to = literalOf(piece, literal, at, out, to);
    let size = MATCH_MIN;
    while (at + size < piece.length && piece[candidate + size] === piece[at + size]) size++;
    to = copyOf(at - candidate, size, out, to);
    at += size;
    literal = at;
  }
  return literalOf(piece, literal, piece.length, out, to);
}

function literalOf(piece: Uint8Array, start: number, end: number, out: Buffer, at: number): number {
  let to = at;
  if (end === start) return to;
  const size = end - start - 1;
  if (size < 60) out[to++] = size << 2;
  else if (size < 256) {
    out[to++] = 60 << 2;
    out[to++] = size;
  } else {
    out[to++] = 61 << 2;
    out[to++] = size & 0xff;
    out[to++] = size >> 8;
  }
  out.set(piece.subarray(start, end), to);
  return to + end - start;
}

function copyOf(offset: number, length: number, out: Buffer, at: number): number {
  let to = at;
  for (let left = length; left > 0; ) {
    // No copy shorter than four is left over.
    const size =
      left > COPY_MAX ? (left < COPY_MAX + MATCH_MIN ? COPY_MAX - MATCH_MIN : COPY_MAX) : left;
    out[to++] = ((size - 1) << 2) | 2;
    out[to++] = offset & 0xff;
    out[to++] = offset >> 8;
    left -= size;
  }
  return to;
}

/** A stream. Throws `SnappyError`; gives never more than `bytesMax` bytes. */
export function snappyStreamDecode(bytes: Uint8Array, bytesMax: number): Buffer {
  if (!STREAM_HEAD.every((byte, at) => bytes[at] === byte)) {
    throw new SnappyError("snappy: corrupt input: no stream identifier");
  }
  const parts: Uint8Array[] = [];
  let total = 0;
  let at = STREAM_HEAD.length;
  while (at < bytes.length) {
    if (at + CHUNK_HEAD_BYTES > bytes.length) throw corrupt();
    const type = bytes[at] ?? 0;
    const end = at + CHUNK_HEAD_BYTES + littleEndian(bytes, at + 1, 3);
    if (end > bytes.length) throw corrupt();
    const body = bytes.subarray(at + CHUNK_HEAD_BYTES, end);
    at = end;
    if (type >= CHUNK_SKIPPABLE) continue;
    if (type > CHUNK_PLAIN) throw new SnappyError(`snappy: unsupported chunk type ${type}`);
    if (body.length < CHECKSUM_BYTES) throw corrupt();
    const left = Math.min(PIECE_BYTES, bytesMax - total);
    const data = body.subarray(CHECKSUM_BYTES);
    if (type === CHUNK_PLAIN && data.length > left) {
      throw new SnappyError("snappy: decoded block is too large", data.length <= PIECE_BYTES);
    }
    const part = type === CHUNK_COMPRESSED ? snappyDecode(data, left) : data;
    if (masked(part) !== littleEndian(body, 0, CHECKSUM_BYTES)) {
      throw new SnappyError("snappy: corrupt input: the checksum is wrong");
    }
    parts.push(part);
    total += part.length;
  }
  return Buffer.concat(parts, total);
}

/** A stream. */
export function snappyStreamEncode(bytes: Uint8Array): Buffer {
  const parts: Uint8Array[] = [STREAM_HEAD];
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    const piece = bytes.subarray(start, start + PIECE_BYTES);
    const packed = snappyEncode(piece);
    const isWorth = packed.length < piece.length;
    const data = isWorth ? packed : piece;
    const head = Buffer.alloc(CHUNK_HEAD_BYTES + CHECKSUM_BYTES);
    head[0] = isWorth ? CHUNK_COMPRESSED : CHUNK_PLAIN;
    head.writeUIntLE(data.length + CHECKSUM_BYTES, 1, 3);
    head.writeUInt32LE(masked(piece), CHUNK_HEAD_BYTES);
    parts.push(head, data);
  }
  return Buffer.concat(parts);
}

/** CRC-32C of the bytes, in the form in which the framing format keeps it. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (RFC 3720, B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) {
    crc = (CRC_TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
