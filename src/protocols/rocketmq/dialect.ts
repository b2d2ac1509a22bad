// SPDX-License-Identifier: Apache-2.0
import { SENT } from "../../model/protocol.ts";
import { type NameTable, readUint32 } from "../byte-cursor.ts";
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
import { PULLS, requestName, responseError, SENDS, SETTLES, SHORT_NAMES } from "./codes.ts";
import { detect, FRAME_HEADER_BYTES, frameBytes } from "./detect.ts";
import { RocketHeader } from "./header.ts";

/** Remoting commands of one connection; both ends may ask. */
export class RocketMqDialect implements CorrelatedDialect<MessagingDetails> {
  readonly headerBytes: number = FRAME_HEADER_BYTES;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #header: RocketHeader;

  constructor(exchanges: Exchanges<MessagingDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#header = new RocketHeader(names);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const header = this.#header;
    if (!header.read(bytes, start, end)) {
      // A header of which not all was captured says nothing, and breaks nothing.
      const size = readUint32(bytes, start + 4) & 0xffffff;
      return end - start < FRAME_HEADER_BYTES + size ? TAKEN : MALFORMED;
    }
    return header.isResponse ? this.#response(frame) : this.#request(frame);
  }

  #request(frame: Frame<MessagingDetails>): FrameOutcome {
    const header = this.#header;
    const exchange = this.#exchanges.begin(frame, header.isOneWay ? undefined : header.opaque);
    exchange.requestEndNs = frame.endNs;
    this.#describe(frame, exchange);
    if (header.isOneWay) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  #describe(frame: Frame<MessagingDetails>, exchange: MessagingExchange): void {
    const { code, fields } = this.#header;
    const { details } = exchange;
    const isShort = SHORT_NAMES.has(code);
    details.code = code;
    details.operation = requestName(code);
    details.destination = fields.get(isShort ? "b" : "topic") ?? "";
    details.partition = integer(fields.get(isShort ? "e" : "queueId"));
    details.group = fields.get("consumerGroup") ?? fields.get("group") ?? "";
    if (SENDS.has(code)) {
      details.operation = "send";
      details.type = "send";
      if (frame.direction === SENT) exchange.messaging = "producer";
      details.bodyBytes = bodyBytes(frame);
      const properties = fields.get(isShort ? "i" : "properties") ?? "";
      details.rocketTag = property(properties, "TAGS");
      details.messageId = property(properties, "UNIQ_KEY");
    } else if (PULLS.has(code)) {
      details.operation = "receive";
      details.type = "receive";
      if (frame.direction === SENT) exchange.messaging = "consumer";
    } else if (SETTLES.has(code)) details.type = "settle";
  }

  #response(frame: Frame<MessagingDetails>): FrameOutcome {
    const header = this.#header;
    const asked = this.#exchanges.find(opposite(frame.direction), header.opaque);
    if (asked === undefined) return UNASKED;
    const { details } = asked;
    this.#exchanges.answer(asked, frame);
    asked.errorType = responseError(header.code);
    if (details.type === "send") {
      const partition = integer(header.fields.get("queueId"));
      if (partition >= 0) details.partition = partition;
      details.messageId ||= header.fields.get("msgId") ?? "";
    } else if (details.type === "receive") {
      if (header.code === 0) details.bodyBytes = bodyBytes(frame);
      else if (asked.errorType === "") details.count = 0;
    }
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}

function bodyBytes(frame: Frame<MessagingDetails>): number {
  const size = readUint32(frame.bytes, frame.start + 4) & 0xffffff;
  return frame.length - FRAME_HEADER_BYTES - size;
}

function integer(text: string | undefined): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : -1;
}

/** Properties are names and values between the control characters 1 and 2. */
function property(text: string, name: string): string {
  for (const entry of text.slice(0, 4096).split("\x02")) {
    if (entry.startsWith(`${name}\x01`)) return entry.slice(name.length + 1, name.length + 129);
  }
  return "";
}
