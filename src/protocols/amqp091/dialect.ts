// SPDX-License-Identifier: Apache-2.0
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";
import { ByteCursor, type NameTable, readUint16 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { MessagingDetails, MessagingExchange } from "../messaging.ts";
import { type Channel, Channels } from "./channel.ts";
import {
  BODY,
  detect,
  FRAME_HEADER_BYTES,
  frameBytes,
  HEADER,
  METHOD,
  PROTOCOL_HEADER_BYTES,
} from "./detect.ts";
import {
  ACK,
  askedBy,
  type Call,
  CHANNEL_CLOSE,
  CONFIRM_SELECT,
  CONNECTION_CLOSE,
  CONSUME,
  CONSUME_OK,
  callOf,
  DELIVER,
  GET,
  GET_EMPTY,
  GET_OK,
  methodOf,
  NACK,
  PUBLISH,
  QUEUE_DECLARE,
  REJECT,
  RETURN,
  replyName,
} from "./methods.ts";

/** Keys of a channel: below this its call, above it its content, then its confirmations. */
const CONTENT_KEYS = 0x10000;
const TAG_KEYS = 0x20000;
/** Flags of the content's properties, in their order (0-9-1, 4.2.6.1). */
const PROPERTIES = { type: 15, encoding: 14, headers: 13, mode: 12, priority: 11 } as const;
const CORRELATION_ID = 10;
const REPLY_TO = 9;
const EXPIRATION = 8;
const MESSAGE_ID = 7;

/** Calls, published and delivered messages of all channels of a connection. */
export class Amqp091Dialect implements CorrelatedDialect<MessagingDetails> {
  readonly headerBytes: number = FRAME_HEADER_BYTES;
  /** A channel's call has the channel's number as its id. */
  readonly reusesIds = true;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #cursor: ByteCursor;
  readonly #channels = new Channels();

  constructor(exchanges: Exchanges<MessagingDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#cursor = new ByteCursor(names);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end, direction } = frame;
    const type = bytes[start];
    const number = readUint16(bytes, start + 1);
    if (frame.length === PROTOCOL_HEADER_BYTES && type !== METHOD) return TAKEN;
    if (type === METHOD) {
      const cursor = this.#cursor.over(bytes, start + FRAME_HEADER_BYTES, end);
      const method = methodOf(cursor.uint16(), cursor.uint16());
      return cursor.isCut ? TAKEN : this.#method(frame, method, number);
    }
    const channel = this.#channels.find(number);
    const content = channel.contents[direction];
    if (content === undefined) return TAKEN;
    if (type === HEADER) this.#header(frame, channel);
    else if (type === BODY) content.bodyLeft -= frame.length - FRAME_HEADER_BYTES - 1;
    if (content.bodyLeft <= 0) this.#contentEnd(frame, channel);
    return TAKEN;
  }

  lost(direction: Direction): void {
    for (const channel of this.#channels.values()) {
      const content = channel.contents[direction];
      channel.contents[direction] = undefined;
      if (content !== undefined) {
        const exchange = this.#exchanges.find(content.asker, content.key);
        if (exchange !== undefined) this.#exchanges.abandon(exchange, "gap");
      }
      // Messages can no longer be counted: their numbers are not known.
      channel.nextTag = 0;
    }
  }

  #method(frame: Frame<MessagingDetails>, method: number, number: number): FrameOutcome {
    const channel = this.#channels.find(number);
    if (method === PUBLISH) return this.#publish(frame, channel, number);
    if (method === DELIVER || method === RETURN) {
      return this.#deliver(frame, { method, channel, number });
    }
    if (method === ACK || method === NACK || method === REJECT) {
      return this.#settle(frame, { method, channel, number });
    }
    const call = callOf(method);
    if (call !== undefined) return this.#call(frame, { method, call, channel, number });
    const asked = askedBy(method);
    return asked < 0 ? TAKEN : this.#reply(frame, { method, asked, channel, number });
  }

  #publish(frame: Frame<MessagingDetails>, channel: Channel, number: number): FrameOutcome {
    const cursor = this.#cursor;
    const { direction } = frame;
    cursor.skip(2);
    const exchangeName = cursor.name(cursor.uint8());
    const routingKey = cursor.name(cursor.uint8());
    const isConfirmed = channel.nextTag > 0;
    if (isConfirmed) channel.publishedTag = channel.nextTag++;
    const key = isConfirmed ? tagKey(channel.publishedTag, number) : CONTENT_KEYS + number;
    const exchange = this.#exchanges.begin(frame, key);
    exchange.answerOptional = true;
    if (direction === SENT) exchange.messaging = "producer";
    const { details } = exchange;
    details.operation = "publish";
    details.type = "send";
    details.destination = joined(exchangeName, routingKey, "");
    details.routingKey = routingKey;
    channel.contents[direction] = { key, asker: direction, isConfirmed, bodyLeft: Infinity };
    return TAKEN;
  }

  /** A message to a consumer, or back to its publisher. */
  #deliver(
    frame: Frame<MessagingDetails>,
    at: { readonly method: number; readonly channel: Channel; readonly number: number },
  ): FrameOutcome {
    const cursor = this.#cursor;
    const { direction } = frame;
    const { method, channel, number } = at;
    const isReturn = method === RETURN;
    const code = isReturn ? cursor.uint16() : 0;
    const consumer = cursor.name(cursor.uint8());
    const tag = isReturn ? -1 : cursor.int64();
    if (!isReturn) cursor.skip(1);
    const exchangeName = cursor.name(cursor.uint8());
    const routingKey = cursor.name(cursor.uint8());
    const key = CONTENT_KEYS + number;
    const exchange = this.#exchanges.begin(frame, key);
    exchange.answerOptional = true;
    const { details } = exchange;
    details.operation = isReturn ? "return" : "deliver";
    details.type = isReturn ? "" : "receive";
    details.destination = joined(
      exchangeName,
      routingKey,
      isReturn ? "" : channel.queueOf(consumer),
    );
    details.routingKey = routingKey;
    details.deliveryTag = tag;
    exchange.errorType = replyName(code);
    if (!isReturn && direction === RECEIVED) exchange.messaging = "consumer";
    channel.contents[direction] = { key, asker: direction, isConfirmed: false, bodyLeft: Infinity };
    return TAKEN;
  }

  /** Size and properties of the content. */
  #header(frame: Frame<MessagingDetails>, channel: Channel): void {
    const { bytes, start, end, direction } = frame;
    const content = channel.contents[direction];
    const cursor = this.#cursor.over(bytes, start + FRAME_HEADER_BYTES + 4, end);
    const size = cursor.int64();
    if (content === undefined) return;
    content.bodyLeft = cursor.isCut ? 0 : size;
    const exchange = this.#exchanges.find(content.asker, content.key);
    if (exchange === undefined || cursor.isCut) return;
    exchange.details.bodyBytes = size;
    this.#readProperties(exchange);
  }

  #readProperties(exchange: MessagingExchange): void {
    const cursor = this.#cursor;
    const flags = cursor.uint16();
    const has = (bit: number): boolean => (flags & (1 << bit)) !== 0;
    if (has(PROPERTIES.type)) cursor.skip(cursor.uint8());
    if (has(PROPERTIES.encoding)) cursor.skip(cursor.uint8());
    if (has(PROPERTIES.headers)) cursor.skip(cursor.uint32());
    if (has(PROPERTIES.mode)) cursor.skip(1);
    if (has(PROPERTIES.priority)) cursor.skip(1);
    if (has(CORRELATION_ID)) exchange.details.conversationId = cursor.name(cursor.uint8());
    if (has(REPLY_TO)) cursor.skip(cursor.uint8());
    if (has(EXPIRATION)) cursor.skip(cursor.uint8());
    if (has(MESSAGE_ID)) exchange.details.messageId = cursor.name(cursor.uint8());
  }

  #contentEnd(frame: Frame<MessagingDetails>, channel: Channel): void {
    const content = channel.contents[frame.direction];
    channel.contents[frame.direction] = undefined;
    if (content === undefined) return;
    const exchange = this.#exchanges.find(content.asker, content.key);
    if (exchange === undefined) return;
    if (content.asker === frame.direction) exchange.requestEndNs = frame.endNs;
    if (!content.isConfirmed) this.#exchanges.end(exchange, frame.endNs);
  }

  /** An acknowledgement: of a consumer a message of its own, of the broker a confirmation. */
  #settle(
    frame: Frame<MessagingDetails>,
    at: { readonly method: number; readonly channel: Channel; readonly number: number },
  ): FrameOutcome {
    const cursor = this.#cursor;
    const { method, channel, number } = at;
    const asker = opposite(frame.direction);
    const tag = cursor.int64();
    const isMultiple = method !== REJECT && (cursor.uint8() & 1) !== 0;
    const isConfirmation = channel.confirmer === frame.direction;
    if (!isConfirmation) {
      const exchange = this.#exchanges.begin(frame, undefined);
      const { details } = exchange;
      details.operation = method === ACK ? "ack" : method === NACK ? "nack" : "reject";
      details.type = "settle";
      details.deliveryTag = tag;
      exchange.requestEndNs = frame.endNs;
      this.#exchanges.end(exchange, frame.endNs);
      return TAKEN;
    }
    // Each number is passed once: what is not published cannot be confirmed.
    const last = Math.max(0, Math.min(tag, channel.publishedTag));
    const first = isMultiple ? channel.confirmedTag + 1 : last;
    for (let each = first; each <= last; each++) {
      const exchange = this.#exchanges.find(asker, tagKey(each, number));
      if (exchange === undefined) continue;
      this.#exchanges.answer(exchange, frame);
      if (method === NACK) exchange.errorType = "nack";
      this.#exchanges.end(exchange, frame.endNs);
    }
    if (isMultiple || last === channel.confirmedTag + 1) channel.confirmedTag = last;
    return TAKEN;
  }

  #call(
    frame: Frame<MessagingDetails>,
    at: {
      readonly method: number;
      readonly call: Call;
      readonly channel: Channel;
      readonly number: number;
    },
  ): FrameOutcome {
    const { method, call, channel, number } = at;
    const cursor = this.#cursor;
    const isClose = method === CHANNEL_CLOSE || method === CONNECTION_CLOSE;
    const error = isClose ? replyName(cursor.uint16()) : "";
    if (isClose) this.#failOpen(frame, { error, number, isAll: method === CONNECTION_CLOSE });
    if (call.strings > 0) cursor.skip(2);
    let destination = "";
    let consumer = "";
    for (let index = 0; index < call.strings; index++) {
      const text = cursor.name(cursor.uint8());
      if (index === call.destination) destination = text;
      else consumer = text;
    }
    const isOneWay = call.noWait > 0 && !cursor.isCut && (cursor.uint8() & call.noWait) !== 0;
    if (method === CONSUME) {
      channel.pendingQueue = destination;
      if (consumer !== "") channel.consume(consumer, destination);
    }
    if (method === CONFIRM_SELECT) {
      channel.nextTag = 1;
      channel.publishedTag = 0;
      channel.confirmedTag = 0;
      channel.confirmer = opposite(frame.direction);
    }
    const exchange = this.#exchanges.begin(frame, isOneWay ? undefined : number);
    exchange.requestEndNs = frame.endNs;
    exchange.errorType = error;
    const { details } = exchange;
    details.code = method;
    details.operation = call.name;
    details.destination = destination;
    if (method === GET) {
      details.type = "receive";
      if (frame.direction === SENT) exchange.messaging = "consumer";
    }
    if (isClose) exchange.answerOptional = true;
    if (isOneWay) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  /** What waits on the channel that is closed is not answered any more. */
  #failOpen(
    frame: Frame<MessagingDetails>,
    closing: { readonly error: string; readonly number: number; readonly isAll: boolean },
  ): void {
    const asker = opposite(frame.direction);
    const { error, number } = closing;
    if (error === "") return;
    const call = this.#exchanges.find(asker, number);
    const failed = call ?? this.#exchanges.oldest(asker);
    if (failed === undefined || (call === undefined && !closing.isAll && !isOf(failed, number)))
      return;
    this.#exchanges.answer(failed, frame);
    failed.errorType = error;
    this.#exchanges.end(failed, frame.endNs);
  }

  #reply(
    frame: Frame<MessagingDetails>,
    at: {
      readonly method: number;
      readonly asked: number;
      readonly channel: Channel;
      readonly number: number;
    },
  ): FrameOutcome {
    const { method, channel, number } = at;
    const cursor = this.#cursor;
    const asker = opposite(frame.direction);
    const exchange = this.#exchanges.find(asker, number);
    if (exchange === undefined) return UNASKED;
    // The answer to a call that is lost: one more is open.
    if (exchange.details.code !== at.asked) {
      this.#exchanges.abandon(exchange, "gap");
      return TAKEN;
    }
    this.#exchanges.answer(exchange, frame);
    const { details } = exchange;
    if (method === CONSUME_OK) channel.consume(cursor.name(cursor.uint8()), channel.pendingQueue);
    else if (at.asked === QUEUE_DECLARE && details.destination === "") {
      details.destination = cursor.name(cursor.uint8());
      details.isTemporary = true;
    } else if (method === GET_EMPTY) details.count = 0;
    else if (method === GET_OK) {
      const tag = cursor.int64();
      cursor.skip(1);
      const exchangeName = cursor.name(cursor.uint8());
      details.routingKey = cursor.name(cursor.uint8());
      details.destination = joined(exchangeName, details.routingKey, details.destination);
      details.deliveryTag = tag;
      channel.contents[frame.direction] = {
        key: number,
        asker,
        isConfirmed: false,
        bodyLeft: Infinity,
      };
      return TAKEN;
    }
    this.#exchanges.end(exchange, frame.endNs);
    if (at.asked === CHANNEL_CLOSE) this.#channels.delete(number);
    return TAKEN;
  }
}

function tagKey(tag: number, channel: number): number {
  return TAG_KEYS + tag * 0x10000 + channel;
}

function isOf(exchange: MessagingExchange, channel: number): boolean {
  const { key } = exchange;
  return typeof key === "number" && key >= TAG_KEYS && key % 0x10000 === channel;
}

/** By the conventions for RabbitMQ: what is empty is left out, and what is said twice. */
function joined(exchange: string, routingKey: string, queue: string): string {
  const parts = [exchange, routingKey, queue].filter((part) => part !== "");
  return [...new Set(parts)].join(":");
}
