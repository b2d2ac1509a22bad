// SPDX-License-Identifier: Apache-2.0
import { ByteCursor, type NameTable } from "../byte-cursor.ts";

/** Wire types of Protocol Buffers. */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
/** Fields that are looked at: nobody sends more. */
const FIELDS_MAX = 64;

/** `RpcMeta` of https://brpc.apache.org/docs/rpc-in-depth/baidu_std/, read in place. */
export class BrpcMeta {
  readonly #cursor: ByteCursor;
  readonly #inner: ByteCursor;
  /** Numbers above 2^53 are not exact; as keys they still tell calls apart. */
  correlationId: number | string = 0;
  isRequest = false;
  isResponse = false;
  service = "";
  method = "";
  errorCode = 0;

  constructor(names: NameTable) {
    this.#cursor = new ByteCursor(names);
    this.#inner = new ByteCursor(names);
  }

  /** False when this is no such message. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.correlationId = 0;
    this.isRequest = false;
    this.isResponse = false;
    this.service = "";
    this.method = "";
    this.errorCode = 0;
    const cursor = this.#cursor.over(bytes, start, end);
    for (let left = FIELDS_MAX; cursor.at < end && left > 0; left--) {
      const tag = cursor.varint();
      const field = Math.floor(tag / 8);
      if (field === 0) return false;
      if (field === 4 && tag % 8 === VARINT) this.correlationId = this.#key(cursor);
      else if ((field === 1 || field === 2) && tag % 8 === DELIMITED) {
        const length = cursor.varint();
        const at = cursor.take(length);
        if (at < 0) return false;
        if (!this.#readPart(field === 1, bytes, at, at + length)) return false;
      } else if (!skipField(cursor, tag % 8)) return false;
    }
    return !cursor.isCut;
  }

  /** The bytes of the number as text where a double is not exact. */
  #key(cursor: ByteCursor): number | string {
    const { at, bytes } = cursor;
    const value = cursor.varint();
    if (Number.isSafeInteger(value)) return value;
    return String.fromCharCode(...bytes.subarray(at, cursor.at));
  }

  /** `RpcRequestMeta` or `RpcResponseMeta`. */
  #readPart(isRequest: boolean, bytes: Uint8Array, start: number, end: number): boolean {
    if (isRequest) this.isRequest = true;
    else this.isResponse = true;
    const cursor = this.#inner.over(bytes, start, end);
    for (let left = FIELDS_MAX; cursor.at < end && left > 0; left--) {
      const tag = cursor.varint();
      if (isRequest && tag === 8 + DELIMITED) this.service = cursor.name(cursor.varint());
      else if (isRequest && tag === 16 + DELIMITED) this.method = cursor.name(cursor.varint());
      else if (!isRequest && tag === 8 + VARINT) this.errorCode = cursor.varint();
      else if (!skipField(cursor, tag % 8)) return false;
    }
    return !cursor.isCut;
  }
}

function skipField(cursor: ByteCursor, wireType: number): boolean {
  if (wireType === VARINT) cursor.varint();
  else if (wireType === FIXED64) cursor.skip(8);
  else if (wireType === DELIMITED) cursor.skip(cursor.varint());
  else if (wireType === FIXED32) cursor.skip(4);
  else return false;
  return !cursor.isCut;
}
