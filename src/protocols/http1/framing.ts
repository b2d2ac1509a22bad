// SPDX-License-Identifier: Apache-2.0

import type { HttpExchange } from "../http/exchange.ts";
import { METHOD_CONNECT, METHOD_HEAD, METHOD_OTHER } from "../http/methods.ts";
import { noteRequestField, noteResponseField } from "../http/notes.ts";
import { BODY_CHUNKED, BODY_LENGTH, BODY_NONE, BODY_UNKNOWN, BODY_UNTIL_CLOSE } from "./body.ts";
import {
  ENCODING_ABSENT,
  ENCODING_CHUNKED,
  type Head,
  LENGTH_ABSENT,
  LENGTH_INVALID,
  type WantedHeader,
} from "./head.ts";
import type { Http1Shared } from "./shared.ts";

/** Results of `responseFraming` besides a BODY_ value: not the final response; no HTTP after it. */
export const INTERIM = -1;
export const TUNNELLED = -2;

/** `HttpExchange.version` of HTTP/1.0. */
const HTTP_1 = 10;
const METHOD_ORIGINAL_MAX = 64;
const decoder = new TextDecoder();

/** Takes what a request's head says. `bytes` are those that `shared.head` parsed. */
export function fillRequest(exchange: HttpExchange, shared: Http1Shared, bytes: Uint8Array): void {
  const head = shared.head;
  exchange.known = true;
  exchange.version = HTTP_1 + head.minor;
  exchange.methodIndex = head.methodIndex;
  if (head.methodIndex === METHOD_OTHER) {
    const end = Math.min(head.methodEnd, head.methodStart + METHOD_ORIGINAL_MAX);
    exchange.methodOriginal = decoder.decode(bytes.slice(head.methodStart, end));
  }
  if (head.methodIndex === METHOD_CONNECT) {
    exchange.setAuthorityTarget(bytes, head.targetStart, head.targetEnd);
  } else exchange.setTarget(bytes, head.targetStart, head.targetEnd);
  if (exchange.authority === undefined && head.hostEnd > head.hostStart) {
    exchange.authority = shared.http.authorities.find(bytes, head.hostStart, head.hostEnd);
  }
  if (head.traceparentEnd > head.traceparentStart) {
    exchange.setTraceparent(bytes, head.traceparentStart, head.traceparentEnd);
  }
  const { notes, notesEnd } = head;
  for (let at = 0; at < notesEnd; at += 3) {
    noteRequestField(exchange, notes[at] ?? 0, bytes, notes[at + 1] ?? 0, notes[at + 2] ?? 0);
  }
  if (shared.requestHeaders.length > 0) {
    keepHeaders(shared.requestHeaders, exchange.requestHeaders);
  }
}

/** The same for a final response's head. */
export function fillResponse(exchange: HttpExchange, shared: Http1Shared, bytes: Uint8Array): void {
  const { notes, notesEnd } = shared.head;
  for (let at = 0; at < notesEnd; at += 3) {
    noteResponseField(exchange, notes[at] ?? 0, bytes, notes[at + 1] ?? 0, notes[at + 2] ?? 0);
  }
  exchange.status = shared.head.status;
  exchange.version = Math.min(exchange.version, HTTP_1 + shared.head.minor);
  if (shared.responseHeaders.length > 0) {
    keepHeaders(shared.responseHeaders, exchange.responseHeaders);
  }
}

function keepHeaders(wanted: readonly WantedHeader[], kept: string[][]): void {
  for (const header of wanted) kept.push(header.values.slice());
}

/** RFC 9112 section 6.3. BODY_UNKNOWN: the RFC says to refuse the request. */
export function requestFraming(exchange: HttpExchange, head: Head): number {
  // RFC 9110 section 9.3.6: content of CONNECT has no meaning, what follows is the tunnel's.
  if (exchange.methodIndex === METHOD_CONNECT) return BODY_NONE;
  if (head.transferEncoding !== ENCODING_ABSENT) {
    const sound = head.transferEncoding === ENCODING_CHUNKED && head.minor > 0;
    return sound ? BODY_CHUNKED : BODY_UNKNOWN;
  }
  if (head.contentLength === LENGTH_INVALID) return BODY_UNKNOWN;
  return head.contentLength === LENGTH_ABSENT ? BODY_NONE : BODY_LENGTH;
}

/** RFC 9112 section 6.3. */
export function responseFraming(exchange: HttpExchange, head: Head): number {
  const status = head.status;
  if (status === 101) return TUNNELLED;
  if (status < 200) return INTERIM;
  if (exchange.methodIndex === METHOD_CONNECT && status < 300) return TUNNELLED;
  if (exchange.methodIndex === METHOD_HEAD || status === 204 || status === 304) return BODY_NONE;
  if (head.transferEncoding !== ENCODING_ABSENT) {
    // Section 6.1: a transfer coding in HTTP/1.0 is faulty framing.
    if (head.minor === 0) return BODY_UNKNOWN;
    return head.transferEncoding === ENCODING_CHUNKED ? BODY_CHUNKED : BODY_UNTIL_CLOSE;
  }
  if (head.contentLength === LENGTH_INVALID) return BODY_UNKNOWN;
  return head.contentLength === LENGTH_ABSENT ? BODY_UNTIL_CLOSE : BODY_LENGTH;
}
