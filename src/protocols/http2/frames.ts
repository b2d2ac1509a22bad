// SPDX-License-Identifier: Apache-2.0

/** RFC 9113 section 6. */
export const DATA = 0;
export const HEADERS = 1;
const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
const PING = 6;
export const GOAWAY = 7;
const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 0x01;
export const END_HEADERS = 0x04;
export const PADDED = 0x08;
export const PRIORITY_FLAG = 0x20;

export const HEADER_BYTES = 9;

/** RFC 9113 section 3.4. */
export const PREFACE: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Frames of more bytes are not believed where a frame is looked for. */
const SEEK_LENGTH_MAX = 1 << 20;
const SETTINGS_BYTES_MAX = 6 * 64;

/** RFC 9113 section 7. */
const ERROR_NAMES: readonly string[] = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

export const NO_ERROR = 0;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;

export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? "_OTHER";
}

/** Frames that concern the connection are on stream 0, the others on a stream (section 6). */
export function isFrame(type: number, length: number, stream: number): boolean {
  switch (type) {
    case DATA:
    case HEADERS:
    case CONTINUATION:
      return stream !== 0;
    case PRIORITY:
      return stream !== 0 && length === 5;
    case RST_STREAM:
      return stream !== 0 && length === 4;
    case PUSH_PROMISE:
      return stream !== 0 && length >= 4;
    case SETTINGS:
      return stream === 0 && length % 6 === 0;
    case PING:
      return stream === 0 && length === 8;
    case GOAWAY:
      return stream === 0 && length >= 8;
    case WINDOW_UPDATE:
      return length === 4;
    default:
      return true;
  }
}

/** Flags that a frame of a type may have; a frame with others is not believed where one is looked for. */
const FLAGS: readonly number[] = [0x09, 0x2d, 0, 0, 0x01, 0x0c, 0x01, 0, 0, 0x04];

/** Where a chain of frames is looked for, stricter than a peer must be: nothing of it is proved yet. */
function isLikelyFrame(bytes: Uint8Array, at: number): boolean {
  const type = bytes[at + 3] ?? 0;
  const flags = bytes[at + 4] ?? 0;
  const length = lengthAt(bytes, at);
  const reserved = (bytes[at + 5] ?? 0) & 0x80;
  if (type > CONTINUATION || reserved !== 0 || length > SEEK_LENGTH_MAX) return false;
  if ((flags & ~(FLAGS[type] ?? 0)) !== 0) return false;
  if (type === SETTINGS && length > SETTINGS_BYTES_MAX) return false;
  if (type === SETTINGS && flags !== 0 && length !== 0) return false;
  if (type === HEADERS && length === 0) return false;
  return type !== CONTINUATION && isFrame(type, length, streamAt(bytes, at));
}

export function lengthAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
}

export function streamAt(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at + 5] ?? 0) & 0x7f) << 24;
  return high | ((bytes[at + 6] ?? 0) << 16) | ((bytes[at + 7] ?? 0) << 8) | (bytes[at + 8] ?? 0);
}

/** How far a chain of likely frames goes. */
export interface Chain {
  /** Frames whose header was there; 0 when the bytes are no chain. */
  readonly frames: number;
  /** The last frame ends where the record ends. */
  readonly exact: boolean;
}

const NO_CHAIN: Chain = { frames: 0, exact: false };

/** `believes`: is this stream one on which such a frame may be? `length` of the record, captured or not. */
export function chainAt(
  bytes: Uint8Array,
  start: number,
  end: number,
  length: number,
  believes: (type: number, stream: number) => boolean,
): Chain {
  const recordEnd = start + length;
  let frames = 0;
  let at = start;
  while (at + HEADER_BYTES <= end) {
    if (!isLikelyFrame(bytes, at)) return NO_CHAIN;
    if (!believes(bytes[at + 3] ?? 0, streamAt(bytes, at))) return NO_CHAIN;
    frames++;
    at += HEADER_BYTES + lengthAt(bytes, at);
  }
  return { frames, exact: frames > 0 && at === recordEnd };
}
