// SPDX-License-Identifier: Apache-2.0

/** RFC 9110 section 5.6.2: tchar. */
const TOKEN: Uint8Array = createTokenTable();

function createTokenTable(): Uint8Array {
  const table = new Uint8Array(256);
  const characters =
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (let index = 0; index < characters.length; index++) table[characters.charCodeAt(index)] = 1;
  return table;
}

export function isTokenByte(byte: number): boolean {
  return TOKEN[byte] === 1;
}

/** 0 to 15, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 0x20;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

export function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}
