// SPDX-License-Identifier: Apache-2.0
import type { NameTable } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import { methodName, type RpcDetails } from "../rpc-call.ts";
import {
  BoltCommand,
  detect,
  frameBytes,
  HEAD_BYTES_MAX,
  isRequestType,
  ONE_WAY,
  statusName,
} from "./command.ts";

/** Calls of one connection; both ends may ask. */
export class SofaDialect implements CorrelatedDialect<RpcDetails> {
  readonly headerBytes: number = HEAD_BYTES_MAX;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<RpcDetails>;
  readonly #command: BoltCommand;

  constructor(exchanges: Exchanges<RpcDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#command = new BoltCommand(names);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<RpcDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const command = this.#command;
    // No frame is known to be one before its head is there.
    command.readHead(bytes, start);
    if (command.isHeartbeat) return TAKEN;
    if (!isRequestType(command.type)) return this.#response(frame);
    command.readHeader(bytes, start, end);
    const isOneWay = command.type === ONE_WAY;
    const exchange = this.#exchanges.begin(frame, isOneWay ? undefined : command.id);
    exchange.details.method = methodName(command.service, command.method);
    exchange.requestEndNs = frame.endNs;
    if (isOneWay) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  #response(frame: Frame<RpcDetails>): FrameOutcome {
    const command = this.#command;
    const asked = this.#exchanges.find(opposite(frame.direction), command.id);
    if (asked === undefined) return UNASKED;
    command.readHeader(frame.bytes, frame.start, frame.end);
    this.#exchanges.answer(asked, frame);
    asked.details.status = statusName(command.status);
    if (command.status !== 0) asked.errorType = statusName(command.status);
    else if (command.isFailure) asked.errorType = "exception";
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
