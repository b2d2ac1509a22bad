// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { binaryName, TEXT_COMMANDS } from "./commands.ts";

const REQUEST_MAGIC = 0x80;
const RESPONSE_MAGIC = 0x81;
const BINARY_HEADER = 24;
const KEY_BYTES_MAX = 250;
const EXTRAS_MAX = 20;
const BODY_MAX = 2 ** 27;
const LINE_BYTES = 400;
const WORD_BYTES_MAX = 16;
const LF = 10;

const STORAGE =
  /^(?:set|add|replace|append|prepend) \S{1,250} \d{1,10} -?\d{1,10} \d{1,10}(?: \d{1,20})?(?: noreply)?$/;
const CAS = /^cas \S{1,250} \d{1,10} -?\d{1,10} \d{1,10} \d{1,20}(?: noreply)?$/;
const META_SET = /^ms \S{1,250} \d{1,10}(?: [A-Za-z]\S*)*$/;
const VALUE = /^VALUE \S{1,250} \d{1,10} \d{1,10}(?: \d{1,20})?$/;
const ANSWERS = /^(?:STORED|NOT_STORED|TOUCHED|(?:CLIENT|SERVER)_ERROR .+)$/;
const SHORT_ANSWERS =
  /^(?:END|ERROR|EXISTS|NOT_FOUND|DELETED|MN|EN|HD(?: .*)?|VA \d+(?: .*)?|STAT \S+ .*)$/;

/** Could a message of either side start with these bytes? */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const first = bytes[start] ?? 0;
  if (start >= end) return "more";
  if (first === REQUEST_MAGIC || first === RESPONSE_MAGIC) return detectBinary(bytes, start, end);
  const line = readLine(bytes, start, end);
  if (line === undefined) return isCutWord(bytes, start, end) ? "more" : "no";
  if (STORAGE.test(line) || CAS.test(line) || META_SET.test(line)) return "yes";
  if (VALUE.test(line) || ANSWERS.test(line)) return "yes";
  if (SHORT_ANSWERS.test(line)) return "weak";
  // Redis has some of these words as inline commands.
  return isCommandLine(line) ? "weak" : "no";
}

/** Could a request start with these bytes, on a connection that is believed to be of this protocol? */
export function detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
  if (start >= end) return "more";
  if (bytes[start] === REQUEST_MAGIC) return detectBinary(bytes, start, end);
  const line = readLine(bytes, start, end);
  if (line === undefined) return isCutWord(bytes, start, end) ? "more" : "no";
  return isCommandLine(line) ? "yes" : "no";
}

function isCommandLine(line: string): boolean {
  const [word = "", key = ""] = line.split(" ", 2);
  const command = TEXT_COMMANDS.get(word);
  if (command === undefined) return false;
  return command.keyAt === 0 || (key !== "" && key.length <= KEY_BYTES_MAX);
}

/** The first line, or the beginning of one that is long; undefined when there is no whole one. */
function readLine(bytes: Uint8Array, start: number, end: number): string | undefined {
  const limit = Math.min(end, start + LINE_BYTES);
  let stop = start;
  while (stop < limit && bytes[stop] !== LF) stop++;
  if (stop === end) return undefined;
  const text = String.fromCharCode(...bytes.subarray(start, stop));
  return text.endsWith("\r") ? text.slice(0, -1) : text;
}

/** So far nothing speaks against the line: it begins as a command's or an answer's does. */
function isCutWord(bytes: Uint8Array, start: number, end: number): boolean {
  const limit = Math.min(end, start + WORD_BYTES_MAX);
  let at = start;
  while (at < limit && isWordByte(bytes[at] ?? 0)) at++;
  if (at === end) return true;
  const word = String.fromCharCode(...bytes.subarray(start, at));
  return bytes[at] === 0x20 && (TEXT_COMMANDS.has(word) || word === "VALUE" || word === "STAT");
}

function isWordByte(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f;
}

function detectBinary(bytes: Uint8Array, start: number, end: number): Detection {
  const isRequest = bytes[start] === REQUEST_MAGIC;
  if (end - start > 1 && binaryName(bytes[start + 1] ?? 0) === "") return "no";
  if (end - start > 5 && bytes[start + 5] !== 0) return "no";
  if (end - start < BINARY_HEADER) return "more";
  const key = ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0);
  const extras = bytes[start + 4] ?? 0;
  const body = readInt32(bytes, start + 8);
  if (key > KEY_BYTES_MAX || extras > EXTRAS_MAX || body > BODY_MAX) return "no";
  if (key + extras > body) return "no";
  // A request's version of what it changes, and its virtual bucket, are mostly 0.
  const bucket = ((bytes[start + 6] ?? 0) << 8) | (bytes[start + 7] ?? 0);
  return bucket <= (isRequest ? 0x3ff : 0x86) ? "yes" : "no";
}

export function readInt32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
