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
import { methodName, type RpcDetails, type RpcExchange } from "../rpc-call.ts";
import { DubboBody } from "./body.ts";
import {
  detect,
  frameBytes,
  HEADER_BYTES,
  idOf,
  isEvent,
  isOneWay,
  isRequest,
  OK,
  serializationOf,
  statusName,
} from "./frame.ts";

/** What a response's body begins with: an exception, with or without attachments. */
const EXCEPTION = 0;
const EXCEPTION_WITH_ATTACHMENTS = 3;
/** A version that was not set. */
const NO_VERSION = "0.0.0";

/** Calls of one connection; both ends may ask. */
export class DubboDialect implements CorrelatedDialect<RpcDetails> {
  readonly headerBytes: number = HEADER_BYTES;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<RpcDetails>;
  readonly #body: DubboBody;

  constructor(exchanges: Exchanges<RpcDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#body = new DubboBody(names);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  started(frame: Frame<RpcDetails>): void {
    const { bytes, start } = frame;
    if (!isRequest(bytes, start) || isEvent(bytes, start)) return;
    this.#exchanges.begin(frame, isOneWay(bytes, start) ? undefined : idOf(bytes, start));
  }

  ended(frame: Frame<RpcDetails>): FrameOutcome {
    const { bytes, start, exchange } = frame;
    if (isEvent(bytes, start)) return TAKEN;
    if (exchange === undefined) return isRequest(bytes, start) ? TAKEN : this.#response(frame);
    exchange.requestEndNs = frame.endNs;
    this.#describe(frame, exchange);
    if (isOneWay(bytes, start)) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  /** Version of Dubbo, path of the service, its version, the method. */
  #describe({ bytes, start, end }: Frame<RpcDetails>, { details }: RpcExchange): void {
    const body = this.#body.over(bytes, start + HEADER_BYTES, end, serializationOf(bytes, start));
    if (body.string() === undefined) return;
    const service = body.string() ?? "";
    const version = body.string() ?? "";
    details.method = methodName(service, body.string() ?? "");
    if (version !== NO_VERSION) details.extra = version;
  }

  #response(frame: Frame<RpcDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const asked = this.#exchanges.find(opposite(frame.direction), idOf(bytes, start));
    if (asked === undefined) return UNASKED;
    const status = bytes[start + 3] ?? 0;
    this.#exchanges.answer(asked, frame);
    asked.details.status = statusName(status);
    if (status !== OK) asked.errorType = statusName(status);
    else {
      const at = start + HEADER_BYTES;
      const body = this.#body.over(bytes, at, end, serializationOf(bytes, start));
      const kind = body.smallInteger();
      if (kind === EXCEPTION || kind === EXCEPTION_WITH_ATTACHMENTS) {
        asked.errorType = body.className() || "exception";
      }
    }
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
