// SPDX-License-Identifier: Apache-2.0

/** Bytes of a name that is remembered (NAMEDATALEN is 64, but protocol names may be longer). */
const NAME_BYTES_MAX = 256;
const SQLSTATE_FIELD = 0x43;
const SQLSTATE = /^[0-9A-Z]{5}$/;

const decoder = new TextDecoder();

/** The offset of the next NUL, or `end`. */
export function stringEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== 0) at++;
  return at;
}

export function readName(bytes: Uint8Array, start: number, end: number): string {
  if (end <= start) return "";
  return decoder.decode(bytes.subarray(start, Math.min(end, start + NAME_BYTES_MAX)));
}

/** The SQLSTATE of an ErrorResponse; XX000 (internal error) when it cannot be read. */
export function readSqlstate(bytes: Uint8Array, start: number, end: number): string {
  let at = start;
  while (at < end && bytes[at] !== 0) {
    const close = stringEnd(bytes, at + 1, end);
    if (bytes[at] === SQLSTATE_FIELD) {
      const code = readName(bytes, at + 1, close);
      return SQLSTATE.test(code) ? code : "XX000";
    }
    at = close + 1;
  }
  return "XX000";
}

/** The database of a StartupMessage's parameters; by default it is the user's name. */
export function readDatabase(bytes: Uint8Array, start: number, end: number): string {
  let user = "";
  let at = start;
  while (at < end && bytes[at] !== 0) {
    const keyEnd = stringEnd(bytes, at, end);
    const valueEnd = stringEnd(bytes, keyEnd + 1, end);
    const key = readName(bytes, at, keyEnd);
    if (key === "database") return readName(bytes, keyEnd + 1, valueEnd);
    if (key === "user") user = readName(bytes, keyEnd + 1, valueEnd);
    at = valueEnd + 1;
  }
  return user;
}

/** Rows that `SELECT 5` or `FETCH 5` gave; -1 for other command tags. */
export function readReturnedRows(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start];
  // SELECT or FETCH, without a string for each result.
  if (first !== 0x53 && first !== 0x46) return -1;
  const tag = /^(?:SELECT|FETCH) (\d{1,15})$/.exec(
    readName(bytes, start, stringEnd(bytes, start, end)),
  );
  return tag === null ? -1 : Number(tag[1]);
}
