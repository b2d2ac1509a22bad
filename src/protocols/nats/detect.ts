// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";

/** Operations of the client protocol; `-ERR` and `+OK` come from servers. */
export const OPERATIONS: readonly string[] = [
  ...["INFO", "CONNECT", "PUB", "HPUB", "SUB", "UNSUB", "MSG", "HMSG", "PING", "PONG"],
  ...["+OK", "-ERR"],
];

const WORD_BYTES_MAX = 7;
const LF = 10;

/** Index in `OPERATIONS` of the word that starts there, whatever its case; -1 if it is none. */
export function operationAt(bytes: Uint8Array, start: number, end: number): number {
  let length = 0;
  while (start + length < end && (bytes[start + length] ?? 0) > 0x20) {
    if (++length > WORD_BYTES_MAX) return -1;
  }
  return OPERATIONS.findIndex((word) => word.length === length && matches(bytes, start, word));
}

function matches(bytes: Uint8Array, start: number, word: string): boolean {
  for (let index = 0; index < word.length; index++) {
    const byte = bytes[start + index] ?? 0;
    const upper = byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte;
    if (upper !== word.charCodeAt(index)) return false;
  }
  return true;
}

/**
 * `INFO {` and `CONNECT {` are of no other protocol. `PUB` and `MSG` lines must end in their
 * numbers. The rest are words that others have, too.
 */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const word = OPERATIONS[operationAt(bytes, start, end)];
  if (word === undefined) return isBeginning(bytes, start, end) ? "more" : "no";
  const line = bytes.indexOf(LF, start);
  const stop = line < 0 || line >= end ? end : line;
  if (word === "INFO" || word === "CONNECT") {
    const at = start + word.length;
    if (at + 1 >= end) return "more";
    return bytes[at] === 0x20 && bytes[at + 1] === 0x7b ? "yes" : "no";
  }
  if (stop === end) return end - start > 4096 ? "no" : "more";
  if (bytes[stop - 1] !== 13) return "no";
  const text = String.fromCharCode(...bytes.subarray(start, Math.min(stop - 1, start + 1024)));
  return text.length < 1024 && LINES[word]?.test(text) ? (GUESSES[word] ?? "no") : "no";
}

const SUBJECT = String.raw`[^\s]+`;
const LINES: Readonly<Record<string, RegExp>> = {
  PUB: new RegExp(String.raw`^PUB[ \t]+${SUBJECT}([ \t]+${SUBJECT})?[ \t]+\d{1,9}$`, "i"),
  HPUB: new RegExp(String.raw`^HPUB[ \t]+${SUBJECT}([ \t]+${SUBJECT})?([ \t]+\d{1,9}){2}$`, "i"),
  SUB: new RegExp(String.raw`^SUB[ \t]+${SUBJECT}([ \t]+${SUBJECT})?[ \t]+\w{1,40}$`, "i"),
  UNSUB: /^UNSUB[ \t]+\w{1,40}([ \t]+\d{1,9})?$/i,
  MSG: new RegExp(
    String.raw`^MSG[ \t]+${SUBJECT}[ \t]+\w{1,40}([ \t]+${SUBJECT})?[ \t]+\d{1,9}$`,
    "i",
  ),
  HMSG: new RegExp(
    String.raw`^HMSG[ \t]+${SUBJECT}[ \t]+\w{1,40}([ \t]+${SUBJECT})?([ \t]+\d{1,9}){2}$`,
    "i",
  ),
  PING: /^PING[ \t]*$/i,
  PONG: /^PONG[ \t]*$/i,
  "+OK": /^\+OK[ \t]*$/i,
  "-ERR": /^-ERR[ \t]+'.*'$/i,
};
const GUESSES: Readonly<Record<string, Detection>> = {
  ...{ PUB: "yes", HPUB: "yes", MSG: "yes", HMSG: "yes" },
  // Redis answers PING and +OK like this.
  ...{ SUB: "weak", UNSUB: "weak", PING: "weak", PONG: "weak", "+OK": "weak", "-ERR": "weak" },
};

/** The bytes are the beginning of an operation's word and nothing more. */
function isBeginning(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  return OPERATIONS.some(
    (word) => length < word.length && matches(bytes, start, word.slice(0, length)),
  );
}
