// SPDX-License-Identifier: Apache-2.0
import { IPPROTO_TCP, IPPROTO_UDP, readAddressText } from "../../src/conntrack/nat-entry.ts";
import {
  FieldReader,
  readFixed32,
  WIRE_BYTES,
  WIRE_FIXED64,
  WIRE_VARINT,
} from "../../src/pdata/wire.ts";
import {
  CLIENT_ADDRESS_AT,
  CLIENT_PORT_AT,
  EVIDENCE_AT,
  LOCAL_ADDRESS_AT,
  LOCAL_PORT_AT,
  PEER_ADDRESS_AT,
  PEER_PORT_AT,
  READ_KEYS,
  SERVER_ADDRESS_AT,
  SERVER_PORT_AT,
  TRANSPORT_AT,
} from "./keys.ts";

/** Fields of Span (trace.proto). */
const SPAN_ID = 2;
const PARENT_SPAN_ID = 4;
const KIND = 6;
const START_TIME = 7;
export const SPAN_ATTRIBUTES = 9;
const KIND_SERVER = 2;
const KEY = 1;
const VALUE = 2;
const STRING_VALUE = 1;
const INT_VALUE = 3;
const TWO_32 = 2 ** 32;

const encoder = new TextEncoder();
const UDP = encoder.encode("udp");
const BYTE_NAME = encoder.encode("byte_name");

/** Places of addresses in `words`. */
export const LOCAL = 0;
export const PEER = 4;
export const SERVER = 8;
export const CLIENT = 12;

/** Indices into `READ_KEYS` by the length of the name. */
const BY_LENGTH: readonly (readonly number[])[] = Array.from({ length: 32 }, (_, length) =>
  READ_KEYS.flatMap(({ utf8 }, index) => (utf8.length === length ? [index] : [])),
);

/** The addresses of one span or data point, read in place; made once, read again for each. */
export class Facts {
  idLow = 0;
  idHigh = 0;
  parentLow = 0;
  parentHigh = 0;
  startNs = 0;
  /** Four addresses of four words: see `LOCAL`. */
  readonly words: Int32Array = new Int32Array(16);
  hasLocal = false;
  hasPeer = false;
  /** The server's address is given, and as an address: not by name. */
  hasServer = false;
  hasClient = false;
  /** 0: not given. */
  localPort = 0;
  peerPort = 0;
  serverPort = 0;
  clientPort = 0;
  /** 0: not given. */
  protocol = 0;
  /** The process of the span is the one that was connected to. */
  isServer = false;
  /** Its parent is the span of the other end. */
  isByteNamed = false;
  isMalformed = false;
  readonly #fields = new FieldReader();
  readonly #pair = new FieldReader();
  readonly #value = new FieldReader();

  readSpan(bytes: Uint8Array, start: number, stop: number): void {
    this.#clear();
    const reader = this.#fields.reset(bytes, start, stop);
    let kind = 0;
    while (reader.next()) {
      const { field, wireType } = reader;
      if (field === SPAN_ATTRIBUTES && wireType === WIRE_BYTES) {
        this.#attribute(bytes, reader.start, reader.stop);
      } else if (field === SPAN_ID && reader.stop - reader.start === 8) {
        this.idLow = readFixed32(bytes, reader.start) | 0;
        this.idHigh = readFixed32(bytes, reader.start + 4) | 0;
      } else if (field === PARENT_SPAN_ID && reader.stop - reader.start === 8) {
        this.parentLow = readFixed32(bytes, reader.start) | 0;
        this.parentHigh = readFixed32(bytes, reader.start + 4) | 0;
      } else if (field === KIND && wireType === WIRE_VARINT) kind = reader.low;
      else if (field === START_TIME && wireType === WIRE_FIXED64) {
        this.startNs = readFixed32(bytes, reader.start + 4) * TWO_32;
        this.startNs += readFixed32(bytes, reader.start);
      }
    }
    this.isMalformed = reader.errorAt >= 0;
    if (kind === KIND_SERVER) this.isServer = true;
  }

  /** A data point, whose attributes stand in `field`. */
  readPoint(bytes: Uint8Array, start: number, stop: number, field: number): void {
    this.#clear();
    const reader = this.#fields.reset(bytes, start, stop);
    while (reader.next()) {
      if (reader.field === field && reader.wireType === WIRE_BYTES) {
        this.#attribute(bytes, reader.start, reader.stop);
      }
    }
    this.isMalformed = reader.errorAt >= 0;
  }

  #clear(): void {
    this.idLow = this.idHigh = this.parentLow = this.parentHigh = this.startNs = 0;
    this.hasLocal = this.hasPeer = this.hasServer = this.hasClient = false;
    this.localPort = this.peerPort = this.serverPort = this.clientPort = 0;
    this.protocol = 0;
    this.isServer = this.isByteNamed = false;
  }

  #attribute(bytes: Uint8Array, start: number, stop: number): void {
    const pair = this.#pair.reset(bytes, start, stop);
    let index = -1;
    while (pair.next()) {
      if (pair.wireType !== WIRE_BYTES) continue;
      if (pair.field === KEY) {
        index = keyIndex(bytes, pair.start, pair.stop);
        if (index < 0) return;
      } else if (pair.field === VALUE && index >= 0) this.#set(index, bytes, pair.start, pair.stop);
    }
  }

  #set(index: number, bytes: Uint8Array, start: number, stop: number): void {
    const value = this.#value.reset(bytes, start, stop);
    if (!value.next()) return;
    if (value.field === INT_VALUE && value.wireType === WIRE_VARINT) {
      this.#port(index, value.high === 0 && value.low <= 0xffff ? value.low : 0);
    } else if (value.field === STRING_VALUE && value.wireType === WIRE_BYTES) {
      this.#text(index, bytes, value.start, value.stop);
    }
  }

  #port(index: number, port: number): void {
    if (index === LOCAL_PORT_AT) this.localPort = port;
    else if (index === PEER_PORT_AT) this.peerPort = port;
    else if (index === SERVER_PORT_AT) this.serverPort = port;
    else if (index === CLIENT_PORT_AT) this.clientPort = port;
  }

  #text(index: number, bytes: Uint8Array, start: number, stop: number): void {
    const { words } = this;
    if (index === LOCAL_ADDRESS_AT) {
      this.hasLocal = readAddressText(bytes, start, stop, words, LOCAL);
    } else if (index === PEER_ADDRESS_AT) {
      this.hasPeer = readAddressText(bytes, start, stop, words, PEER);
    } else if (index === SERVER_ADDRESS_AT) {
      this.hasServer = readAddressText(bytes, start, stop, words, SERVER);
    } else if (index === CLIENT_ADDRESS_AT) {
      this.hasClient = readAddressText(bytes, start, stop, words, CLIENT);
      // Only spans of the side that was connected to have it.
      this.isServer = true;
    } else if (index === TRANSPORT_AT) {
      this.protocol = isText(bytes, start, stop, UDP) ? IPPROTO_UDP : IPPROTO_TCP;
    } else if (index === EVIDENCE_AT) {
      this.isByteNamed = isText(bytes, start, stop, BYTE_NAME);
    }
  }
}

function keyIndex(bytes: Uint8Array, start: number, stop: number): number {
  for (const index of BY_LENGTH[stop - start] ?? []) {
    const key = READ_KEYS[index];
    if (key !== undefined && isText(bytes, start, stop, key.utf8)) return index;
  }
  return -1;
}

/** From the end, where names differ first. */
function isText(bytes: Uint8Array, start: number, stop: number, text: Uint8Array): boolean {
  if (stop - start !== text.length) return false;
  for (let at = text.length - 1; at >= 0; at--) if (bytes[start + at] !== text[at]) return false;
  return true;
}
