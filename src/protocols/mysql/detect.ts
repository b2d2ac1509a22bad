// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { isSqlStatement } from "../sql/sql.ts";
import { CLIENT_PROTOCOL_41, LOGIN_FIXED_BYTES } from "./login.ts";
import {
  COM_INIT_DB,
  COM_QUERY,
  COM_STMT_BULK_EXECUTE,
  COM_STMT_CLOSE,
  COM_STMT_EXECUTE,
  COM_STMT_FETCH,
  COM_STMT_PREPARE,
  COM_STMT_RESET,
  isCommand,
  readInt24,
  readInt32,
  readName,
  stringEnd,
} from "./packet.ts";

const GREETING = 0x0a;
const GREETING_BYTES_MIN = 30;
const GREETING_BYTES_MAX = 512;
const VERSION_BYTES_MAX = 100;
const LOGIN_BYTES_MAX = 64 * 1024;
const WORD_BYTES = 64;
const NAME_BYTES_MAX = 64;
const EXECUTE_BYTES_MIN = 10;
/** COM_* without arguments that clients send in command phase. */
const BARE: ReadonlySet<number> = new Set([0x01, 0x09, 0x0a, 0x0d, 0x0e, 0x1f]);

/** Could a packet of either side start with these bytes? */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const greeting = detectGreeting(bytes, start, end);
  if (greeting !== "no") return greeting;
  const request = detectRequest(bytes, start, end);
  // Short commands are too much like other protocols' frames.
  if (request === "yes" && !isTelling(bytes, start, end)) return "weak";
  return request === "no" ? detectResponse(bytes, start, end) : request;
}

function isTelling(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start + 3] === 1) return true;
  const command = bytes[start + 4] ?? 0;
  const isText = command === COM_QUERY || command === COM_STMT_PREPARE;
  return isText || (command === COM_STMT_EXECUTE && end - start >= 14);
}

/** A server's first packet: protocol version 10, its version as text. */
export function detectGreeting(bytes: Uint8Array, start: number, end: number): Detection {
  const count = end - start;
  if (count < 5) {
    const isLong =
      (count > 1 && (bytes[start + 1] ?? 0) > 1) || (count > 2 && bytes[start + 2] !== 0);
    return isLong || (count > 3 && bytes[start + 3] !== 0) ? "no" : "more";
  }
  const length = readInt24(bytes, start);
  if (length < GREETING_BYTES_MIN || length > GREETING_BYTES_MAX) return "no";
  if (bytes[start + 3] !== 0 || bytes[start + 4] !== GREETING) return "no";
  const limit = Math.min(end, start + 5 + VERSION_BYTES_MAX);
  const stop = stringEnd(bytes, start + 5, limit);
  const version = readName(bytes, start + 5, stop);
  if (stop === end) return /^[\x20-\x7e]*$/.test(version) ? "more" : "no";
  return /^\d+\.\d+[\x20-\x7e]*$/.test(version) ? "yes" : "no";
}

/** A client's packet that starts something: the login or a command. */
export function detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
  if (end - start < 5) return end - start < 4 || (bytes[start + 3] ?? 0) <= 1 ? "more" : "no";
  const length = readInt24(bytes, start);
  const sequence = bytes[start + 3] ?? 0;
  if (length === 0 || sequence > 1) return "no";
  if (sequence === 1) return detectLogin(bytes, start, end);
  const command = bytes[start + 4] ?? 0;
  const body = start + 5;
  if (!isCommand(command)) return "no";
  if (BARE.has(command)) return length === 1 ? "yes" : "no";
  switch (command) {
    case COM_QUERY:
    case COM_STMT_PREPARE:
      return detectText(bytes, body, Math.min(end, body + length - 1));
    case COM_INIT_DB:
      if (length < 2 || length > NAME_BYTES_MAX + 1) return "no";
      return isText(readName(bytes, body, Math.min(end, body + length - 1))) ? "yes" : "no";
    case COM_STMT_EXECUTE:
      if (length < EXECUTE_BYTES_MIN) return "no";
      if (end - body < 9) return "more";
      return (bytes[body + 4] ?? 0) <= 8 && readInt32(bytes, body + 5) === 1 ? "yes" : "no";
    case COM_STMT_CLOSE:
    case COM_STMT_RESET:
      return length === 5 ? "yes" : "no";
    case COM_STMT_FETCH:
      return length === 9 ? "yes" : "no";
    case COM_STMT_BULK_EXECUTE:
      return length >= 7 ? "more" : "no";
    default:
      return "more";
  }
}

/** A comment, or a word that begins statements. */
function detectText(bytes: Uint8Array, start: number, end: number): Detection {
  const text = readName(bytes, start, Math.min(end, start + WORD_BYTES));
  const word = /^[\s(;]*([A-Za-z]+)/.exec(text);
  if (word !== null && isSqlStatement(word[1] ?? "")) return "yes";
  if (/^\s*(?:\/\*|-- |#)/.test(text)) return "yes";
  // A statement that is wrong, or none.
  return /^[\s(;]*[A-Za-z]*$/.test(text) ? "more" : "no";
}

/** White space, but no other control character. */
function isText(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 9 || (code > 13 && code < 32) || code === 127) return false;
  }
  return true;
}

function detectLogin(bytes: Uint8Array, start: number, end: number): Detection {
  const length = readInt24(bytes, start);
  if (length < LOGIN_FIXED_BYTES || length > LOGIN_BYTES_MAX) return "no";
  if (end - start < 4 + LOGIN_FIXED_BYTES) return "more";
  if ((readInt32(bytes, start + 4) & CLIENT_PROTOCOL_41) === 0) return "no";
  // The filler; MariaDB's last four bytes are more capabilities.
  for (let at = start + 13; at < start + 32; at++) if (bytes[at] !== 0) return "no";
  return "yes";
}

/** OK, error, or the number of a result's columns. */
function detectResponse(bytes: Uint8Array, start: number, end: number): Detection {
  const length = readInt24(bytes, start);
  if (bytes[start + 3] !== 1 || length === 0) return "no";
  const first = bytes[start + 4] ?? 0;
  if (first === 0xff) return length >= 9 && bytes[start + 7] === 0x23 ? "weak" : "no";
  if (first === 0) return length >= 7 && length <= 256 ? "weak" : "no";
  return length <= 2 && first < 0xfb && end - start > 5 ? "weak" : "no";
}
