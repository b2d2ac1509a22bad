// SPDX-License-Identifier: Apache-2.0
import type { MeasurementSink, SpanSink } from "./attribute.ts";

export const RECEIVED = 0;
export const SENT = 1;
/** As the watched process sees it. */
export type Direction = typeof RECEIVED | typeof SENT;

/** The side of the exchange that the watched process is on. */
export type Role = "client" | "server";

/**
 * One send or receive, as a cursor: the receiver moves it to the next record, so nothing of it
 * is valid after the call. Times are nanoseconds of the monotonic clock as doubles (exact to
 * 104 days of uptime). Positions are byte offsets in the direction's stream.
 */
export interface DataRecord {
  readonly direction: Direction;
  readonly timeNs: number;
  /** Of the first byte. A position past the last record's end is a gap. */
  readonly position: number;
  /** Bytes moved; `captured` of them (a prefix) are at `bytes[start … start+captured)`. */
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly captured: number;
  /** Where the last 8 bytes of the call stand in `bytes`, or -1 when unknown or captured whole. */
  readonly tailStart: number;
  readonly pid: number;
  readonly tid: number;
}

/** `Exchange.requestId` as long as its header was not read to its end. */
export const ID_AWAITED = -1;

/**
 * One request and its response on one connection. Created by the protocol's parser, which
 * reuses it after `ExchangeEvents.end`. A protocol adds its own fields in a class.
 */
export interface Exchange {
  /** `client`: the watched process sent the request. In protocols where both ends ask, per exchange. */
  readonly role: Role;
  /** Span kind of a message that is produced or consumed; else the kind follows from the role. */
  readonly messaging?: "producer" | "consumer" | undefined;
  /** Stream offset of the request's first byte, in the client's direction: its name. */
  readonly requestPosition: number;
  /** First byte of the request. A receiver that knows better from the other end may correct it. */
  startNs: number;
  /** End of the request's last byte; 0 until known. */
  readonly requestEndNs: number;
  /** First byte of the response; 0 if none came. */
  readonly responseStartNs: number;
  /** Last byte of the response, or when the connection ended; 0 while open. Correctable, too. */
  endNs: number;
  /** Threads: of the request's first byte and of the response's first byte (0 if none). */
  readonly requestTid: number;
  readonly responseTid: number;
  readonly pid: number;
  /** W3C trace context of the request: 16 + 8 bytes, or undefined. Valid as long as the exchange. */
  readonly traceContext: TraceContext | undefined;
  /**
   * Hash of an id that the request's header gives it or its trace (x-request-id, b3 and the like), a whole
   * number below 2^53: calls with the same one are of one cause. 0 or undefined: it has none; or ID_AWAITED.
   */
  readonly requestId?: number;
  /** Free for the receiver: what it looked up when the request began. */
  link: unknown;
  describe(sink: SpanSink): void;
  measure(sink: MeasurementSink): void;
}

export interface TraceContext {
  /** 16 bytes */
  readonly traceId: Uint8Array;
  /** 8 bytes */
  readonly spanId: Uint8Array;
  readonly sampled: boolean;
  /** Header name that it was read from. */
  readonly header: string;
}

/** Why bytes or messages led to no span; each is counted (`reason` label). */
export type LossReason =
  | "gap"
  | "malformed"
  | "head_too_large"
  | "response_without_request"
  | "mid_stream"
  | "pipeline_limit"
  | "after_upgrade"
  /** A round trip of the protocol itself that ran nothing, such as preparing a statement. */
  | "no_operation"
  /** Nothing we know, or encrypted. */
  | "unknown_protocol";

export interface ExchangeEvents {
  /**
   * The first record of a request was seen; called during `ConnectionParser.data`, so the
   * receiver's cursor still stands on that record. `exchange` has role, position, start, thread.
   */
  begin(exchange: Exchange): void;
  /** Complete, or ended by the connection's end. `exchange` is reused after this call. */
  end(exchange: Exchange): void;
  /** The exchange was given up: no span, no `end`. */
  abandon(exchange: Exchange, reason: LossReason): void;
  /** Bytes or a message that belong to no exchange. */
  lost(reason: LossReason): void;
}

/** State of one connection; total: any bytes, any split, any loss, in bounded memory and linear time. */
export interface ConnectionParser {
  data(record: DataRecord): void;
  /**
   * The socket is gone. `error` is its errno, 0 for an orderly end. `sent` and `received` are the
   * stream positions reached, so that lost records at the end show; -1 when unknown.
   */
  close(timeNs: number, error: number, sent?: number, received?: number): void;
  /** Nothing is open: the connection may be forgotten without loss. */
  readonly idle: boolean;
}

/**
 * Limits and choices a receiver hands to every parser. One object a service: what a protocol keeps
 * for a service (routes, pools) lives as long as this object.
 */
export interface ParserOptions {
  readonly headBytesMax: number;
  /** Requests waiting for a response on one connection. */
  readonly pipelinedMax: number;
  /** Query strings are left out unless set. */
  readonly urlQuery: boolean;
  /** Lower-case names of headers to record; none by default. */
  readonly requestHeaders: readonly string[];
  readonly responseHeaders: readonly string[];
  /** Distinct `http.route` values kept a service before `…/*` is used. */
  readonly routesMax: number;
  /** Statements and keys as they are; without it literals become `?`. */
  readonly rawStatements: boolean;
  /** The bytes travel under TLS. */
  readonly isSecure?: boolean | undefined;
}

export type Detection = "yes" | "weak" | "no" | "more";

/** One protocol: one folder under `src/protocols/` and one line in its registry. */
export interface Protocol {
  /** As users write it to fix or forbid it, such as `postgresql`. */
  readonly name: string;
  /** WIRE_PROTOCOL_ value where the kernel classifies it; else user space detects it. */
  readonly wireProtocol?: number;
  /** Registered or customary server ports: preferred among protocols whose bytes look alike. */
  readonly ports?: readonly number[];
  /**
   * Could a message of this protocol, of either side, start with these bytes? `yes` only when other
   * protocols' messages practically never do; a `weak` guess counts on one of `ports` only.
   */
  detect(bytes: Uint8Array, start: number, end: number): Detection;
  createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser;
  /** For UDP: each record is one whole datagram, positions count the direction's bytes. */
  readonly datagrams?: Pick<Protocol, "detect" | "createParser">;
}
