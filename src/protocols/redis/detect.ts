// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { effectOf, isKnown, SUBSCRIBE, UNSUBSCRIBE } from "./commands.ts";
import { toWord } from "./statements.ts";

const STAR = 0x2a;
const DOLLAR = 0x24;
const CR = 13;
const LF = 10;
const DIGITS_MAX = 7;
const COMMAND_BYTES_MAX = 64;

/** Results of `readCount` below 0. */
const CUT = -1;
const OTHER = -2;

/**
 * Could a command start with these bytes? An array whose first element is the name of a known
 * command, and whose others are strings, as far as there are bytes. Inline commands: `more` at best.
 */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  if (start >= end) return "more";
  if (bytes[start] !== STAR) return detectInline(bytes, start, end);
  const count = readCount(bytes, start + 1, end);
  if (count < 1) return count === CUT ? "more" : "no";
  let at = lineEnd(bytes, start, end);
  if (at >= end) return "more";
  if (bytes[at] !== DOLLAR) return "no";
  const length = readCount(bytes, at + 1, end);
  if (length === CUT) return "more";
  if (length < 1 || length > COMMAND_BYTES_MAX) return "no";
  at = lineEnd(bytes, at, end);
  if (at + length > end) return "more";
  const name = toWord(bytes, at, at + length).toUpperCase();
  if (!isKnown(name)) return "no";
  return detectRest(bytes, { at: at + length + 2, end, left: count - 1, name });
}

/** The other elements. A confirmation of a subscription begins as the command does. */
function detectRest(
  bytes: Uint8Array,
  rest: { at: number; readonly end: number; left: number; readonly name: string },
): Detection {
  const effect = effectOf(rest.name);
  const isAmbiguous = effect === SUBSCRIBE || effect === UNSUBSCRIBE;
  const { end } = rest;
  for (; rest.left > 0; rest.left--) {
    if (rest.at >= end) return isAmbiguous ? "more" : "yes";
    if (bytes[rest.at] !== DOLLAR) return "no";
    const length = readCount(bytes, rest.at + 1, end);
    if (length === OTHER) return "no";
    if (length === CUT) return isAmbiguous ? "more" : "yes";
    rest.at = lineEnd(bytes, rest.at, end) + length + 2;
  }
  return "yes";
}

/** A word that is a known command, to the end of the line or to a space; HTTP has such words too. */
function detectInline(bytes: Uint8Array, start: number, end: number): Detection {
  let at = start;
  while (at < end && (bytes[at] ?? 0) > 0x20) at++;
  if (at - start > COMMAND_BYTES_MAX) return "no";
  if (at === end) return toWord(bytes, start, end) === "" ? "no" : "more";
  if (!isKnown(toWord(bytes, start, at).toUpperCase())) return "no";
  const line = lineEnd(bytes, start, end);
  const text = String.fromCharCode(...bytes.subarray(start, Math.min(line, start + 256)));
  return / HTTP\/\d\.\d\r?\n?$/.test(text) ? "no" : "more";
}

/** Digits and CRLF. */
function readCount(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === CR) {
      if (at === start) return OTHER;
      if (at + 1 === end) return CUT;
      return bytes[at + 1] === LF ? value : OTHER;
    }
    if (byte < 48 || byte > 57 || at - start >= DIGITS_MAX + 3) return OTHER;
    value = value * 10 + byte - 48;
  }
  return CUT;
}

/** The offset after the next LF, or `end`. */
function lineEnd(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === LF) return at + 1;
  return end;
}
