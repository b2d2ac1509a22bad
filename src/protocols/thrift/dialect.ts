// SPDX-License-Identifier: Apache-2.0
import type { NameTable } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  OVER,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { RpcDetails } from "../rpc-call.ts";
import {
  CALL,
  detect,
  EXCEPTION,
  frameBytes,
  messageStart,
  ONE_WAY,
  ThriftMessage,
} from "./message.ts";

/** Calls of one connection, by their sequence id: many clients always use the same one. */
export class ThriftDialect implements CorrelatedDialect<RpcDetails> {
  readonly headerBytes = 4;
  readonly reusesIds = true;
  readonly #exchanges: Exchanges<RpcDetails>;
  readonly #names: NameTable;
  readonly #message = new ThriftMessage();

  constructor(exchanges: Exchanges<RpcDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#names = names;
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<RpcDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const message = this.#message;
    const at = messageStart(bytes, start, end);
    if (at < 0 || message.read(bytes, at, end) !== "yes") {
      return end < start + frame.length ? TAKEN : MALFORMED;
    }
    const { type, sequenceId } = message;
    if (type !== CALL && type !== ONE_WAY) return this.#reply(frame);
    // Calls at once with one id: nothing tells whose the next reply is.
    if (type === CALL && this.#exchanges.find(frame.direction, sequenceId) !== undefined)
      return OVER;
    const exchange = this.#exchanges.begin(frame, type === CALL ? sequenceId : undefined);
    exchange.details.method = message.name(this.#names);
    exchange.requestEndNs = frame.endNs;
    if (type === ONE_WAY) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  #reply(frame: Frame<RpcDetails>): FrameOutcome {
    const message = this.#message;
    const asked = this.#exchanges.find(opposite(frame.direction), message.sequenceId);
    if (asked === undefined) return UNASKED;
    // A multiplexed call's reply has the method's name without its service.
    const called = asked.details.method;
    const name = message.name(this.#names);
    if (called !== name && !called.endsWith(`/${name}`)) return UNASKED;
    this.#exchanges.answer(asked, frame);
    if (message.type === EXCEPTION) asked.errorType = message.applicationException();
    else {
      const declared = message.declaredException();
      if (declared > 0) asked.errorType = `exception_${declared}`;
    }
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
