// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { ByteCursor, type NameTable, readUint16, readUint32 } from "../byte-cursor.ts";
import { NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";

const RESPONSE = 0;
const REQUEST = 1;
export const ONE_WAY = 2;
const HEARTBEAT_CODE = 0;
const CRC_BYTES = 4;
const CONTENT_BYTES_MAX = 2 ** 30;
/** Entries of a header that are looked at. */
const ENTRIES_MAX = 64;

/** Longest head: a request of version 2. */
export const HEAD_BYTES_MAX = 24;

/** A command of Bolt, the protocol of SOFARPC, read in place; version 1 or 2. */
export class BoltCommand {
  readonly #cursor: ByteCursor;
  type = 0;
  isHeartbeat = false;
  id = 0;
  status = 0;
  service = "";
  method = "";
  /** The response says that the service failed. */
  isFailure = false;

  constructor(names: NameTable) {
    this.#cursor = new ByteCursor(names);
  }

  /** The fixed part of a frame for which `frameBytes` has found a length. */
  readHead(bytes: Uint8Array, start: number): void {
    const at = start + (bytes[start] === 2 ? 2 : 1);
    this.type = bytes[at] ?? 0;
    this.isHeartbeat = readUint16(bytes, at + 1) === HEARTBEAT_CODE;
    this.id = readUint32(bytes, at + 4);
    const lengths = headBytes(bytes, start) + start - 8;
    this.status = this.type === RESPONSE ? readUint16(bytes, lengths - 2) : 0;
  }

  /** The header: a map of texts, behind the name of the content's class. */
  readHeader(bytes: Uint8Array, start: number, end: number): void {
    const head = start + headBytes(bytes, start);
    const first = head + readUint16(bytes, head - 8);
    const stop = first + readUint16(bytes, head - 6);
    this.service = "";
    this.method = "";
    this.isFailure = false;
    const cursor = this.#cursor.over(bytes, first, Math.min(stop, end));
    for (let left = ENTRIES_MAX; left > 0 && cursor.at < cursor.end; left--) {
      const name = cursor.name(cursor.uint32());
      if (cursor.isCut) return;
      if (name === "sofa_head_target_service") this.service = cursor.name(cursor.uint32());
      else if (name === "sofa_head_method_name") this.method = cursor.name(cursor.uint32());
      else if (name === "sofa_head_response_error") {
        this.isFailure = cursor.name(cursor.uint32()) === "true";
      } else cursor.skip(cursor.uint32());
    }
  }
}

/** Bytes before the class's name. */
function headBytes(bytes: Uint8Array, start: number): number {
  const isV2 = bytes[start] === 2;
  const isResponse = bytes[start + (isV2 ? 2 : 1)] === RESPONSE;
  return (isV2 ? 24 : 22) - (isResponse ? 2 : 0);
}

export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  const available = end - start;
  if (available < 1) return NEED_MORE;
  const version = bytes[start] ?? 0;
  if (version !== 1 && version !== 2) return NOT_A_FRAME;
  const at = start + version;
  if (at >= end) return NEED_MORE;
  if ((bytes[at] ?? 0) > ONE_WAY) return NOT_A_FRAME;
  if (at + 4 > end) return NEED_MORE;
  if (readUint16(bytes, at + 1) > 2) return NOT_A_FRAME;
  const head = headBytes(bytes, start);
  if (available < head) return NEED_MORE;
  const content = readUint32(bytes, start + head - 4);
  if (content > CONTENT_BYTES_MAX) return NOT_A_FRAME;
  const texts = readUint16(bytes, start + head - 8) + readUint16(bytes, start + head - 6);
  // The switch byte of version 2: its lowest bit asks for a checksum.
  const checksum = version === 2 && ((bytes[start + 11] ?? 0) & 1) === 1 ? CRC_BYTES : 0;
  return head + texts + content + checksum;
}

/** Version, type, code and a class whose name can be read; a heartbeat has none. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length === NOT_A_FRAME) return "no";
  if (length === NEED_MORE) return "more";
  const version = bytes[start] ?? 0;
  const at = start + version;
  const [type, code] = [bytes[at] ?? 0, readUint16(bytes, at + 1)];
  const isResponse = type === RESPONSE;
  if (code === 1 && isResponse) return "no";
  if (code === 2 && !isResponse) return "no";
  if (version === 2 && (bytes[start + 1] ?? 0) > 2) return "no";
  const head = start + headBytes(bytes, start);
  const classLength = readUint16(bytes, head - 8);
  if (code === HEARTBEAT_CODE) return classLength === 0 && length <= HEAD_BYTES_MAX ? "weak" : "no";
  if (classLength === 0) return isResponse ? "weak" : "no";
  if (classLength > 512) return "no";
  const stop = Math.min(end, head + classLength);
  let dots = 0;
  for (let index = head; index < stop; index++) {
    const byte = bytes[index] ?? 0;
    if (byte < 0x24 || byte > 0x7a) return "no";
    if (byte === 0x2e) dots++;
  }
  if (dots >= 2) return "yes";
  return stop < head + classLength ? "more" : "weak";
}

export function isRequestType(type: number): boolean {
  return type === REQUEST || type === ONE_WAY;
}

/** `com.alipay.remoting.ResponseStatus` */
const STATUSES: ReadonlyMap<number, string> = new Map([
  [0, "SUCCESS"],
  [1, "ERROR"],
  [2, "SERVER_EXCEPTION"],
  [3, "UNKNOWN"],
  [4, "SERVER_THREADPOOL_BUSY"],
  [5, "ERROR_COMM"],
  [6, "NO_PROCESSOR"],
  [7, "TIMEOUT"],
  [8, "CLIENT_SEND_ERROR"],
  [9, "CODEC_EXCEPTION"],
  [16, "CONNECTION_CLOSED"],
  [17, "SERVER_SERIAL_EXCEPTION"],
  [18, "SERVER_DESERIAL_EXCEPTION"],
]);

export function statusName(status: number): string {
  return STATUSES.get(status) ?? `STATUS_${status}`;
}
