// SPDX-License-Identifier: Apache-2.0
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";
import { ByteCursor, type NameTable } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { MessagingDetails, MessagingExchange } from "../messaging.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  detect,
  headerEnd,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  packetLength,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "./detect.ts";
import { reasonName, returnCodeName } from "./reasons.ts";

const LEVEL_5 = 5;
const ALIASES_MAX = 256;
/** Keys of what has no packet id. */
const CONNECTING = -1;
/** Packet ids of subscriptions are those of messages, too: a client has one space of them. */
const KNOWN_PROPERTY_SIZES: ReadonlyMap<number, number> = new Map([
  ...[0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a].map((id) => [id, 1] as const),
  ...[0x13, 0x21, 0x22, 0x23].map((id) => [id, 2] as const),
  ...[0x02, 0x11, 0x18, 0x27].map((id) => [id, 4] as const),
]);
const TOPIC_ALIAS = 0x23;
const SUBSCRIPTION_ID = 0x0b;
const USER_PROPERTY = 0x26;
const TEXTS: ReadonlySet<number> = new Set([0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f]);

/** Packets of one connection. Each end gives its messages packet ids of its own, and reuses them. */
export class MqttDialect implements CorrelatedDialect<MessagingDetails> {
  /** Fixed header. */
  readonly headerBytes = 5;
  readonly reusesIds = true;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #cursor: ByteCursor;
  #level = 0;
  /** Topics by their aliases, which each end chooses for what it sends. */
  readonly #aliases: readonly [Map<number, string>, Map<number, string>] = [new Map(), new Map()];
  #clientId = "";
  #client: Direction | undefined = undefined;

  constructor(exchanges: Exchanges<MessagingDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#cursor = new ByteCursor(names);
  }

  readonly frameLength: typeof packetLength = packetLength;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const type = (bytes[start] ?? 0) >> 4;
    const cursor = this.#cursor.over(bytes, headerEnd(bytes, start), end);
    if (type === PUBLISH) return this.#publish(frame);
    if (type === CONNECT) return this.#connect(frame);
    if (type === CONNACK) return this.#connected(frame);
    if (type === SUBSCRIBE || type === UNSUBSCRIBE) return this.#subscribe(frame, type);
    if (type >= PUBACK && type <= UNSUBACK) {
      const id = cursor.uint16();
      return this.#acknowledge(frame, type, id);
    }
    if (type === AUTH) this.#level = LEVEL_5;
    return TAKEN;
  }

  lost(direction: Direction): void {
    // An alias may have been given another topic.
    this.#aliases[direction].clear();
  }

  #publish(frame: Frame<MessagingDetails>): FrameOutcome {
    const cursor = this.#cursor;
    const { direction } = frame;
    const quality = ((frame.bytes[frame.start] ?? 0) >> 1) & 3;
    let topic = cursor.name(cursor.uint16());
    const id = quality > 0 ? cursor.uint16() : 0;
    const isCut = cursor.isCut;
    const alias = this.#level === LEVEL_5 ? this.#readProperties() : 0;
    if (alias > 0) topic = this.#resolve(direction, alias, topic);
    const bodyAt = cursor.at;
    // Sent again: the first transmission is the message.
    const isAgain = ((frame.bytes[frame.start] ?? 0) & 8) !== 0;
    if (isAgain && id > 0 && this.#exchanges.find(direction, id) !== undefined) return TAKEN;
    const isAnswered = quality > 0 && !isCut && id > 0;
    const exchange = this.#exchanges.begin(frame, isAnswered ? id : undefined);
    const { details } = exchange;
    exchange.requestEndNs = frame.endNs;
    details.destination = topic;
    details.version = quality;
    details.messageId = id > 0 ? String(id) : "";
    const isKnown = this.#level > 0 && !cursor.isCut;
    if (isKnown) details.bodyBytes = Math.max(0, frame.length - (bodyAt - frame.start));
    this.#describe(exchange, direction);
    if (!isAnswered) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  /** To the client it is a delivery, by whichever end it is seen. */
  #describe(exchange: MessagingExchange, direction: Direction): void {
    const { details } = exchange;
    const isDelivery =
      this.#client === undefined ? direction === RECEIVED : direction !== this.#client;
    details.operation = isDelivery ? "deliver" : "publish";
    details.type = isDelivery ? "receive" : "send";
    details.clientId = this.#clientId;
    if (!isDelivery && direction === SENT) exchange.messaging = "producer";
    else if (isDelivery && direction === RECEIVED) exchange.messaging = "consumer";
  }

  /** The topic alias, 0 without one. Leaves the cursor after the properties. */
  #readProperties(): number {
    const cursor = this.#cursor;
    const length = cursor.varint();
    const stop = cursor.at + length;
    let alias = 0;
    while (cursor.at < stop && !cursor.isCut) {
      const id = cursor.uint8();
      const size = KNOWN_PROPERTY_SIZES.get(id);
      if (id === TOPIC_ALIAS) alias = cursor.uint16();
      else if (size !== undefined) cursor.skip(size);
      else if (id === SUBSCRIPTION_ID) cursor.varint();
      else if (id === USER_PROPERTY) {
        cursor.skip(cursor.uint16());
        cursor.skip(cursor.uint16());
      } else if (TEXTS.has(id)) cursor.skip(cursor.uint16());
      else break;
    }
    if (!cursor.isCut) cursor.at = Math.min(Math.max(stop, 0), cursor.end);
    return alias;
  }

  #resolve(direction: Direction, alias: number, topic: string): string {
    const aliases = this.#aliases[direction];
    if (topic === "") return aliases.get(alias) ?? "";
    if (aliases.size < ALIASES_MAX || aliases.has(alias)) aliases.set(alias, topic);
    return topic;
  }

  #connect(frame: Frame<MessagingDetails>): FrameOutcome {
    const cursor = this.#cursor;
    cursor.skip(cursor.uint16());
    this.#level = cursor.uint8();
    cursor.skip(3);
    if (this.#level === LEVEL_5) this.#readProperties();
    this.#clientId = cursor.name(cursor.uint16());
    this.#client = frame.direction;
    const exchange = this.#exchanges.begin(frame, CONNECTING);
    exchange.requestEndNs = frame.endNs;
    exchange.details.operation = "connect";
    exchange.details.clientId = this.#clientId;
    return TAKEN;
  }

  #connected(frame: Frame<MessagingDetails>): FrameOutcome {
    const asked = this.#exchanges.find(opposite(frame.direction), CONNECTING);
    if (asked === undefined) return UNASKED;
    this.#cursor.skip(1);
    asked.errorType = returnCodeName(this.#cursor.uint8());
    this.#exchanges.answer(asked, frame);
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }

  #subscribe(frame: Frame<MessagingDetails>, type: number): FrameOutcome {
    const cursor = this.#cursor;
    const id = cursor.uint16();
    if (this.#level === LEVEL_5) this.#readProperties();
    const exchange = this.#exchanges.begin(frame, id);
    exchange.requestEndNs = frame.endNs;
    const { details } = exchange;
    details.operation = type === SUBSCRIBE ? "subscribe" : "unsubscribe";
    details.clientId = this.#clientId;
    const filter = cursor.name(cursor.uint16());
    const bytes = type === SUBSCRIBE ? 1 : 0;
    // Of several filters none is the destination.
    if (!cursor.isCut && cursor.at + bytes === frame.start + frame.length)
      details.destination = filter;
    return TAKEN;
  }

  /** What acknowledges: a receiver's packets, and PUBCOMP for what PUBREC has received. */
  #acknowledge(frame: Frame<MessagingDetails>, type: number, id: number): FrameOutcome {
    // PUBREL goes the way of the message.
    if (type === PUBCOMP - 1) return TAKEN;
    const asked = this.#exchanges.find(opposite(frame.direction), id);
    if (asked === undefined) return UNASKED;
    const cursor = this.#cursor;
    const isList = type === SUBACK || type === UNSUBACK;
    if (isList && this.#level === LEVEL_5) this.#readProperties();
    // Left out when it is success.
    const hasCode = cursor.at < frame.start + frame.length && cursor.at < cursor.end;
    const error = hasCode ? reasonName(cursor.uint8()) : "";
    this.#exchanges.answer(asked, frame);
    if (error !== "") asked.errorType = error;
    if (type === PUBREC && error === "") return TAKEN;
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
