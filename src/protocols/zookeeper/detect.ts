// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint32 } from "../byte-cursor.ts";
import { NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import { CLOSE_SESSION, operationOf, PING } from "./operations.ts";

const LENGTH_BYTES = 4;
/** Of a response's header, and of a request that has nothing but one. */
const REQUEST_BYTES_MIN = 8;
/** Sixteen times `jute.maxbuffer`. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const PATH_BYTES_MAX = 4096;
const SLASH = 47;
const PASSWORD_BYTES = 16;

export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < LENGTH_BYTES) return NEED_MORE;
  const length = readUint32(bytes, start);
  if (length < REQUEST_BYTES_MIN || length > FRAME_BYTES_MAX) return NOT_A_FRAME;
  return LENGTH_BYTES + length;
}

/** The first request of all: it has neither id nor kind, and a password of 16 bytes. */
export function isConnect(bytes: Uint8Array, start: number, end: number): boolean {
  const length = readUint32(bytes, start);
  if ((length !== 44 && length !== 45) || end - start < 32) return false;
  return readUint32(bytes, start + 4) === 0 && readUint32(bytes, start + 28) === PASSWORD_BYTES;
}

/** The answer to it. */
export function isConnected(bytes: Uint8Array, start: number, end: number): boolean {
  const length = readUint32(bytes, start);
  if ((length !== 36 && length !== 37) || end - start < 24) return false;
  return readUint32(bytes, start + 4) === 0 && readUint32(bytes, start + 20) === PASSWORD_BYTES;
}

/** Could a request start so? `yes` with a path, of which a response has none there. */
export function detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length === NOT_A_FRAME) return "no";
  if (end - start < 12) return "more";
  if (isConnect(bytes, start, end)) return "yes";
  const xid = readUint32(bytes, start + 4) | 0;
  const code = readUint32(bytes, start + 8) | 0;
  const operation = operationOf(code);
  if (operation === undefined) return "no";
  if (!operation.hasPath) {
    if (code === CLOSE_SESSION) return length === 12 ? "yes" : "no";
    if (code === PING) return xid === -2 && length === 12 ? "yes" : "no";
    return xid === 0 ? "no" : "weak";
  }
  if (end - start < 17) return end - start < length ? "more" : "no";
  const pathLength = readUint32(bytes, start + 12);
  if (pathLength === 0 || pathLength > PATH_BYTES_MAX || pathLength + 16 > length) return "no";
  return bytes[start + 16] === SLASH && xid > 0 ? "yes" : "no";
}

export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const found = detectRequest(bytes, start, end);
  if (found === "yes" || end - start < LENGTH_BYTES) return found;
  if (frameBytes(bytes, start, end) !== NOT_A_FRAME && end - start >= 24) {
    if (isConnected(bytes, start, end)) return "yes";
  }
  return found;
}
