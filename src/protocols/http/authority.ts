// SPDX-License-Identifier: Apache-2.0

import { ByteTable } from "../http1/byte-table.ts";
import { isDigit } from "./characters.ts";

const COLON = 58;
const AT = 64;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;

/** The host and port that a request names (RFC 3986 section 3.2), without user information. */
export interface Authority {
  /** As it was written, without user information. */
  readonly bytes: Uint8Array;
  /** Without brackets. */
  readonly address: string;
  /** 0 when none was written: the scheme's default. */
  readonly port: number;
  /** Differs between authorities that are in use at one time. */
  readonly id: number;
}

const NO_PORT = 0;
/** A host name has at most 253 characters; more is not believed. */
const AUTHORITY_BYTES_MAX = 300;

/** Authorities seen, each parsed once. Forgets all when full: a proxy can meet any number. */
export class AuthorityTable {
  readonly #table = new ByteTable<Authority | undefined>();
  readonly #entriesMax: number;
  #created = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Undefined when the bytes are none. */
  find(bytes: Uint8Array, start: number, end: number): Authority | undefined {
    if (end <= start || end - start > AUTHORITY_BYTES_MAX) return undefined;
    const found = this.#table.find(bytes, start, end);
    if (found !== undefined) return found;
    const authority = parseAuthority(bytes, start, end, ++this.#created);
    if (authority === undefined) return undefined;
    if (this.#table.count >= this.#entriesMax) this.#table.clear();
    this.#table.add(bytes, start, end, authority);
    return authority;
  }
}

function parseAuthority(
  bytes: Uint8Array,
  from: number,
  end: number,
  id: number,
): Authority | undefined {
  let start = from;
  for (let at = from; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === AT) start = at + 1;
    if (byte <= 32 || byte === 127 || byte === 47) return undefined;
  }
  let host = start;
  let hostEnd = end;
  let portStart = end;
  if (bytes[start] === OPEN_BRACKET) {
    const close = bytes.indexOf(CLOSE_BRACKET, start);
    if (close < 0 || close >= end) return undefined;
    host = start + 1;
    hostEnd = close;
    portStart = close + 1;
  } else {
    const colon = bytes.indexOf(COLON, start);
    if (colon >= 0 && colon < end) {
      hostEnd = colon;
      portStart = colon;
    }
  }
  if (hostEnd <= host) return undefined;
  const port = parsePort(bytes, portStart, end);
  if (port === undefined) return undefined;
  const address = new TextDecoder().decode(bytes.slice(host, hostEnd));
  return { bytes: bytes.slice(start, end), address, port, id };
}

/** `[":" [1*DIGIT]]` */
function parsePort(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (start >= end) return NO_PORT;
  if (bytes[start] !== COLON || end - start > 6) return undefined;
  if (end - start === 1) return NO_PORT;
  let port = 0;
  for (let at = start + 1; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (!isDigit(byte)) return undefined;
    port = port * 10 + byte - 48;
  }
  return port <= 65535 ? port : undefined;
}
