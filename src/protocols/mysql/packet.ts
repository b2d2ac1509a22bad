// SPDX-License-Identifier: Apache-2.0
import { type Framing, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";

/** https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html */
export const COM_QUIT = 0x01;
export const COM_INIT_DB = 0x02;
export const COM_QUERY = 0x03;
export const COM_FIELD_LIST = 0x04;
export const COM_STATISTICS = 0x09;
export const COM_PROCESS_INFO = 0x0a;
export const COM_PING = 0x0e;
export const COM_CHANGE_USER = 0x11;
export const COM_BINLOG_DUMP = 0x12;
const COM_TABLE_DUMP = 0x13;
const COM_REGISTER_SLAVE = 0x15;
export const COM_STMT_PREPARE = 0x16;
export const COM_STMT_EXECUTE = 0x17;
export const COM_STMT_SEND_LONG_DATA = 0x18;
export const COM_STMT_CLOSE = 0x19;
export const COM_STMT_RESET = 0x1a;
export const COM_SET_OPTION = 0x1b;
export const COM_STMT_FETCH = 0x1c;
const COM_BINLOG_DUMP_GTID = 0x1e;
export const COM_RESET_CONNECTION = 0x1f;
/** https://mariadb.com/kb/en/com_stmt_bulk_execute/ */
export const COM_STMT_BULK_EXECUTE = 0xfa;

/** What `db.operation.name` says of commands that hold no statement. */
export const COMMAND_NAMES: ReadonlyMap<number, string> = new Map([
  [COM_INIT_DB, "INIT_DB"],
  [COM_FIELD_LIST, "FIELD_LIST"],
  [0x05, "CREATE_DB"],
  [0x06, "DROP_DB"],
  [0x07, "REFRESH"],
  [0x08, "SHUTDOWN"],
  [COM_STATISTICS, "STATISTICS"],
  [COM_PROCESS_INFO, "PROCESS_INFO"],
  [0x0c, "PROCESS_KILL"],
  [0x0d, "DEBUG"],
  [COM_PING, "PING"],
]);

/** The server sends events without end, or as the replica that it takes us for. */
export const STREAMS: ReadonlySet<number> = new Set([
  COM_BINLOG_DUMP,
  COM_TABLE_DUMP,
  COM_REGISTER_SLAVE,
  COM_BINLOG_DUMP_GTID,
]);
export const UNANSWERED: ReadonlySet<number> = new Set([
  COM_QUIT,
  COM_STMT_CLOSE,
  COM_STMT_SEND_LONG_DATA,
]);

const HEADER_BYTES = 4;
/** A payload of this length goes on in the next packet. */
export const PAYLOAD_MAX = 0xffffff;

export function isCommand(byte: number): boolean {
  return (byte > 0 && byte <= 0x1f) || byte === COM_STMT_BULK_EXECUTE;
}

/** A length of three bytes, a number in the exchange of packets, a payload. */
export const REQUEST_FRAMING: Framing = {
  headerBytes: HEADER_BYTES + 1,
  frameLength: (bytes, start, end) => {
    if (end - start < HEADER_BYTES) return NEED_MORE;
    const length = readInt24(bytes, start);
    if (bytes[start + 3] !== 0 || length === 0) return HEADER_BYTES + length;
    if (end - start < HEADER_BYTES + 1) return NEED_MORE;
    return isCommand(bytes[start + 4] ?? 0) ? HEADER_BYTES + length : NOT_A_FRAME;
  },
};

export const RESPONSE_FRAMING: Framing = {
  headerBytes: HEADER_BYTES + 1,
  frameLength: (bytes, start, end) => {
    if (end - start < HEADER_BYTES) return NEED_MORE;
    return HEADER_BYTES + readInt24(bytes, start);
  },
};

export function readInt16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

export function readInt24(bytes: Uint8Array, at: number): number {
  return readInt16(bytes, at) | ((bytes[at + 2] ?? 0) << 16);
}

export function readInt32(bytes: Uint8Array, at: number): number {
  return (readInt24(bytes, at) | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
}

/** The offset after a length-encoded integer. */
export function afterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0xfb) return at + 1;
  return at + (first === 0xfc ? 3 : first === 0xfd ? 4 : first === 0xfe ? 9 : 1);
}

/** A length-encoded integer below 2^24, -1 for larger ones and what is none. */
export function readLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0xfb) return first;
  if (first === 0xfc) return readInt16(bytes, at + 1);
  return first === 0xfd ? readInt24(bytes, at + 1) : -1;
}

/** The offset of the next NUL, or `end`. */
export function stringEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = Math.min(start, end);
  while (at < end && bytes[at] !== 0) at++;
  return at;
}

const decoder = new TextDecoder();
const NAME_BYTES_MAX = 256;

export function readName(bytes: Uint8Array, start: number, end: number): string {
  if (end <= start) return "";
  return decoder.decode(bytes.subarray(start, Math.min(end, start + NAME_BYTES_MAX)));
}
