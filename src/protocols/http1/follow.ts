// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, ExchangeEvents, LossReason } from "../../model/protocol.ts";
import type { HttpExchange } from "../http/exchange.ts";
import { grpcWebStatus, hasMessages } from "../http/rpc.ts";
import { BODY_CHUNKED, BODY_LENGTH, BODY_NONE, BODY_UNKNOWN, BODY_UNTIL_CLOSE } from "./body.ts";
import { failureName } from "./errno.ts";
import {
  fillRequest,
  fillResponse,
  INTERIM,
  requestFraming,
  responseFraming,
  TUNNELLED,
} from "./framing.ts";
import { Half } from "./half.ts";
import { LENGTH_ABSENT, MALFORMED, NEED_MORE } from "./head.ts";
import { DRAIN, IGNORE, SEEK, TRACK, TUNNEL } from "./modes.ts";
import { ExchangeQueue } from "./queue.ts";
import type { Http1Shared } from "./shared.ts";
import { TAIL_BYTES, tailBytes } from "./tail.ts";
import { Handover } from "./upgrade.ts";

const CR = 13;
const LF = 10;

/**
 * Follows the messages of both directions and pairs them, as long as every byte is accounted for.
 * The connection decides where to start (`track`) and tells of bytes that are missing (`hole`).
 */
export class MessageFollower {
  readonly #shared: Http1Shared;
  readonly #events: ExchangeEvents;
  readonly received: Half = new Half();
  readonly sent: Half = new Half();
  readonly queue: ExchangeQueue = new ExchangeQueue();
  readonly handover: Handover;
  mode: number = SEEK;
  /** Meaningful outside SEEK, or once `roleKnown`. */
  request: Half = this.received;
  response: Half = this.sent;
  /** An exchange was complete: the role is no longer a guess. */
  roleKnown = false;
  /** Requests were seen while another was open: after a loss nothing proves what is outstanding. */
  pipelined = false;
  /** As `pipelined`, until the next response record shows that none was lost in between. */
  suspect = false;
  /** While `suspect`: no request bytes are missing between the two requests. */
  adjacent = false;
  /** Two requests in a row, then a gap: overlap or a lost response. Until silence tells. */
  doubtful = false;
  /** Time and threads of the record being read. */
  timeNs = 0;
  tid = 0;
  pid = 0;
  /** The request being read, while its exchange is open. */
  #sending: HttpExchange | undefined = undefined;
  /** A request whose body goes on, and nobody knows how far. */
  #unbounded: HttpExchange | undefined = undefined;
  /** Started in mid-stream, and no response has confirmed it yet. */
  #probation = false;
  /** Stream position of index 0 of the bytes being read. */
  #base = 0;
  /** Stream position after the last head that was read. */
  headEnd = 0;
  /** The bytes being counted were in no record: when they moved is not known. */
  #unseen = false;

  constructor(shared: Http1Shared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
    this.handover = new Handover(events, (exchange) => this.#handOut(exchange));
  }

  /** Follows from a request's first byte at `position`. `first`: nothing was sent before it. */
  track(request: Half, response: Half, position: number, first: boolean): void {
    this.mode = TRACK;
    this.request = request;
    this.response = response;
    request.startMessage();
    response.startMessage();
    request.expected = position;
    if (first && response.expected < 0) response.expected = 0;
    this.#probation = !first;
    this.suspect = false;
    this.adjacent = false;
    this.doubtful = false;
  }

  /** In DRAIN: are these bytes the body of a request whose end cannot be computed? */
  takesBody(): boolean {
    const exchange = this.#unbounded;
    if (exchange === undefined) return false;
    if (exchange.responseStartNs === 0) exchange.requestEndNs = this.timeNs;
    return true;
  }

  /** Is a response on its way whose request line was not read to its end? Then it never will be. */
  settleRequestHead(): void {
    if (this.queue.first?.known === false) this.#cutRequestHead("malformed");
  }

  /** The connection has ended, `error` as its errno: hands out what is open. */
  close(error: number): void {
    if (this.#sending !== undefined && !this.#sending.known) this.#cutRequestHead("malformed");
    while (this.queue.first !== undefined) this.#closeFirst(this.queue.first, error);
    this.mode = IGNORE;
    this.received.startMessage();
    this.sent.startMessage();
  }

  #closeFirst(exchange: HttpExchange, error: number): void {
    const body = this.response.body;
    const delimited = body.kind !== BODY_UNTIL_CLOSE && body.kind !== BODY_UNKNOWN;
    if (!this.response.inBody || delimited || error !== 0) {
      exchange.failure = failureName(error);
      exchange.endNs = this.timeNs;
    } else {
      exchange.endNs = exchange.lastResponseNs;
      if (body.kind === BODY_UNTIL_CLOSE) exchange.responseBodyBytes = body.payloadBytes;
    }
    this.#finish(exchange);
  }

  feedRecord(half: Half, record: DataRecord): void {
    const { bytes, start, length, position } = record;
    const captured = Math.min(record.captured, length);
    this.#base = position - start;
    this.#feed(half, bytes, start, start + captured);
    if (captured < length) this.#feedRest(half, record, length - captured);
    if (half.inBody && half.body.looksEnded && this.queue.count === 1) this.#endResponse();
  }

  /** The part of a record that was not captured, except its last bytes. */
  #feedRest(half: Half, record: DataRecord, rest: number): void {
    if (!this.#follows(half)) return;
    const tail = half.inBody ? tailBytes(record, rest, half.body.kind) : 0;
    if (rest > tail && !this.hole(half, rest - tail, true)) return;
    if (tail === 0 || !this.#follows(half)) return;
    const end = record.tailStart + TAIL_BYTES;
    this.#base = record.position + record.length - end;
    this.#feed(half, record.bytes, end - tail, end);
  }

  #follows(half: Half): boolean {
    return this.mode === TRACK || (this.mode === DRAIN && half === this.response);
  }

  #feed(half: Half, bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && this.#follows(half)) {
      if (!half.inBody) {
        at = this.#feedHead(half, bytes, at, end);
        this.headEnd = this.#base + at;
        continue;
      }
      at = half.body.bytes(bytes, at, end);
      this.#noteResponse(half);
      if (half.body.malformed) this.#malformedBody(half);
      else if (half.body.done) this.#endBody(half);
    }
  }

  #noteResponse(half: Half): void {
    if (half === this.response && this.queue.first !== undefined && !this.#unseen) {
      this.queue.first.lastResponseNs = Math.max(this.timeNs, this.queue.first.startNs);
    }
  }

  #feedHead(half: Half, bytes: Uint8Array, start: number, end: number): number {
    if (half.carryLength > 0) return this.#continueHead(half, bytes, start, end);
    let at = start;
    while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
    if (at === end) return end;
    const isRequest = half === this.request;
    if (!isRequest && this.queue.first === undefined) {
      this.#events.lost("response_without_request");
      this.startSeeking();
      return end;
    }
    const result = this.#parseHead(half, bytes, at, end);
    if (result === MALFORMED) {
      this.#malformedHead(half);
      return end;
    }
    const isWhole = result >= 0 && result - at <= this.#shared.options.headBytesMax;
    if (isRequest && !this.#begin(this.#base + at, isWhole ? bytes : undefined)) return end;
    half.headNs = this.timeNs;
    half.headTid = this.tid;
    if (result === NEED_MORE) return this.#continueHead(half, bytes, at, end);
    if (!isWhole) {
      this.#headTooLarge(half);
      return end;
    }
    this.#startBody(half, bytes);
    return result;
  }

  #parseHead(half: Half, bytes: Uint8Array, start: number, end: number): number {
    const { head, requestHeaders, responseHeaders } = this.#shared;
    const isRequest = half === this.request;
    const wanted = isRequest ? requestHeaders : responseHeaders;
    if (wanted.length > 0) for (const header of wanted) header.values.length = 0;
    return isRequest
      ? head.parseRequest(bytes, start, end, wanted)
      : head.parseResponse(bytes, start, end, wanted);
  }

  #continueHead(half: Half, bytes: Uint8Array, start: number, end: number): number {
    const at = half.carryHead(bytes, start, end, this.#shared.options.headBytesMax);
    if (at < 0) {
      this.#headTooLarge(half);
      return end;
    }
    if (!half.headComplete) return at;
    if (this.#parseHead(half, half.carry, 0, half.carryLength) !== half.carryLength) {
      this.#malformedHead(half);
      return end;
    }
    const head = half.carry;
    half.startMessage();
    this.#startBody(half, head);
    return at;
  }

  /**
   * A request starts. False when it cannot be followed. `head`: the bytes of its head, when that was
   * read to its end, so that whoever is told of the request finds it described.
   */
  #begin(position: number, head: Uint8Array | undefined): boolean {
    if (this.queue.first !== undefined && !this.#mayPipeline()) return false;
    const exchange = this.#shared.http.createExchange();
    const role = this.request === this.received ? "server" : "client";
    exchange.reset(role, position, this.timeNs, this.pid, this.tid);
    this.queue.push(exchange);
    this.#sending = exchange;
    if (head !== undefined) fillRequest(exchange, this.#shared, head);
    this.#events.begin(exchange);
    return true;
  }

  /** A request comes while another is open. */
  #mayPipeline(): boolean {
    if (this.endUnknown()) return true;
    this.suspect = true;
    this.adjacent = true;
    if (this.#probation) {
      // The place to start was wrong: what is open may be the answer to something earlier.
      this.abandonAll("mid_stream");
      this.suspect = true;
      return false;
    }
    if (this.queue.count < this.#shared.options.pipelinedMax) return true;
    this.pipelined = true;
    this.#events.lost("pipeline_limit");
    this.#sending = undefined;
    this.mode = DRAIN;
    return false;
  }

  /** The next request shows that a response whose end was not known is over. */
  endUnknown(): boolean {
    const response = this.response;
    const first = this.queue.first;
    if (first === undefined || this.queue.count !== 1) return false;
    if (!response.inBody || response.body.kind !== BODY_UNKNOWN) return false;
    first.endNs = first.lastResponseNs;
    this.#finish(first);
    return true;
  }

  #startBody(half: Half, head: Uint8Array): void {
    if (half === this.response) this.#startResponseBody(head);
    else if (this.#sending !== undefined) {
      if (!this.#sending.known) fillRequest(this.#sending, this.#shared, head);
      this.#startRequestBody(this.#sending);
    }
  }

  #startRequestBody(exchange: HttpExchange): void {
    const head = this.#shared.head;
    const half = this.request;
    const kind = requestFraming(exchange, head);
    // RFC 9112 section 6.1: both fields may be an attempt at request smuggling.
    if (kind === BODY_CHUNKED && head.contentLength !== LENGTH_ABSENT) this.pipelined = true;
    if (kind === BODY_UNKNOWN) {
      // Where the next request starts is for the server to guess, not for us.
      this.pipelined = true;
      this.loseRequests("malformed");
      return;
    }
    if (kind === BODY_LENGTH) exchange.requestBodyBytes = head.contentLength;
    half.body.start(kind, head.contentLength, this.#shared.options.headBytesMax);
    if (hasMessages(exchange)) half.body.messages = exchange.requestMessages;
    half.inBody = true;
    if (half.body.done) this.#endBody(half);
  }

  #startResponseBody(bytes: Uint8Array): void {
    const exchange = this.queue.first;
    if (exchange === undefined) return;
    const head = this.#shared.head;
    const half = this.response;
    const kind = responseFraming(exchange, head);
    if (kind === INTERIM) return;
    this.#noteResponseStart(exchange, bytes);
    if (kind === TUNNELLED) {
      this.#tunnel(exchange, bytes);
      return;
    }
    if (kind === BODY_UNKNOWN) this.pipelined = true;
    half.body.start(kind, head.contentLength, this.#shared.options.headBytesMax);
    if (hasMessages(exchange)) half.body.messages = exchange.responseMessages;
    half.inBody = true;
    if (half.body.done) {
      if (kind !== BODY_NONE) exchange.responseBodyBytes = 0;
      this.#endResponse();
    }
  }

  #noteResponseStart(exchange: HttpExchange, head: Uint8Array): void {
    fillResponse(exchange, this.#shared, head);
    exchange.responseStartNs = Math.max(this.response.headNs, exchange.startNs);
    exchange.responseTid = this.response.headTid;
    exchange.lastResponseNs = Math.max(this.timeNs, exchange.startNs);
    this.#probation = false;
  }

  #tunnel(exchange: HttpExchange, head: Uint8Array): void {
    exchange.endNs = exchange.lastResponseNs;
    if (this.handover.offer(exchange, this.#shared.head, head)) this.queue.shift();
    else this.#finish(exchange);
    this.abandonAll("after_upgrade");
    this.mode = TUNNEL;
  }

  #endBody(half: Half): void {
    if (half === this.response) {
      this.#endResponse();
      return;
    }
    const exchange = this.#sending;
    if (exchange !== undefined) {
      exchange.requestEndNs = this.timeNs;
      if (half.body.kind === BODY_CHUNKED) exchange.requestBodyBytes = half.body.payloadBytes;
    }
    this.#sending = undefined;
    half.startMessage();
  }

  #endResponse(): void {
    const exchange = this.queue.first;
    if (exchange === undefined) return;
    const body = this.response.body;
    exchange.endNs = exchange.lastResponseNs;
    if (body.kind !== BODY_UNKNOWN && body.kind !== BODY_NONE) {
      exchange.responseBodyBytes = body.payloadBytes;
    }
    this.#finish(exchange);
  }

  /** Hands out the first exchange, complete or failed. */
  #finish(exchange: HttpExchange): void {
    this.queue.shift();
    if (this.#sending === exchange) this.#sending = undefined;
    if (this.#unbounded === exchange) this.#unbounded = undefined;
    this.response.startMessage();
    this.roleKnown = true;
    this.doubtful = false;
    this.#handOut(exchange);
  }

  #handOut(exchange: HttpExchange): void {
    if (exchange.grpcStatus < 0) {
      exchange.grpcStatus = grpcWebStatus(exchange.responseMessages.trailers);
    }
    this.#events.end(exchange);
    this.#shared.http.recycle(exchange);
  }

  /** `count` bytes that nobody saw. True when they are accounted for. */
  hole(half: Half, count: number, inRecord: boolean): boolean {
    let rest = count;
    this.#unseen = !inRecord;
    if (half.inBody) {
      rest = half.body.kind === BODY_UNKNOWN && !inRecord ? count : half.body.hole(count);
      this.#noteResponse(half);
      if (half.body.done) this.#endBody(half);
      else if (rest > 0 && half === this.response && inRecord && this.queue.count === 1) {
        half.body.lose();
        rest = half.body.hole(rest);
      } else if (rest > 0 && half === this.request && inRecord) {
        this.#unbounded = this.#sending;
        this.takesBody();
      }
    } else if (half.carryLength > 0 && inRecord) {
      if (half === this.request) this.#cutRequestHead("head_too_large");
      else if (this.#cutResponseHead()) rest = half.body.hole(rest);
    }
    this.#unseen = false;
    if (!this.#follows(half)) return false;
    if (rest === 0) return true;
    if (half === this.request) {
      this.#suspectPipelining();
      this.loseRequests("gap");
    } else this.abandonAll("gap");
    return false;
  }

  /** A request's head goes on where it cannot be read. */
  #cutRequestHead(reason: LossReason): void {
    const exchange = this.#sending;
    const half = this.request;
    if (exchange !== undefined && half.carryLength > 0) {
      this.#parseHead(half, half.carry, 0, half.carryLength);
      if (this.#shared.head.lineRead) fillRequest(exchange, this.#shared, half.carry);
    }
    this.loseRequests(reason);
  }

  /** True when the response is followed without knowing its end. */
  #cutResponseHead(): boolean {
    const half = this.response;
    const exchange = this.queue.first;
    const bytes = half.carry;
    if (half.carryLength > 0) this.#parseHead(half, bytes, 0, half.carryLength);
    const head = this.#shared.head;
    const usable = head.lineRead && head.status >= 200 && this.queue.count === 1;
    half.startMessage();
    if (exchange === undefined || !usable) return false;
    this.#noteResponseStart(exchange, bytes);
    half.body.start(BODY_UNKNOWN, 0, 0);
    half.inBody = true;
    return true;
  }

  #headTooLarge(half: Half): void {
    if (half === this.request) this.loseRequests("head_too_large");
    else if (!this.#cutResponseHead()) this.abandonAll("head_too_large");
  }

  #malformedHead(half: Half): void {
    this.#events.lost("malformed");
    if (half === this.request) {
      this.#suspectPipelining();
      this.loseRequests("malformed");
    } else this.abandonAll("malformed");
  }

  /** Request bytes were lost. After a whole request that is still open, they were of another one. */
  #suspectPipelining(): void {
    const { inBody, carryLength } = this.request;
    if (!inBody && carryLength === 0 && this.queue.first !== undefined) this.suspect = true;
  }

  #malformedBody(half: Half): void {
    this.#events.lost("malformed");
    if (half === this.response) {
      this.abandonAll("malformed");
      return;
    }
    this.pipelined = true;
    this.loseRequests("malformed");
  }

  /** Later requests cannot be found; those that are open stay, except one without a request line. */
  loseRequests(reason: LossReason): void {
    const exchange = this.#sending;
    this.#sending = undefined;
    this.request.startMessage();
    if (exchange !== undefined && !exchange.known) {
      this.queue.removeLast();
      this.#events.abandon(exchange, reason);
      this.#shared.http.recycle(exchange);
    }
    this.mode = DRAIN;
    if (this.queue.first === undefined) this.startSeeking();
  }

  abandonAll(reason: LossReason): void {
    let exchange = this.queue.first;
    while (exchange !== undefined) {
      this.queue.shift();
      this.#events.abandon(exchange, reason);
      this.#shared.http.recycle(exchange);
      exchange = this.queue.first;
    }
    this.startSeeking();
  }

  startSeeking(): void {
    this.mode = this.pipelined ? IGNORE : SEEK;
    this.received.startMessage();
    this.sent.startMessage();
    this.#sending = undefined;
    this.#unbounded = undefined;
    this.#probation = false;
  }
}
