// SPDX-License-Identifier: Apache-2.0
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";
import { ByteCursor, type NameTable, readUint16, readUint32 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { MessagingDetails, MessagingExchange } from "../messaging.ts";
import type { ExchangeKey } from "../pooled-exchange.ts";
import {
  ACK,
  AUTH_RESPONSE,
  CONNECT,
  CONNECTED,
  type Command,
  commandOf,
  ERROR,
  errorName,
  MESSAGE,
  PRODUCER,
  SEND,
  SEND_ERROR,
  SEND_RECEIPT,
  SUBSCRIBE,
} from "./commands.ts";
import { detect, FRAME_HEADER_BYTES, frameBytes } from "./detect.ts";
import { ProtoFields } from "./fields.ts";

const CONNECTING = "connect";
/** Producers and consumers remembered on a connection. */
const ENDS_MAX = 1024;
const TYPE_FIELD = 1;
/** Before the checksum of metadata and payload. */
const MAGIC_CHECKSUM = 0x0e01;

/** A producer or a consumer of a connection. */
interface End {
  readonly topic: string;
  readonly subscription: string;
}

/** Commands of one connection: by request id, and messages by producer and sequence. */
export class PulsarDialect implements CorrelatedDialect<MessagingDetails> {
  readonly headerBytes: number = FRAME_HEADER_BYTES;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #cursor: ByteCursor;
  readonly #fields = new ProtoFields();
  readonly #producers = new Map<number, End>();
  readonly #consumers = new Map<number, End>();

  constructor(exchanges: Exchanges<MessagingDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#cursor = new ByteCursor(names);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const stop = start + FRAME_HEADER_BYTES + readUint32(bytes, start + 4);
    if (stop > end) return TAKEN;
    const type = this.#open(bytes, start + FRAME_HEADER_BYTES, stop);
    if (type < 0) return MALFORMED;
    switch (type) {
      case SEND:
        return this.#send(frame, stop);
      case SEND_RECEIPT:
      case SEND_ERROR:
        return this.#sent(frame, type);
      case MESSAGE:
        return this.#message(frame, stop);
      case ACK:
        return this.#acknowledge(frame);
      case CONNECT:
        this.#ask(frame, CONNECTING, "connect");
        return TAKEN;
      case CONNECTED:
        return this.#answer(frame, CONNECTING, "");
      default: {
        const command = commandOf(type);
        if (command === undefined || type === AUTH_RESPONSE) return TAKEN;
        return command.isResponse
          ? this.#response(frame, type, command)
          : this.#request(frame, type, command);
      }
    }
  }

  lost(direction: Direction): void {
    // The next error of no request may be another's.
    const open = this.#exchanges.find(opposite(direction), CONNECTING);
    if (open !== undefined) this.#exchanges.abandon(open, "gap");
  }

  /** Reads the fields of the command in BaseCommand; its type, -1 when it is none. */
  #open(bytes: Uint8Array, start: number, end: number): number {
    const fields = this.#fields;
    const cursor = this.#cursor.over(bytes, start, end);
    if (cursor.varint() !== TYPE_FIELD * 8) return -1;
    const type = cursor.varint();
    // The command's own field has the number of its type.
    while (cursor.at < end && !cursor.isCut) {
      const key = cursor.varint();
      const size = key % 8 === 2 ? cursor.varint() : -1;
      if (size < 0 || size > end - cursor.at) return -1;
      const stop = cursor.at + size;
      if (key === type * 8 + 2) return fields.read(cursor, stop) ? type : -1;
      cursor.skip(size);
    }
    return cursor.isCut ? -1 : fields.read(cursor, cursor.at) ? type : -1;
  }

  #text(field: number): string {
    const start = this.#fields.start(field);
    if (start < 0) return "";
    const { bytes } = this.#cursor;
    return this.#cursor
      .over(bytes, start, this.#fields.end(field))
      .name(this.#fields.end(field) - start);
  }

  #ask(frame: Frame<MessagingDetails>, key: ExchangeKey, operation: string): MessagingExchange {
    const exchange = this.#exchanges.begin(frame, key);
    exchange.requestEndNs = frame.endNs;
    exchange.details.operation = operation;
    return exchange;
  }

  #answer(frame: Frame<MessagingDetails>, key: ExchangeKey, error: string): FrameOutcome {
    const asked = this.#exchanges.find(opposite(frame.direction), key);
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    asked.errorType = error;
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }

  #request(frame: Frame<MessagingDetails>, type: number, command: Command): FrameOutcome {
    const id = this.#fields.number(command.requestId);
    const exchange = this.#ask(frame, Math.max(0, id), command.name);
    const { details } = exchange;
    if (command.topic > 0) details.destination = shortened(this.#text(command.topic));
    if (type === PRODUCER) {
      const number = this.#fields.number(2);
      remember(this.#producers, number, { topic: details.destination, subscription: "" });
    } else if (type === SUBSCRIBE) {
      details.subscription = this.#text(2);
      const { destination: topic, subscription } = details;
      remember(this.#consumers, this.#fields.number(4), { topic, subscription });
    }
    return TAKEN;
  }

  #response(frame: Frame<MessagingDetails>, type: number, command: Command): FrameOutcome {
    const code = command.error > 0 ? this.#fields.number(command.error) : -1;
    const isRefused = this.#exchanges.find(opposite(frame.direction), CONNECTING) !== undefined;
    const error = code < 0 ? "" : errorName(code);
    const id = this.#fields.number(command.requestId);
    // A connection is refused with an error of no request.
    const key = type === ERROR && isRefused ? CONNECTING : Math.max(0, id);
    return this.#answer(frame, key, error);
  }

  #send(frame: Frame<MessagingDetails>, payloadAt: number): FrameOutcome {
    const producer = this.#fields.number(1);
    const count = this.#fields.number(3);
    const exchange = this.#ask(frame, `${producer}/${this.#fields.number(2)}`, "send");
    const { details } = exchange;
    details.type = "send";
    details.destination = this.#producers.get(producer)?.topic ?? "";
    details.count = Math.max(1, count);
    details.bodyBytes = payloadBytes(frame, payloadAt);
    if (frame.direction === SENT) exchange.messaging = "producer";
    return TAKEN;
  }

  #sent(frame: Frame<MessagingDetails>, type: number): FrameOutcome {
    const fields = this.#fields;
    const asked = this.#exchanges.find(
      opposite(frame.direction),
      `${fields.number(1)}/${fields.number(2)}`,
    );
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    if (type === SEND_ERROR) asked.errorType = errorName(Math.max(0, fields.number(3)));
    else asked.details.messageId = this.#messageId(3);
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }

  /** Ledger, entry and partition, as the command line tools write it. */
  #messageId(field: number): string {
    const start = this.#fields.start(field);
    if (start < 0) return "";
    const stop = this.#fields.end(field);
    const { bytes } = this.#cursor;
    const fields = this.#fields;
    if (!fields.read(this.#cursor.over(bytes, start, stop), stop)) return "";
    return `${fields.number(1)}:${fields.number(2)}:${fields.number(3)}`;
  }

  #message(frame: Frame<MessagingDetails>, payloadAt: number): FrameOutcome {
    const consumer = this.#consumers.get(this.#fields.number(1));
    const exchange = this.#exchanges.begin(frame, undefined);
    const { details } = exchange;
    exchange.requestEndNs = frame.endNs;
    details.operation = "deliver";
    details.type = "receive";
    details.destination = consumer?.topic ?? "";
    details.subscription = consumer?.subscription ?? "";
    details.messageId = this.#messageId(2);
    details.bodyBytes = payloadBytes(frame, payloadAt);
    if (frame.direction === RECEIVED) exchange.messaging = "consumer";
    this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  /** Without a request id nobody answers. */
  #acknowledge(frame: Frame<MessagingDetails>): FrameOutcome {
    const id = this.#fields.number(8);
    const consumer = this.#consumers.get(this.#fields.number(1));
    const exchange = this.#exchanges.begin(frame, id < 0 ? undefined : id);
    const { details } = exchange;
    exchange.requestEndNs = frame.endNs;
    details.operation = "ack";
    details.type = "settle";
    details.destination = consumer?.topic ?? "";
    details.subscription = consumer?.subscription ?? "";
    details.messageId = this.#messageId(3);
    if (id < 0) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }
}

function remember(ends: Map<number, End>, number: number, end: End): void {
  if (ends.size >= ENDS_MAX) ends.clear();
  ends.set(number, end);
}

/** What follows the metadata, compressed or not; -1 where that was not captured. */
function payloadBytes(frame: Frame<MessagingDetails>, at: number): number {
  const { bytes, start, end, length } = frame;
  let metadata = at;
  if (metadata + 2 <= end && readUint16(bytes, metadata) === MAGIC_CHECKSUM) metadata += 6;
  if (metadata + 4 > end) return -1;
  return Math.max(-1, start + length - (metadata + 4 + readUint32(bytes, metadata)));
}

/** The usual domain and namespace are left out. */
function shortened(topic: string): string {
  return topic.replace(/^persistent:\/\/(public\/default\/)?/, "");
}
