// SPDX-License-Identifier: Apache-2.0
import type { MeasurementSink, SpanSink } from "../../model/attribute.ts";
import { type Exchange, ID_AWAITED, type Role, type TraceContext } from "../../model/protocol.ts";
import type { Authority } from "./authority.ts";
import { AwsRequest, awsOperation } from "./aws.ts";
import { MessageCounter } from "./message-counter.ts";
import { METHOD_OTHER } from "./methods.ts";
import type { Operation } from "./operation.ts";
import { RequestId } from "./request-id.ts";
import type { Route } from "./route.ts";
import { CONTENT_CONNECT, CONTENT_OTHER, CONTENT_TRIPLE, rpcOperation } from "./rpc.ts";
import { PRODUCT_NONE, searchOperation } from "./search.ts";
import { AWS, CONNECT, DUBBO, GRPC, HTTP, SEARCH, type Semantics } from "./semantics.ts";
import type { HttpShared } from "./shared.ts";
import { describeDetails } from "./span.ts";
import type { SummaryBlocks } from "./summary-cache.ts";
import { readTraceparent } from "./traceparent.ts";

/** Bytes of the request target that are kept; the rest is cut off. */
export const TARGET_BYTES_MAX = 2048;

/** The first room for a target; it grows when a longer one comes. */
const TARGET_BYTES = 128;

const QUESTION_MARK = 63;
const SLASH = 47;
const COLON = 58;
const HTTPS_COLON = 5;

class TraceContextSlot implements TraceContext {
  readonly traceId = new Uint8Array(16);
  readonly spanId = new Uint8Array(8);
  sampled = false;
  readonly header = "traceparent";
}

/** One request and its response. Pooled: `reset` makes it new. */
export class HttpExchange implements Exchange {
  readonly shared: HttpShared;
  role: Role = "server";
  requestPosition = 0;
  startNs = 0;
  requestEndNs = 0;
  responseStartNs = 0;
  endNs = 0;
  requestTid = 0;
  responseTid = 0;
  pid = 0;
  link: unknown = undefined;

  /** Next of its connection, in the order of the requests. */
  next: HttpExchange | undefined = undefined;
  /** The request line was read. */
  known = false;
  methodIndex: number = METHOD_OTHER;
  /** Of a method that is not known, else empty. */
  methodOriginal = "";
  /** 10 times major plus minor: the lower one of request and response. */
  version = 11;
  /** 0 until known */
  status = 0;
  /** Payload bytes, -1 when unknown or when there is no body. */
  requestBodyBytes = -1;
  responseBodyBytes = -1;
  /** `error.type` of an exchange that the connection's end cut short, else empty. */
  failure = "";
  authority: Authority | undefined = undefined;
  /** Time of the last bytes of the response, for one whose end is not known. */
  lastResponseNs = 0;
  https = false;

  /** A CONTENT_ value: the request's media type, as far as it is one of RPC. */
  content: number = CONTENT_OTHER;
  /** The request has a field that only Dubbo's Triple sends. */
  triple = false;
  /** The request has Connect-Protocol-Version. */
  connect = false;
  /** Request fields exist that could not be read (HPACK): what is missing is not absent. */
  incomplete = false;
  /** gRPC status, -1 until known. */
  grpcStatus = -1;
  /** What the request's grpc-timeout allows; 0 without one. */
  timeoutNs = 0;
  /** Length-prefixed messages; not counted for what has none. */
  readonly requestMessages: MessageCounter = new MessageCounter();
  readonly responseMessages: MessageCounter = new MessageCounter();
  /** A PRODUCT_ value: what the response, or the client's name, says it is. */
  product: number = PRODUCT_NONE;
  readonly aws: AwsRequest = new AwsRequest();
  readonly givenId: RequestId = new RequestId();

  target: Uint8Array = new Uint8Array(TARGET_BYTES);
  /** The path is `target[pathStart … pathEnd)`; empty for CONNECT. */
  pathStart = 0;
  pathEnd = 0;
  /** The query without its question mark is `target[queryStart … targetEnd)`. */
  queryStart = 0;
  targetEnd = 0;
  readonly requestHeaders: string[][] = [];
  readonly responseHeaders: string[][] = [];

  #route: Route | undefined = undefined;
  #routed = false;
  #operation: Operation | undefined = undefined;
  #semantics: Semantics | undefined = undefined;
  #blocks: SummaryBlocks | undefined = undefined;
  #hasTraceContext = false;
  readonly #traceContext = new TraceContextSlot();

  constructor(shared: HttpShared) {
    this.shared = shared;
  }

  get requestId(): number {
    const { value } = this.givenId;
    return value === 0 && !this.known ? ID_AWAITED : value;
  }

  get traceContext(): TraceContext | undefined {
    return this.#hasTraceContext ? this.#traceContext : undefined;
  }

  reset(role: Role, position: number, timeNs: number, pid: number, tid: number): void {
    this.role = role;
    this.requestPosition = position;
    this.startNs = timeNs;
    this.requestEndNs = 0;
    this.responseStartNs = 0;
    this.endNs = 0;
    this.requestTid = tid;
    this.responseTid = 0;
    this.pid = pid;
    this.link = undefined;
    this.next = undefined;
    this.known = false;
    this.methodIndex = METHOD_OTHER;
    this.methodOriginal = "";
    this.version = 11;
    this.status = 0;
    this.requestBodyBytes = -1;
    this.responseBodyBytes = -1;
    this.failure = "";
    this.authority = undefined;
    this.lastResponseNs = 0;
    this.https = this.shared.options.isSecure === true;
    this.content = CONTENT_OTHER;
    this.triple = false;
    this.connect = false;
    this.incomplete = false;
    this.grpcStatus = -1;
    this.timeoutNs = 0;
    this.requestMessages.reset();
    this.responseMessages.reset();
    this.product = PRODUCT_NONE;
    this.aws.reset();
    this.givenId.reset();
    this.pathStart = 0;
    this.pathEnd = 0;
    this.queryStart = 0;
    this.targetEnd = 0;
    this.#route = undefined;
    this.#routed = false;
    this.#operation = undefined;
    this.#semantics = undefined;
    this.#blocks = undefined;
    this.#hasTraceContext = false;
    if (this.requestHeaders.length > 0) this.requestHeaders.length = 0;
    if (this.responseHeaders.length > 0) this.responseHeaders.length = 0;
  }

  /** Origin-form, absolute-form or asterisk-form (RFC 9112 section 3.2). */
  setTarget(bytes: Uint8Array, start: number, end: number): void {
    const length = Math.min(end - start, TARGET_BYTES_MAX);
    if (this.target.length < length) this.target = new Uint8Array(TARGET_BYTES_MAX);
    const target = this.target;
    let query = -1;
    for (let index = 0; index < length; index++) {
      const byte = bytes[start + index] ?? 0;
      if (byte === QUESTION_MARK && query < 0) query = index;
      target[index] = byte;
    }
    this.targetEnd = length;
    this.pathEnd = query < 0 ? length : query;
    this.queryStart = query < 0 ? length : query + 1;
    if (target[0] !== SLASH) this.#setAbsoluteTarget();
  }

  /** `scheme://authority/path`; anything else stays a path. */
  #setAbsoluteTarget(): void {
    const target = this.target;
    const colon = target.subarray(0, this.pathEnd).indexOf(COLON);
    if (colon <= 0 || target[colon + 1] !== SLASH || target[colon + 2] !== SLASH) return;
    const start = colon + 3;
    let end = start;
    while (end < this.pathEnd && target[end] !== SLASH) end++;
    this.https = colon === HTTPS_COLON;
    // RFC 9112 section 3.2.2: the target's authority replaces the Host field's.
    this.authority = this.shared.authorities.find(target, start, end);
    this.pathStart = end;
  }

  /** authority-form: the target of CONNECT. */
  setAuthorityTarget(bytes: Uint8Array, start: number, end: number): void {
    this.authority = this.shared.authorities.find(bytes, start, end);
  }

  setTraceparent(bytes: Uint8Array, start: number, end: number): void {
    const slot = this.#traceContext;
    const flags = readTraceparent(bytes, start, end, slot.traceId, slot.spanId);
    this.#hasTraceContext = flags >= 0;
    slot.sampled = (flags & 1) === 1;
  }

  /** Which conventions describe it. Asked for when all is known; the answer stays. */
  get semantics(): Semantics {
    return this.#semantics ?? this.#findSemantics();
  }

  /** The operation by those conventions; undefined where it is not known, and for plain HTTP. */
  get operation(): Operation | undefined {
    if (this.#semantics === undefined) this.#findSemantics();
    return this.#operation;
  }

  #findSemantics(): Semantics {
    const operations = this.shared.operations;
    let semantics = this.#findRpc();
    this.#semantics = semantics;
    if (semantics !== HTTP) this.#operation = rpcOperation(this, operations);
    else if (this.aws.service !== "") {
      this.#operation = awsOperation(this, operations);
      if (this.#operation !== undefined) semantics = AWS;
    } else if (this.product !== PRODUCT_NONE) {
      this.#operation = searchOperation(this, operations);
      if (this.#operation !== undefined) semantics = SEARCH;
    }
    this.#semantics = semantics;
    return semantics;
  }

  #findRpc(): Semantics {
    const content = this.content;
    if (content === CONTENT_CONNECT || this.connect) return CONNECT;
    if (content === CONTENT_TRIPLE || (this.triple && content !== CONTENT_OTHER)) return DUBBO;
    if (content !== CONTENT_OTHER) return GRPC;
    // The request's media type is not known, but nothing else sends this trailer.
    return this.incomplete && this.grpcStatus >= 0 ? GRPC : HTTP;
  }

  /** Undefined for clients and for paths that no route is guessed for. */
  get route(): Route | undefined {
    if (!this.#routed) {
      this.#routed = true;
      this.#route = this.#findRoute();
    }
    return this.#route;
  }

  #findRoute(): Route | undefined {
    if (this.role === "client" || this.target[this.pathStart] !== SLASH) return undefined;
    if (this.pathEnd === this.pathStart) return undefined;
    // A path that the server does not have is no route: scanners would fill the table.
    const learn = this.status !== 404 && this.status !== 400;
    return this.shared.routes.find(this.target, this.pathStart, this.pathEnd, learn);
  }

  describe(sink: SpanSink): void {
    sink.block(this.#summary().span);
    describeDetails(this, sink);
  }

  measure(sink: MeasurementSink): void {
    sink.block(this.#summary().measurement);
  }

  #summary(): SummaryBlocks {
    this.#blocks ??= this.shared.summaries.find(this);
    return this.#blocks;
  }
}
