// SPDX-License-Identifier: Apache-2.0
import { type Detection, type Direction, SENT } from "../../model/protocol.ts";
import { ByteCursor, readUint16, readUint32 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import type { MessagingDetails, MessagingExchange } from "../messaging.ts";
import {
  API_VERSIONS,
  type Api,
  apiOf,
  CONSUMER_GROUP_HEARTBEAT,
  CONTROLLED_SHUTDOWN,
  FETCH,
  HEARTBEAT,
  JOIN_GROUP,
  LEAVE_GROUP,
  OFFSET_COMMIT,
  PRODUCE,
  SASL_HANDSHAKE,
  SYNC_GROUP,
  TXN_OFFSET_COMMIT,
} from "./apis.ts";
import {
  FETCH_ALL,
  FETCH_UNCHANGED,
  KafkaFields,
  readFetchRequest,
  readProduceRequest,
  readResponse,
} from "./bodies.ts";
import { detectRequest, FRAME_BYTES_MAX, FRAME_BYTES_MIN } from "./detect.ts";
import type { KafkaShared } from "./shared.ts";

/** Size, API key, version and correlation id. */
const REQUEST_HEADER_BYTES = 12;
/** Requests whose body begins with the name of a consumer group. */
const GROUP_FIRST: ReadonlySet<number> = new Set([
  OFFSET_COMMIT,
  JOIN_GROUP,
  HEARTBEAT,
  LEAVE_GROUP,
  SYNC_GROUP,
  CONSUMER_GROUP_HEARTBEAT,
]);

/** Requests and responses of one connection. A broker answers in order, and by correlation id. */
export class KafkaDialect implements CorrelatedDialect<MessagingDetails> {
  readonly headerBytes: number = REQUEST_HEADER_BYTES;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #shared: KafkaShared;
  readonly #fields: KafkaFields;
  /** The client's; undefined until its first request. */
  #requests: Direction | undefined = undefined;
  /** Tokens without a header follow a handshake of version 0. */
  #hasRawTokens = false;
  /** The one topic of the fetch session; empty when there are several or it is not known. */
  #sessionTopic = "";

  constructor(exchanges: Exchanges<MessagingDetails>, shared: KafkaShared) {
    this.#exchanges = exchanges;
    this.#shared = shared;
    this.#fields = new KafkaFields(new ByteCursor(shared.names), shared);
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < 4) return NEED_MORE;
    const size = readUint32(bytes, start);
    return size < FRAME_BYTES_MIN || size > FRAME_BYTES_MAX ? NOT_A_FRAME : size + 4;
  }

  plausible(bytes: Uint8Array, start: number, end: number, direction: Direction): Detection {
    const isRequestSide = this.#requests === undefined || direction === this.#requests;
    if (isRequestSide) return detectRequest(bytes, start, end);
    if (end - start < 8) return "more";
    const asked = this.#exchanges.find(opposite(direction), readUint32(bytes, start + 4));
    return asked === undefined ? "no" : "yes";
  }

  started(frame: Frame<MessagingDetails>): void {
    const { bytes, start, end, direction } = frame;
    if (this.#requests === undefined) {
      if (detectRequest(bytes, start, end) === "no") return;
      this.#requests = direction;
    } else if (direction !== this.#requests) return;
    const api = this.#api(frame);
    if (api === undefined) return;
    const exchange = this.#exchanges.begin(frame, readUint32(bytes, start + 8));
    exchange.details.code = api.key;
    exchange.details.version = readUint16(bytes, start + 6);
    if (exchange.role === "client") {
      if (api.key === PRODUCE) exchange.messaging = "producer";
      else if (api.key === FETCH) exchange.messaging = "consumer";
    }
  }

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { exchange } = frame;
    if (frame.direction !== this.#requests) return this.#response(frame);
    const api = this.#api(frame);
    if (api === undefined) return this.#hasRawTokens ? TAKEN : MALFORMED;
    // It was given up while it was under way.
    if (exchange === undefined) return TAKEN;
    exchange.requestEndNs = frame.endNs;
    this.#hasRawTokens = api.key === SASL_HANDSHAKE && exchange.details.version === 0;
    if (!this.#request(frame, exchange, api)) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  #api(frame: Frame<MessagingDetails>): Api | undefined {
    const { bytes, start, end } = frame;
    if (end - start < REQUEST_HEADER_BYTES) return undefined;
    return apiOf(readUint16(bytes, start + 4), readUint16(bytes, start + 6));
  }

  /** False for a request without a response. */
  #request(frame: Frame<MessagingDetails>, exchange: MessagingExchange, api: Api): boolean {
    const fields = this.#fields;
    const { details } = exchange;
    const { version } = details;
    fields.cursor.over(frame.bytes, frame.start + REQUEST_HEADER_BYTES, frame.end);
    // The client's id is never compact, so that any broker can read it.
    fields.isFlexible = false;
    if (api.key !== CONTROLLED_SHUTDOWN || version > 0) details.clientId = fields.string();
    fields.isFlexible = version >= api.flexibleFrom;
    fields.tags();
    details.operation = api.name;
    const client =
      frame.direction === SENT ? `${exchange.pid} ${details.clientId}` : details.clientId;
    if (api.key === PRODUCE) {
      details.operation = "send";
      details.type = "send";
      return readProduceRequest(fields, exchange);
    }
    if (api.key === FETCH) {
      details.operation = "poll";
      details.type = "receive";
      details.group = this.#shared.groupOf(client);
      const kind = readFetchRequest(fields, exchange);
      if (kind === FETCH_UNCHANGED) details.destination = this.#sessionTopic;
      else if (kind === FETCH_ALL) this.#sessionTopic = details.destination;
      else if (details.destination !== this.#sessionTopic) this.#sessionTopic = "";
      return true;
    }
    if (api.key === OFFSET_COMMIT || api.key === TXN_OFFSET_COMMIT) {
      details.operation = "commit";
      details.type = "settle";
    }
    if (api.key === TXN_OFFSET_COMMIT) fields.skipString();
    if (GROUP_FIRST.has(api.key) || api.key === TXN_OFFSET_COMMIT) {
      details.group = fields.string();
      if (details.group !== "") this.#shared.learnGroup(client, details.group);
    }
    return true;
  }

  #response(frame: Frame<MessagingDetails>): FrameOutcome {
    const asker = opposite(frame.direction);
    const { bytes, start, end } = frame;
    const asked =
      end - start < 8 ? undefined : this.#exchanges.find(asker, readUint32(bytes, start + 4));
    if (asked === undefined) return this.#hasRawTokens ? TAKEN : UNASKED;
    // Responses come in order: those of older requests were lost.
    let oldest = this.#exchanges.oldest(asker);
    while (oldest !== undefined && oldest !== asked) {
      this.#exchanges.abandon(oldest, "gap");
      oldest = this.#exchanges.oldest(asker);
    }
    const fields = this.#fields;
    const { code, version } = asked.details;
    const api = apiOf(code, version);
    fields.cursor.over(bytes, start + 8, end);
    fields.isFlexible = api !== undefined && version >= api.flexibleFrom;
    // A client that does not know the version must be able to read this one's header.
    if (code !== API_VERSIONS) fields.tags();
    this.#exchanges.answer(asked, frame);
    readResponse(fields, asked);
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
