// SPDX-License-Identifier: Apache-2.0
import { FieldReader } from "../../../src/pdata/wire.ts";

// Field numbers of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto.
const SPAN_NAME = 5;
const SPAN_ATTRIBUTES = 9;
const KEY_VALUE_KEY = 1;
const KEY_VALUE_VALUE = 2;

const encoder = new TextEncoder();
const SERVER_ADDRESS = encoder.encode("server.address");
const SERVER_PORT = encoder.encode("server.port");
const OFFSET_BASIS = 0x811c9dc5;

/** FNV-1a, 32 bits. */
function hashed(bytes: Uint8Array, start: number, stop: number, seed: number): number {
  let hash = seed;
  for (let at = start; at < stop; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
  return hash;
}

function isEqual(bytes: Uint8Array, start: number, stop: number, text: Uint8Array): boolean {
  if (stop - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}

/** What a span does and with whom, as hashes; no string is made. */
export class OperationReader {
  /** Of the span's name and its peer's port. */
  operation = 0;
  /** Of the peer's address; 0 without. */
  address = 0;
  readonly #span = new FieldReader();
  readonly #pair = new FieldReader();

  /** `start` to `end`: fields of a span. */
  read(bytes: Uint8Array, start: number, end: number): void {
    let name = OFFSET_BASIS;
    let port = 0;
    this.address = 0;
    const span = this.#span.reset(bytes, start, end);
    while (span.next()) {
      if (span.field === SPAN_NAME) name = hashed(bytes, span.start, span.stop, OFFSET_BASIS);
      if (span.field !== SPAN_ATTRIBUTES) continue;
      const pair = this.#pair.reset(bytes, span.start, span.stop);
      let what = 0;
      while (pair.next()) {
        if (pair.field === KEY_VALUE_KEY) {
          if (isEqual(bytes, pair.start, pair.stop, SERVER_ADDRESS)) what = 1;
          else if (isEqual(bytes, pair.start, pair.stop, SERVER_PORT)) what = 2;
          else break;
        } else if (pair.field === KEY_VALUE_VALUE) {
          const hash = hashed(bytes, pair.start, pair.stop, OFFSET_BASIS);
          if (what === 1) this.address = hash;
          else port = hash;
        }
      }
    }
    this.operation = Math.imul(name, 31) ^ port;
  }
}
