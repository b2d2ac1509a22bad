// SPDX-License-Identifier: Apache-2.0
import { type NameTable, readUint16 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import type { DatagramDialect } from "../datagram-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import { detectOnTcp, LENGTH_BYTES } from "./detect.ts";
import type { DnsDetails, DnsExchange } from "./exchange.ts";
import { DnsMessage, HEADER_BYTES, TYPE_AXFR, TYPE_IXFR } from "./message.ts";
import { opcodeName, responseError } from "./names.ts";

/** Questions and answers, which have the question's id. */
export class DnsDialect implements DatagramDialect<DnsDetails> {
  readonly #exchanges: Exchanges<DnsDetails>;
  readonly #message: DnsMessage;

  constructor(exchanges: Exchanges<DnsDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#message = new DnsMessage(names);
  }

  ended(frame: Frame<DnsDetails>): FrameOutcome {
    return this.message(frame, frame.start);
  }

  /** `start`: where the message begins in the frame. */
  message(frame: Frame<DnsDetails>, start: number): FrameOutcome {
    const message = this.#message;
    if (!message.read(frame.bytes, start, frame.end) || opcodeName(message.opcode) === "") {
      // A question of which not all was captured says nothing, and breaks nothing.
      return frame.end < frame.start + frame.length ? TAKEN : MALFORMED;
    }
    return message.isResponse ? this.#response(frame) : this.#request(frame);
  }

  #request(frame: Frame<DnsDetails>): FrameOutcome {
    const message = this.#message;
    // Multicast DNS (RFC 6762, section 18): whoever knows says so to everybody.
    const isOneWay = message.id === 0 && !message.isRecursionDesired;
    const before = isOneWay ? undefined : this.#exchanges.find(frame.direction, message.id);
    if (before !== undefined && this.#isQuestionOf(before)) {
      before.details.resendCount++;
      return TAKEN;
    }
    const exchange = this.#exchanges.begin(frame, isOneWay ? undefined : message.id);
    const { details } = exchange;
    details.opcode = message.opcode;
    details.name = message.name;
    details.type = message.type;
    exchange.requestEndNs = frame.endNs;
    if (isOneWay) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  #response(frame: Frame<DnsDetails>): FrameOutcome {
    const message = this.#message;
    const asked = this.#exchanges.find(opposite(frame.direction), message.id);
    if (asked === undefined) return UNASKED;
    if (message.questionCount > 0 && !this.#isQuestionOf(asked)) return UNASKED;
    const { details } = asked;
    this.#exchanges.answer(asked, frame);
    details.answerCount = Math.max(0, details.answerCount) + message.answerCount;
    details.addresses = message.addresses;
    message.addresses = [];
    asked.errorType = responseError(message.responseCode);
    details.soaCount += message.soaCount;
    // A transfer is over with its second SOA record (RFC 5936, section 2.2).
    const isTransfer = details.type === TYPE_AXFR || details.type === TYPE_IXFR;
    if (isTransfer && asked.errorType === "" && details.soaCount === 1) {
      if (details.type === TYPE_AXFR || message.answerCount > 1) {
        asked.answerOptional = true;
        return TAKEN;
      }
    }
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }

  /** An id alone does not tell that this is the answer: ids are guessed, and used again. */
  #isQuestionOf({ details }: DnsExchange): boolean {
    const { name, type, opcode } = this.#message;
    return details.name === name && details.type === type && details.opcode === opcode;
  }
}

/** The same on a stream: each message has its length in front. */
export class DnsStreamDialect implements CorrelatedDialect<DnsDetails> {
  readonly headerBytes: number = LENGTH_BYTES + HEADER_BYTES;
  readonly reusesIds = true;
  readonly #inner: DnsDialect;

  constructor(exchanges: Exchanges<DnsDetails>, names: NameTable) {
    this.#inner = new DnsDialect(exchanges, names);
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < LENGTH_BYTES) return NEED_MORE;
    const length = readUint16(bytes, start);
    return length < HEADER_BYTES ? NOT_A_FRAME : LENGTH_BYTES + length;
  }

  readonly plausible: typeof detectOnTcp = detectOnTcp;

  ended(frame: Frame<DnsDetails>): FrameOutcome {
    return this.#inner.message(frame, frame.start + LENGTH_BYTES);
  }
}
