// SPDX-License-Identifier: Apache-2.0
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";
import { ByteCursor, type NameTable, readUint16 } from "../byte-cursor.ts";
import { type CorrelatedDialect, type FrameOutcome, TAKEN } from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { MessagingDetails, MessagingExchange } from "../messaging.ts";
import { detect, FRAME_HEADER_BYTES, frameBytes, PROTOCOL_HEADER_BYTES } from "./detect.ts";
import { AmqpValues } from "./values.ts";

const OPEN = 0x10;
const BEGIN = 0x11;
const ATTACH = 0x12;
const TRANSFER = 0x14;
const DISPOSITION = 0x15;
const DETACH = 0x16;
const END = 0x17;
const CLOSE = 0x18;
const SASL_INIT = 0x41;
const SASL_OUTCOME = 0x44;
const ERROR = 0x1d;
const SOURCE = 0x28;
const TARGET = 0x29;

/** Outcomes of a delivery that are no success. */
const REJECTED = 0x25;
const RELEASED = 0x26;
const MODIFIED = 0x27;

/** Sections of a message. */
const PROPERTIES = 0x73;
const DATA = 0x75;
const VALUE = 0x77;
const SECTION_MIN = 0x70;
const SECTION_MAX = 0x78;

const SASL_ERRORS = ["", "auth", "sys", "sys-perm", "sys-temp"];
const OPENING = "open";
const AUTHENTICATING = "sasl";
const LINKS_MAX = 1024;
const CHANNELS_MAX = 1024;
/** Deliveries that one disposition settles. */
const SETTLED_MAX = 65_536;

/** Transfers and their dispositions, of all links of a connection. */
export class Amqp10Dialect implements CorrelatedDialect<MessagingDetails> {
  readonly headerBytes: number = FRAME_HEADER_BYTES;
  /** Delivery ids are serial numbers of a session. */
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #values: AmqpValues;
  /** Addresses by direction, channel and handle of the link's sender. */
  readonly #addresses = new Map<number, string>();
  /** Deliveries of which more frames are to come, by direction, channel and handle. */
  readonly #unfinished = new Map<number, number>();
  /** The other end's number of a channel's session, by direction and channel. */
  readonly #peers = new Map<number, number>();
  #client: Direction | undefined = undefined;
  /** Highest delivery by direction, so that no more is looked for. */
  readonly #lastDelivery: [number, number] = [-1, -1];
  readonly #firstDelivery: [number, number] = [0, 0];

  constructor(exchanges: Exchanges<MessagingDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#values = new AmqpValues(new ByteCursor(names));
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end, direction } = frame;
    if (frame.length === PROTOCOL_HEADER_BYTES) {
      if (bytes[start] === 0x41) this.#client ??= direction;
      return TAKEN;
    }
    const values = this.#values;
    values.cursor.over(bytes, start + 4 * (bytes[start + 4] ?? 0), end);
    const performative = values.descriptor();
    if (performative < 0 || !values.list()) return TAKEN;
    const channel = readUint16(bytes, start + 6);
    if (performative === TRANSFER) this.#transfer(frame, channel);
    else if (performative === DISPOSITION) this.#dispose(frame, channel);
    else if (performative === ATTACH) this.#attach(direction, channel);
    else if (performative === BEGIN) this.#begin(direction, channel);
    else if (performative === OPEN) this.#open(frame);
    else if (performative === SASL_INIT) this.#authenticate(frame);
    else if (performative === SASL_OUTCOME) this.#answer(frame, AUTHENTICATING, saslError(values));
    else if (performative === DETACH) this.#closed(frame, "detach", 2);
    else if (performative === END) this.#closed(frame, "end", 0);
    else if (performative === CLOSE) this.#closed(frame, "close", 0);
    return TAKEN;
  }

  lost(direction: Direction): void {
    for (const [link, delivery] of this.#unfinished) {
      if (link % 2 !== direction) continue;
      this.#unfinished.delete(link);
      const channel = Math.floor(link / 2) % 0x10000;
      const exchange = this.#exchanges.find(direction, keyOf(channel, delivery));
      if (exchange !== undefined) this.#exchanges.abandon(exchange, "gap");
    }
  }

  #open(frame: Frame<MessagingDetails>): void {
    const asked = this.#exchanges.find(opposite(frame.direction), OPENING);
    if (asked !== undefined) {
      this.#answer(frame, OPENING, "");
      return;
    }
    const exchange = this.#ask(frame, OPENING, "open");
    exchange.details.clientId = this.#values.text();
    this.#client ??= frame.direction;
  }

  #authenticate(frame: Frame<MessagingDetails>): void {
    this.#ask(frame, AUTHENTICATING, "sasl.init");
  }

  #ask(frame: Frame<MessagingDetails>, key: string, operation: string): MessagingExchange {
    const exchange = this.#exchanges.begin(frame, key);
    exchange.requestEndNs = frame.endNs;
    exchange.details.operation = operation;
    return exchange;
  }

  #answer(frame: Frame<MessagingDetails>, key: string, error: string): void {
    const asked = this.#exchanges.find(opposite(frame.direction), key);
    if (asked === undefined) return;
    this.#exchanges.answer(asked, frame);
    asked.errorType = error;
    this.#exchanges.end(asked, frame.endNs);
  }

  /** The session of the other end's channel. */
  #begin(direction: Direction, channel: number): void {
    const peer = this.#values.uint();
    if (peer < 0 || this.#peers.size >= CHANNELS_MAX) return;
    this.#peers.set(channel * 2 + direction, peer);
    this.#peers.set(peer * 2 + opposite(direction), channel);
  }

  /** The sender's end of a link names what its transfers are about. */
  #attach(direction: Direction, channel: number): void {
    const values = this.#values;
    values.skip();
    const handle = values.uint();
    const isReceiver = values.bool();
    values.skip(2);
    const source = values.described() === SOURCE ? values.firstText() : "";
    const target = values.described() === TARGET ? values.firstText() : "";
    if (isReceiver || handle < 0 || values.cursor.isCut) return;
    if (this.#addresses.size >= LINKS_MAX) this.#addresses.clear();
    const isFromClient = this.#client === undefined || this.#client === direction;
    const address = isFromClient ? target || source : source || target;
    this.#addresses.set(linkOf(direction, channel, handle), shortened(address));
  }

  #transfer(frame: Frame<MessagingDetails>, channel: number): void {
    const values = this.#values;
    const { direction } = frame;
    const handle = values.uint();
    const given = values.uint();
    values.skip(2);
    const isSettled = values.bool();
    const hasMore = values.bool();
    // Receiver's settlement, state and resumption stand before it.
    values.skip(3);
    const isAborted = values.bool();
    if (values.cursor.isCut && given < 0) return;
    const link = linkOf(direction, channel, handle);
    const unfinished = this.#unfinished.get(link);
    const delivery = unfinished ?? given;
    if (delivery < 0) return;
    const key = keyOf(channel, delivery);
    const exchange =
      unfinished === undefined
        ? this.#deliver(frame, key, link)
        : this.#exchanges.find(direction, key);
    if (hasMore && this.#unfinished.size < LINKS_MAX) this.#unfinished.set(link, delivery);
    else this.#unfinished.delete(link);
    if (exchange === undefined) return;
    if (isAborted) {
      this.#exchanges.abandon(exchange, "no_operation");
      return;
    }
    if (unfinished === undefined) this.#track(direction, delivery);
    exchange.details.version = isSettled ? 1 : exchange.details.version;
    if (hasMore) return;
    exchange.requestEndNs = frame.endNs;
    if (exchange.details.version === 1) this.#exchanges.end(exchange, frame.endNs);
  }

  #track(direction: Direction, delivery: number): void {
    if (this.#lastDelivery[direction] < 0) this.#firstDelivery[direction] = delivery;
    this.#lastDelivery[direction] = Math.max(this.#lastDelivery[direction], delivery);
    this.#firstDelivery[direction] = Math.min(this.#firstDelivery[direction], delivery);
  }

  #deliver(frame: Frame<MessagingDetails>, key: number, link: number): MessagingExchange {
    const { direction } = frame;
    const exchange = this.#exchanges.begin(frame, key);
    exchange.answerOptional = true;
    const { details } = exchange;
    const isDelivery =
      this.#client === undefined ? direction === RECEIVED : direction !== this.#client;
    details.operation = isDelivery ? "deliver" : "send";
    details.type = isDelivery ? "receive" : "send";
    details.destination = this.#addresses.get(link) ?? "";
    if (!isDelivery && direction === SENT) exchange.messaging = "producer";
    else if (isDelivery && direction === RECEIVED) exchange.messaging = "consumer";
    this.#readMessage(details);
    return exchange;
  }

  /** Identifiers and size, as far as the sections were captured. */
  #readMessage(details: MessagingDetails): void {
    const { cursor } = this.#values;
    const values = this.#values;
    // The list of the performative is over: the message follows.
    values.skip(values.fieldsLeft);
    while (!cursor.isCut && cursor.at < cursor.end) {
      const section = values.descriptor();
      if (section < SECTION_MIN || section > SECTION_MAX) return;
      if (section === PROPERTIES) {
        if (!values.list()) return;
        details.messageId = values.text();
        values.skip(4);
        details.conversationId = values.text();
        values.skip(values.fieldsLeft);
      } else if (section === DATA || section === VALUE) {
        details.bodyBytes = dataBytes(values);
        return;
      } else values.skipValue();
    }
  }

  /** A receiver settles a range of deliveries. */
  #dispose(frame: Frame<MessagingDetails>, channel: number): void {
    const values = this.#values;
    const { direction } = frame;
    const isReceiver = values.bool();
    const first = values.uint();
    const given = values.uint();
    values.skip();
    const state = values.described();
    if (!isReceiver || first < 0 || state === RECEIVED_STATE) return;
    const asker = opposite(direction);
    const error = state === REJECTED ? this.#rejection() : outcomeError(state);
    const sender = this.#peers.get(channel * 2 + direction) ?? channel;
    const last = Math.min(given < 0 ? first : given, this.#lastDelivery[asker]);
    const from = Math.max(first, this.#firstDelivery[asker], last - SETTLED_MAX);
    for (let delivery = from; delivery <= last; delivery++) {
      const exchange = this.#exchanges.find(asker, keyOf(sender, delivery));
      if (exchange === undefined) continue;
      this.#exchanges.answer(exchange, frame);
      exchange.errorType = error;
      this.#exchanges.end(exchange, frame.endNs);
    }
    // What is settled in one go is not looked for again.
    if (from === this.#firstDelivery[asker] && last >= from) this.#firstDelivery[asker] = last + 1;
  }

  #rejection(): string {
    const values = this.#values;
    if (!values.list() || values.described() !== ERROR) return "rejected";
    return values.firstText() || "rejected";
  }

  /** The end of a link, a session or a connection is told when it is an error. */
  #closed(frame: Frame<MessagingDetails>, operation: string, before: number): void {
    const values = this.#values;
    values.skip(before);
    if (values.described() !== ERROR) return;
    const exchange = this.#exchanges.begin(frame, undefined);
    exchange.details.operation = operation;
    exchange.errorType = values.firstText() || "error";
    exchange.requestEndNs = frame.endNs;
    this.#exchanges.end(exchange, frame.endNs);
  }
}

const RECEIVED_STATE = 0x23;

function outcomeError(state: number): string {
  if (state === RELEASED) return "released";
  return state === MODIFIED ? "modified" : "";
}

function saslError(values: AmqpValues): string {
  const code = values.uint();
  return SASL_ERRORS[code] ?? `sasl_${code}`;
}

/** Of binary and of text; other values have no size of their own. */
function dataBytes(values: AmqpValues): number {
  const { cursor } = values;
  const code = cursor.uint8() & 0xfe;
  const bytes = code === 0xa0 ? cursor.uint8() : code === 0xb0 ? cursor.uint32() : -1;
  return cursor.isCut ? -1 : bytes;
}

/** RabbitMQ's addresses begin with their kind. */
function shortened(address: string): string {
  return address.startsWith("/") ? address.replace(/^\/(?:amq\/)?queues?\//, "") : address;
}

function linkOf(direction: Direction, channel: number, handle: number): number {
  return (handle * 0x10000 + channel) * 2 + direction;
}

function keyOf(channel: number, delivery: number): number {
  return delivery * 0x10000 + channel;
}
