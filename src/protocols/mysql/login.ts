// SPDX-License-Identifier: Apache-2.0
import {
  DB_SYSTEM_NAME_VALUE_MARIADB,
  DB_SYSTEM_NAME_VALUE_MYSQL,
} from "@opentelemetry/semantic-conventions";
import { afterLength, readInt32, readLength, readName, stringEnd } from "./packet.ts";

/** Capability flags, https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html */
const CLIENT_CONNECT_WITH_DB = 0x8;
const CLIENT_COMPRESS = 0x20;
export const CLIENT_PROTOCOL_41 = 0x200;
const CLIENT_SSL = 0x800;
const CLIENT_SECURE_CONNECTION = 0x8000;
const CLIENT_PLUGIN_AUTH_LENENC = 0x200000;
const CLIENT_ZSTD_COMPRESSION = 0x4000000;
/** Capabilities, maximum packet size, character set and a filler; an SSLRequest is no longer. */
export const LOGIN_FIXED_BYTES = 32;

export interface Login {
  readonly namespace: string;
  readonly isTlsRequest: boolean;
  readonly wantsCompression: boolean;
}

/** The payload of the client's first packet, `length` bytes of which `bytes[start … end)` are seen. */
export function readLogin(
  bytes: Uint8Array,
  start: number,
  end: number,
  length: number,
): Login | undefined {
  const flags = end - start >= 4 ? readInt32(bytes, start) : 0;
  if (length < LOGIN_FIXED_BYTES || (flags & CLIENT_PROTOCOL_41) === 0) return undefined;
  const isTlsRequest = (flags & CLIENT_SSL) !== 0 && length === LOGIN_FIXED_BYTES;
  const wantsCompression = (flags & (CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION)) !== 0;
  let namespace = "";
  if ((flags & CLIENT_CONNECT_WITH_DB) !== 0) {
    let at = stringEnd(bytes, start + LOGIN_FIXED_BYTES, end) + 1;
    if ((flags & CLIENT_PLUGIN_AUTH_LENENC) !== 0) {
      at = afterLength(bytes, at) + Math.max(0, readLength(bytes, at));
    } else if ((flags & CLIENT_SECURE_CONNECTION) !== 0) at += 1 + (bytes[at] ?? 0);
    else at = stringEnd(bytes, at, end) + 1;
    namespace = readName(bytes, at, stringEnd(bytes, at, end));
  }
  return { namespace, isTlsRequest, wantsCompression };
}

/** The database of a COM_CHANGE_USER, without its command byte. */
export function readChangedDatabase(bytes: Uint8Array, start: number, end: number): string {
  const auth = stringEnd(bytes, start, end) + 1;
  const at = auth + 1 + (bytes[auth] ?? 0);
  return readName(bytes, at, stringEnd(bytes, at, end));
}

/** `db.system.name` by the version in a greeting: 10, then text up to NUL. */
export function readSystem(bytes: Uint8Array, start: number, end: number): string {
  const version = readName(bytes, start + 1, stringEnd(bytes, start + 1, end));
  return /mariadb/i.test(version) ? DB_SYSTEM_NAME_VALUE_MARIADB : DB_SYSTEM_NAME_VALUE_MYSQL;
}
