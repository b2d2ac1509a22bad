// SPDX-License-Identifier: Apache-2.0
import {
  type ConnectionParser,
  type DataRecord,
  type ExchangeEvents,
  type LossReason,
  RECEIVED,
} from "../../model/protocol.ts";
import type { HttpExchange } from "../http/exchange.ts";
import {
  CONTENT_GRPC,
  CONTENT_OTHER,
  GRPC_DEADLINE_EXCEEDED,
  grpcWebStatus,
  hasMessages,
  statusOfReset,
} from "../http/rpc.ts";
import { failureName } from "../http1/errno.ts";
import { type FrameHandler, FrameReader } from "./frame-reader.ts";
import {
  CANCEL,
  chainAt,
  DATA,
  END_STREAM,
  errorName,
  GOAWAY,
  HEADER_BYTES,
  HEADERS,
  NO_ERROR,
  PREFACE,
  PUSH_PROMISE,
  REFUSED_STREAM,
  RST_STREAM,
  SETTINGS,
} from "./frames.ts";
import type { HeadSink } from "./head-sink.ts";
import { HpackDecoder } from "./hpack.ts";
import type { Http2Shared } from "./shared.ts";
import type { Stream } from "./streams.ts";

const TAIL_BYTES = 8;
/** A response of which frames are missing is over when nothing of it was seen for so long. */
const QUIET_NS = 1e9;
/**
 * A request is seen when it is written, a while after its timeout began to run: so much sooner may
 * the cancellation be seen. In parts of the timeout, and at most by so much more.
 */
const TIMEOUT_PART = 0.05;
const TIMEOUT_DELAY_PART = 0.25;
const TIMEOUT_DELAY_MAX_NS = 10e6;
/** New streams may be so far ahead of the last one seen, after a loss. */
const STREAMS_AHEAD_MAX = 4096;

/** One connection as one process sees it. README.md says what is believed after a loss. */
export class Http2Connection implements ConnectionParser, FrameHandler {
  readonly #shared: Http2Shared;
  readonly #events: ExchangeEvents;
  readonly #sink: HeadSink;
  readonly #received: FrameReader;
  readonly #sent: FrameReader;
  /** The direction of requests, once it is known. */
  #request: FrameReader | undefined = undefined;
  readonly #streams = new Map<number, Stream>();
  #lastId = 0;
  #doubtful = 0;
  #settleNs = 0;
  #pid = 0;

  constructor(shared: Http2Shared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
    this.#sink = shared.sink;
    const blockBytesMax = shared.http.options.headBytesMax;
    this.#received = new FrameReader(new HpackDecoder(shared.hpack), this, blockBytesMax);
    this.#sent = new FrameReader(new HpackDecoder(shared.hpack), this, blockBytesMax);
  }

  get idle(): boolean {
    return this.#streams.size === 0;
  }

  /**
   * The connection was HTTP/1 until a 101 (RFC 9113 section 3.2): `exchange` is the request that is
   * answered on stream 1. The others: stream positions at which the frames of either side begin.
   */
  upgraded(exchange: HttpExchange, requestPosition: number, responsePosition: number): void {
    const isServer = exchange.role === "server";
    this.#request = isServer ? this.#received : this.#sent;
    for (const reader of [this.#received, this.#sent]) {
      reader.synchronise();
      reader.hpack.table.complete = true;
    }
    this.#received.expected = isServer ? requestPosition : responsePosition;
    this.#sent.expected = isServer ? responsePosition : requestPosition;
    const stream = this.#shared.createStream(1, exchange);
    stream.hasRequest = true;
    stream.requestEnded = true;
    this.#streams.set(1, stream);
    this.#lastId = 1;
  }

  data(record: DataRecord): void {
    const reader = record.direction === RECEIVED ? this.#received : this.#sent;
    this.#pid = record.pid;
    if (this.#doubtful > 0 && record.timeNs >= this.#settleNs) this.#settle(record.timeNs);
    const gap = reader.expected < 0 ? 0 : record.position - reader.expected;
    if (gap < 0 || (gap > 0 && !reader.hole(gap))) this.#loseFrames(reader, "gap");
    if (reader.synchronised || this.#seek(reader, record)) this.#read(reader, record);
    else this.#events.lost("mid_stream");
    reader.expected = record.position + record.length;
  }

  #read(reader: FrameReader, record: DataRecord): void {
    const left = reader.feedRecord(record);
    if (left === 0 || !reader.synchronised || reader.hole(left)) return;
    if (!reader.synchronised) return;
    this.#loseFrames(reader, "gap");
    this.#readTail(reader, record);
  }

  /** The last bytes of a call often are an empty DATA frame that ends the stream. */
  #readTail(reader: FrameReader, record: DataRecord): void {
    const { bytes, tailStart } = record;
    if (tailStart < 0 || reader === this.#request) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset + tailStart, TAIL_BYTES);
    // Length (without its first byte), type DATA, END_STREAM.
    if (view.getUint32(0) !== END_STREAM) return;
    const stream = this.#streams.get(view.getUint32(4));
    if (stream?.doubtful && stream.hasResponse) this.#end(stream, record.timeNs);
  }

  /** Is the record's beginning that of a frame? */
  #seek(reader: FrameReader, record: DataRecord): boolean {
    const { bytes, start, captured, length, position } = record;
    const end = start + Math.min(captured, length);
    // The kernel may count the SYN.
    const first = position <= 1 && reader.expected <= 0;
    // A capture of a connection that is older counts from 0, too: only SETTINGS begin one.
    let begins = first && (end - start < HEADER_BYTES || bytes[start + 3] === SETTINGS);
    if (startsWithPreface(bytes, start, end, !first)) {
      this.#request ??= reader;
      if (this.#request !== reader) return false;
      begins = first;
    } else if (!begins && !this.#isChain(reader, record)) return false;
    reader.synchronise();
    reader.hpack.table.complete = begins;
    return true;
  }

  #isChain(reader: FrameReader, record: DataRecord): boolean {
    const { bytes, start, captured, length } = record;
    const end = start + Math.min(captured, length);
    const isRequest = reader === this.#request;
    const chain = chainAt(bytes, start, end, length, (type, id) =>
      this.#believes(type, id, isRequest),
    );
    return chain.frames > 0;
  }

  #believes(type: number, id: number, isRequest: boolean): boolean {
    if (id === 0 || this.#lastId === 0 || this.#streams.has(id)) return true;
    if (type !== HEADERS && type !== DATA && type !== RST_STREAM) return true;
    if (id % 2 === 0) return !isRequest;
    if (!isRequest && this.#request?.synchronised) return id <= this.#lastId;
    return id < this.#lastId + STREAMS_AHEAD_MAX;
  }

  #loseFrames(reader: FrameReader, reason: LossReason): void {
    if (reader.synchronised) this.#events.lost(reason);
    reader.lose();
    reader.hpack.table.forget();
    const isRequest = reader === this.#request;
    for (const stream of this.#streams.values()) {
      if (isRequest) {
        stream.requestBytes = Number.NaN;
        stream.exchange.requestMessages.lost = true;
        continue;
      }
      stream.responseBytes = Number.NaN;
      stream.exchange.responseMessages.lost = true;
      if (!stream.doubtful) this.#doubtful++;
      stream.doubtful = true;
    }
    this.#settleNs = reader.timeNs + QUIET_NS;
  }

  /** Ends responses of which frames are missing and nothing has come for a while. */
  #settle(nowNs: number): void {
    this.#settleNs = nowNs + QUIET_NS;
    for (const stream of this.#streams.values()) {
      const { lastResponseNs } = stream.exchange;
      if (!stream.doubtful || !stream.hasResponse || nowNs - lastResponseNs < QUIET_NS) continue;
      this.#end(stream, lastResponseNs);
    }
  }

  malformed(reader: FrameReader): void {
    this.#loseFrames(reader, "malformed");
  }

  frame(reader: FrameReader): void {
    const id = reader.streamId;
    reader.stream = id === 0 ? undefined : this.#streams.get(id);
    if (reader !== this.#request || reader.type !== HEADERS || reader.stream !== undefined) return;
    if (id <= this.#lastId || id % 2 === 0) return;
    this.#lastId = id;
    reader.stream = this.#begin(reader, this.#createExchange(reader));
  }

  #createExchange(reader: FrameReader): HttpExchange {
    const exchange = this.#shared.http.createExchange();
    const role = reader === this.#received ? "server" : "client";
    exchange.reset(role, reader.position, reader.startNs, this.#pid, reader.startTid);
    exchange.version = 20;
    return exchange;
  }

  #begin(reader: FrameReader, exchange: HttpExchange): Stream | undefined {
    if (this.#streams.size >= this.#shared.http.options.pipelinedMax && !this.#makeRoom()) {
      this.#events.lost("pipeline_limit");
      this.#shared.http.recycle(exchange);
      return undefined;
    }
    const stream = this.#shared.createStream(reader.streamId, exchange);
    this.#streams.set(stream.id, stream);
    this.#events.begin(exchange);
    return stream;
  }

  /** Gives up the oldest stream whose end may have been missed. */
  #makeRoom(): boolean {
    if (this.#doubtful === 0) return false;
    for (const stream of this.#streams.values()) {
      if (!stream.doubtful) continue;
      if (stream.hasResponse) this.#end(stream, stream.exchange.lastResponseNs);
      else this.#abandon(stream, "gap");
      return true;
    }
    return false;
  }

  block(reader: FrameReader, bytes: Uint8Array, start: number, end: number, cut: boolean): void {
    const sink = this.#sink;
    const stream = reader.type === PUSH_PROMISE ? undefined : reader.stream;
    if (this.#request === undefined && stream === undefined) {
      this.#blockOfUnknownRole(reader, bytes, start, end, cut);
      return;
    }
    const isRequest = reader === this.#request;
    const first = isRequest && stream?.hasRequest === false;
    if (stream === undefined || (isRequest && !first)) sink.ignore();
    else if (first) sink.request(stream.exchange);
    else sink.response(stream.exchange);
    const whole = reader.hpack.decode(bytes, start, end, cut, sink);
    if (!whole) this.#events.lost(cut ? "head_too_large" : "malformed");
    if (first && stream !== undefined) this.#requestHead(reader, stream, whole);
    else if (!isRequest && stream !== undefined) this.#responseHead(reader, stream);
    else if (!isRequest && sink.isResponse && reader.streamId % 2 === 1) this.#unexpected(reader);
  }

  #unexpected(reader: FrameReader): void {
    const known = reader.streamId <= this.#lastId;
    if (sinkIsFinal(this.#sink)) {
      this.#events.lost(known ? "mid_stream" : "response_without_request");
    }
  }

  /** In mid-connection: what is in the first head tells which side the client is on. */
  #blockOfUnknownRole(
    reader: FrameReader,
    bytes: Uint8Array,
    start: number,
    end: number,
    cut: boolean,
  ): void {
    const sink = this.#sink;
    if (reader.type === PUSH_PROMISE) {
      // Only servers promise.
      this.#request = reader === this.#sent ? this.#received : this.#sent;
      sink.ignore();
      reader.hpack.decode(bytes, start, end, cut, sink);
      return;
    }
    const exchange = this.#createExchange(reader);
    sink.either(exchange);
    const whole = reader.hpack.decode(bytes, start, end, cut, sink);
    if (sink.isRequest && !sink.isResponse && reader.streamId % 2 === 1) {
      this.#request = reader;
      this.#lastId = reader.streamId;
      const stream = this.#begin(reader, exchange);
      reader.stream = stream;
      if (stream !== undefined) this.#requestHead(reader, stream, whole);
      return;
    }
    this.#shared.http.recycle(exchange);
    this.#events.lost("mid_stream");
    if (sink.isResponse) this.#request = reader === this.#sent ? this.#received : this.#sent;
  }

  #requestHead(reader: FrameReader, stream: Stream, whole: boolean): void {
    const { exchange } = stream;
    const sink = this.#sink;
    stream.hasRequest = true;
    exchange.incomplete = sink.incomplete || !whole;
    exchange.known = exchange.pathEnd > exchange.pathStart;
    if (!sink.isRequest && !exchange.incomplete) {
      // Trailers of a request that began before anything was seen.
      this.#abandon(stream, "mid_stream");
      reader.stream = undefined;
    }
  }

  #responseHead(reader: FrameReader, stream: Stream): void {
    const { exchange } = stream;
    const { status, isResponse } = this.#sink;
    exchange.lastResponseNs = Math.max(reader.timeNs, exchange.startNs);
    // Section 8.1: any number of interim responses.
    if (isResponse && status >= 100 && status < 200) return;
    if (status > 0 && exchange.status === 0) exchange.status = status;
    if (stream.hasResponse) return;
    stream.hasResponse = true;
    exchange.responseStartNs = Math.max(reader.startNs, exchange.startNs);
    exchange.responseTid = reader.startTid;
  }

  frameEnd(reader: FrameReader): void {
    const { type, stream } = reader;
    if (type === RST_STREAM) {
      if (stream !== undefined) this.#reset(reader, stream);
    } else if (type === GOAWAY) this.#goAway(reader);
    else if ((type === DATA || type === HEADERS) && (reader.flags & END_STREAM) !== 0) {
      if (stream !== undefined) this.#endOfStream(reader, stream);
    }
  }

  #endOfStream(reader: FrameReader, stream: Stream): void {
    if (reader === this.#request) {
      stream.requestEnded = true;
      stream.exchange.requestEndNs = reader.timeNs;
    } else if (stream.hasResponse || stream.doubtful) this.#end(stream, reader.timeNs);
  }

  payload(reader: FrameReader, bytes: Uint8Array, start: number, end: number): void {
    const stream = reader.stream;
    if (stream === undefined) return;
    this.#countData(reader, stream, end - start);
    const { exchange } = stream;
    if (exchange.incomplete || hasMessages(exchange)) {
      this.#messages(reader, stream).bytes(bytes, start, end);
    }
  }

  payloadHole(reader: FrameReader, count: number): void {
    const stream = reader.stream;
    if (stream === undefined) return;
    this.#countData(reader, stream, count);
    const messages = this.#messages(reader, stream);
    if (Number.isNaN(count)) messages.lost = true;
    else messages.hole(count);
  }

  #messages(reader: FrameReader, stream: Stream): HttpExchange["requestMessages"] {
    const { requestMessages, responseMessages } = stream.exchange;
    return reader === this.#request ? requestMessages : responseMessages;
  }

  #countData(reader: FrameReader, stream: Stream, count: number): void {
    if (reader === this.#request) {
      stream.requestBytes += count;
      stream.hasRequestData = true;
      return;
    }
    const { exchange } = stream;
    stream.responseBytes += count;
    stream.hasResponseData = true;
    exchange.lastResponseNs = Math.max(reader.timeNs, exchange.startNs);
  }

  #reset(reader: FrameReader, stream: Stream): void {
    const { exchange } = stream;
    const code = reader.errorCode;
    const isClient = reader === this.#request;
    if (!isClient && code === NO_ERROR && stream.hasResponse) {
      this.#end(stream, reader.timeNs);
      return;
    }
    this.#fail(exchange, code);
    // Either side cancels when the time is over.
    if (code === CANCEL && isTimeout(exchange, reader.timeNs)) {
      exchange.grpcStatus = GRPC_DEADLINE_EXCEEDED;
    }
    this.#end(stream, reader.timeNs);
  }

  #fail(exchange: HttpExchange, code: number): void {
    exchange.failure = errorName(code);
    const isRpc = exchange.content !== CONTENT_OTHER;
    if (isRpc && exchange.grpcStatus < 0) exchange.grpcStatus = statusOfReset(code);
  }

  /** RFC 9113 section 6.8: streams above the last one were not and will not be served. */
  #goAway(reader: FrameReader): void {
    if (reader === this.#request) return;
    for (const stream of this.#streams.values()) {
      if (stream.id <= reader.lastStreamId) continue;
      const code = reader.errorCode === NO_ERROR ? REFUSED_STREAM : reader.errorCode;
      this.#fail(stream.exchange, code);
      this.#end(stream, reader.timeNs);
    }
  }

  #end(stream: Stream, timeNs: number): void {
    const { exchange } = stream;
    exchange.endNs = Math.max(timeNs, exchange.startNs);
    if (stream.hasRequestData && stream.requestEnded && !Number.isNaN(stream.requestBytes)) {
      exchange.requestBodyBytes = stream.requestBytes;
    }
    const complete = exchange.failure === "" && !stream.doubtful;
    if (complete && stream.hasResponseData && !Number.isNaN(stream.responseBytes)) {
      exchange.responseBodyBytes = stream.responseBytes;
    }
    if (exchange.grpcStatus < 0 && hasMessages(exchange)) {
      exchange.grpcStatus = grpcWebStatus(exchange.responseMessages.trailers);
    }
    if (exchange.incomplete && exchange.content === CONTENT_OTHER && exchange.grpcStatus >= 0) {
      // Nothing else has that trailer.
      exchange.content = CONTENT_GRPC;
    }
    this.#forget(stream);
    this.#events.end(exchange);
    this.#shared.recycle(stream);
  }

  #abandon(stream: Stream, reason: LossReason): void {
    this.#forget(stream);
    this.#events.abandon(stream.exchange, reason);
    this.#shared.recycle(stream);
  }

  #forget(stream: Stream): void {
    if (stream.doubtful) this.#doubtful--;
    this.#streams.delete(stream.id);
    if (this.#received.stream === stream) this.#received.stream = undefined;
    if (this.#sent.stream === stream) this.#sent.stream = undefined;
  }

  close(timeNs: number, error: number, sent = -1, received = -1): void {
    this.#closeGap(this.#sent, sent);
    this.#closeGap(this.#received, received);
    for (const stream of this.#streams.values()) {
      const { exchange } = stream;
      if (stream.doubtful) {
        if (stream.hasResponse) this.#end(stream, exchange.lastResponseNs);
        else this.#abandon(stream, "gap");
        continue;
      }
      exchange.failure = failureName(error);
      this.#end(stream, timeNs);
    }
    this.#received.lose();
    this.#sent.lose();
  }

  /** Bytes that moved and were in no record. One too many is a FIN that the kernel counted. */
  #closeGap(reader: FrameReader, total: number): void {
    const gap = total - reader.expected;
    if (total < 0 || reader.expected < 0 || gap <= 1) return;
    if (!reader.hole(gap)) this.#loseFrames(reader, "gap");
  }
}

function startsWithPreface(
  bytes: Uint8Array,
  start: number,
  end: number,
  wholeOnly: boolean,
): boolean {
  const length = Math.min(end - start, PREFACE.length);
  if (wholeOnly && length < PREFACE.length) return false;
  for (let index = 0; index < length; index++) {
    if (bytes[start + index] !== PREFACE[index]) return false;
  }
  return length > 0;
}

/** What a client cancels when its timeout is over has run that long. */
function isTimeout(exchange: HttpExchange, nowNs: number): boolean {
  const { timeoutNs, startNs } = exchange;
  if (timeoutNs === 0) return false;
  const delayNs = Math.min(timeoutNs * TIMEOUT_DELAY_PART, TIMEOUT_DELAY_MAX_NS);
  return nowNs - startNs >= timeoutNs * (1 - TIMEOUT_PART) - delayNs;
}

function sinkIsFinal(sink: HeadSink): boolean {
  return sink.status === 0 || sink.status >= 200;
}
