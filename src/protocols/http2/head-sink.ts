// SPDX-License-Identifier: Apache-2.0
import type { HttpExchange } from "../http/exchange.ts";
import {
  FIELD_AUTHORITY,
  FIELD_HOST,
  FIELD_METHOD,
  FIELD_PATH,
  FIELD_SCHEME,
  FIELD_STATUS,
  FIELD_TRACEPARENT,
  FIELD_UNKNOWN,
} from "../http/fields.ts";
import { METHOD_OTHER, methodIndexOf } from "../http/methods.ts";
import { noteRequestField, noteResponseField } from "../http/notes.ts";
import type { HttpShared } from "../http/shared.ts";
import type { FieldSink } from "./hpack.ts";

const METHOD_ORIGINAL_MAX = 64;
const HTTPS_BYTES = 5;
const SLASH = 47;
const ASTERISK = 42;

const IGNORE = 0;
const REQUEST = 1;
const RESPONSE = 2;
/** Either: which one it is shows. */
const EITHER = 3;

/** Takes the fields of one header block to an exchange. One for all connections of a service. */
export class HeadSink implements FieldSink {
  readonly #shared: HttpShared;
  #exchange: HttpExchange | undefined;
  #mode = IGNORE;
  #traceparents = 0;
  #hasAuthority = false;
  /** The block is that of a request, of a response; neither for trailers. */
  isRequest = false;
  isResponse = false;
  /** A field of it is not known. */
  incomplete = false;
  /** 0 when there is none, or none that is known. */
  status = 0;

  constructor(shared: HttpShared) {
    this.#shared = shared;
  }

  /** Only the state of header compression matters. */
  ignore(): void {
    this.#start(IGNORE, undefined);
  }

  request(exchange: HttpExchange): void {
    this.#start(REQUEST, exchange);
  }

  /** A response's head or its trailers. */
  response(exchange: HttpExchange): void {
    this.#start(RESPONSE, exchange);
  }

  either(exchange: HttpExchange): void {
    this.#start(EITHER, exchange);
  }

  #start(mode: number, exchange: HttpExchange | undefined): void {
    this.#mode = mode;
    this.#exchange = exchange;
    this.#traceparents = 0;
    this.#hasAuthority = false;
    this.isRequest = false;
    this.isResponse = false;
    this.incomplete = false;
    this.status = 0;
  }

  field(code: number, bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.#exchange;
    if (code === FIELD_UNKNOWN) this.incomplete = true;
    if (code === FIELD_STATUS) {
      this.isResponse = true;
      this.status = statusOf(bytes, start, end);
    }
    if (exchange === undefined || code === FIELD_UNKNOWN) return;
    const wanted = this.#shared.names.wanted(code);
    if (wanted !== undefined) this.#keep(exchange, code, bytes, start, end);
    const known = wanted === undefined ? code : wanted.builtIn;
    if ((this.#mode & REQUEST) !== 0 && !this.isResponse) {
      this.#requestField(exchange, known, bytes, start, end);
    } else noteResponseField(exchange, known, bytes, start, end);
  }

  #keep(exchange: HttpExchange, code: number, bytes: Uint8Array, start: number, end: number): void {
    const wanted = this.#shared.names.wanted(code);
    if (wanted === undefined) return;
    const response = this.#mode === RESPONSE;
    const index = response ? wanted.responseIndex : wanted.requestIndex;
    if (index < 0) return;
    const kept = response ? exchange.responseHeaders : exchange.requestHeaders;
    while (kept.length <= index) kept.push([]);
    kept[index]?.push(new TextDecoder().decode(bytes.slice(start, end)));
  }

  #requestField(
    exchange: HttpExchange,
    code: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    switch (code) {
      case FIELD_METHOD:
        this.isRequest = true;
        setMethod(exchange, bytes, start, end);
        break;
      case FIELD_PATH:
        this.isRequest = true;
        // RFC 9113 section 8.3.1: it starts with a slash or is an asterisk.
        if (bytes[start] === SLASH || bytes[start] === ASTERISK) {
          exchange.setTarget(bytes, start, end);
        }
        break;
      case FIELD_SCHEME:
        this.isRequest = true;
        exchange.https = end - start === HTTPS_BYTES;
        break;
      case FIELD_AUTHORITY:
        this.isRequest = true;
        this.#hasAuthority = true;
        exchange.authority = this.#shared.authorities.find(bytes, start, end);
        break;
      case FIELD_HOST:
        if (this.#hasAuthority) break;
        exchange.authority = this.#shared.authorities.find(bytes, start, end);
        break;
      case FIELD_TRACEPARENT:
        this.#traceparents++;
        // More than one is none, as in HTTP/1.
        exchange.setTraceparent(bytes, start, this.#traceparents === 1 ? end : start);
        break;
      default:
        noteRequestField(exchange, code, bytes, start, end);
    }
  }
}

function setMethod(exchange: HttpExchange, bytes: Uint8Array, start: number, end: number): void {
  exchange.methodIndex = methodIndexOf(bytes, start, end);
  if (exchange.methodIndex !== METHOD_OTHER) return;
  const cut = Math.min(end, start + METHOD_ORIGINAL_MAX);
  exchange.methodOriginal = new TextDecoder().decode(bytes.slice(start, cut));
}

/** Three digits, else 0. */
function statusOf(bytes: Uint8Array, start: number, end: number): number {
  if (end - start !== 3) return 0;
  let status = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return 0;
    status = status * 10 + digit;
  }
  return status;
}
