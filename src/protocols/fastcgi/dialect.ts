// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../../model/protocol.ts";
import { type NameTable, readUint16 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { RouteTable } from "../http/route.ts";
import { readTraceparent } from "../http/traceparent.ts";
import type { FastCgiDetails, FastCgiExchange } from "./exchange.ts";
import {
  ABORT,
  BEGIN,
  detect,
  END,
  frameBytes,
  HEADER_BYTES,
  PARAMS,
  type Param,
  readParams,
  STDERR,
  STDOUT,
  statusOf,
} from "./records.ts";

const QUESTION_MARK = 63;
const SLASH = 47;

/** What an application says of a request that it did not take (FastCGI specification, 5.5). */
const REFUSALS: readonly string[] = ["", "CANT_MPX_CONN", "OVERLOADED", "UNKNOWN_ROLE"];

export interface FastCgiShared {
  readonly names: NameTable;
  readonly routes: RouteTable;
  readonly options: ParserOptions;
}

/** Requests of one connection, by their ids, which are used again at once. */
export class FastCgiDialect implements CorrelatedDialect<FastCgiDetails> {
  readonly headerBytes: number = HEADER_BYTES;
  readonly reusesIds = true;
  readonly #exchanges: Exchanges<FastCgiDetails>;
  readonly #shared: FastCgiShared;

  constructor(exchanges: Exchanges<FastCgiDetails>, shared: FastCgiShared) {
    this.#exchanges = exchanges;
    this.#shared = shared;
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  started(frame: Frame<FastCgiDetails>): void {
    const { bytes, start } = frame;
    const id = readUint16(bytes, start + 2);
    if (bytes[start + 1] === BEGIN && id !== 0) this.#exchanges.begin(frame, id);
  }

  ended(frame: Frame<FastCgiDetails>): FrameOutcome {
    const { bytes, start } = frame;
    const type = bytes[start + 1] ?? 0;
    const id = readUint16(bytes, start + 2);
    if (type === BEGIN || id === 0) return TAKEN;
    const isAnswer = type === STDOUT || type === STDERR || type === END;
    if (isAnswer) return this.#answer(frame, type, id);
    const open = this.#exchanges.find(frame.direction, id);
    if (open === undefined) return TAKEN;
    open.requestEndNs = frame.endNs;
    if (type === PARAMS) this.#params(frame, open);
    else if (type === ABORT) open.errorType = "aborted";
    return TAKEN;
  }

  #answer(frame: Frame<FastCgiDetails>, type: number, id: number): FrameOutcome {
    const asked = this.#exchanges.find(opposite(frame.direction), id);
    if (asked === undefined) return UNASKED;
    const { bytes, start, end } = frame;
    const content = readUint16(bytes, start + 4);
    const stop = Math.min(end, start + HEADER_BYTES + content);
    if (type === STDOUT && content > 0) {
      this.#exchanges.answer(asked, frame);
      const { details } = asked;
      if (details.status === 0) details.status = statusOf(bytes, start + HEADER_BYTES, stop);
    } else if (type === END) {
      this.#exchanges.answer(asked, frame);
      const refusal = bytes[start + HEADER_BYTES + 4] ?? 0;
      if (stop >= start + HEADER_BYTES + 5 && refusal > 0) {
        asked.errorType = REFUSALS[refusal] ?? `status_${refusal}`;
      }
      this.#exchanges.end(asked, frame.endNs);
    }
    return TAKEN;
  }

  #params({ bytes, start, end }: Frame<FastCgiDetails>, open: FastCgiExchange): void {
    const first = start + HEADER_BYTES;
    const stop = Math.min(end, first + readUint16(bytes, start + 4));
    readParams(bytes, first, stop, (param, from, to) => this.#take(param, bytes, from, to, open));
  }

  #take(param: Param, bytes: Uint8Array, from: number, to: number, open: FastCgiExchange): void {
    const { names, options } = this.#shared;
    const { details } = open;
    if (param === "method") details.method = names.find(bytes, from, to);
    else if (param === "scheme") details.scheme = names.find(bytes, from, to);
    else if (param === "name") details.serverName = names.find(bytes, from, to);
    else if (param === "port") details.serverPort = Number(names.find(bytes, from, to)) || 0;
    else if (param === "uri" || (param === "script" && details.path === "")) {
      const mark = bytes.subarray(0, to).indexOf(QUESTION_MARK, from);
      const pathEnd = mark < 0 ? to : mark;
      this.#path(bytes, from, pathEnd, open);
      if (mark >= 0 && options.urlQuery) details.query = names.find(bytes, mark + 1, to);
    } else if (param === "trace") {
      const { context } = details;
      const flags = readTraceparent(bytes, from, to, context.traceId, context.spanId);
      context.sampled = (flags & 1) === 1;
      open.traceContext = flags < 0 ? undefined : context;
    }
  }

  #path(bytes: Uint8Array, from: number, to: number, { role, details }: FastCgiExchange): void {
    details.path = this.#shared.names.find(bytes, from, to);
    if (role === "server" && bytes[from] === SLASH) {
      details.route = this.#shared.routes.find(bytes, from, to, true)?.name ?? "";
    }
  }
}
