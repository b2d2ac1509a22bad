// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { type NameTable, readUint32 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import { methodName, type RpcDetails } from "../rpc-call.ts";
import { BrpcMeta } from "./meta.ts";

/** Magic, length of what follows the header, length of the meta data at its beginning. */
const HEADER_BYTES = 12;
const BODY_BYTES_MAX = 2 ** 30;
const MAGIC = "PRPC";
const STREAM_MAGIC = "STRM";

/** https://github.com/apache/brpc/blob/master/src/brpc/errno.proto */
const ERRORS: ReadonlyMap<number, string> = new Map([
  [1001, "ENOSERVICE"],
  [1002, "ENOMETHOD"],
  [1003, "EREQUEST"],
  [1004, "ERPCAUTH"],
  [1005, "ETOOMANYFAILS"],
  [1008, "ERPCTIMEDOUT"],
  [1009, "EFAILEDSOCKET"],
  [1010, "EHTTP"],
  [1011, "EOVERCROWDED"],
  [1014, "EEOF"],
  [2001, "EINTERNAL"],
  [2002, "ERESPONSE"],
  [2003, "ELOGOFF"],
  [2004, "ELIMIT"],
  [2005, "ECLOSE"],
]);

function isMagic(bytes: Uint8Array, start: number, end: number, magic: string): boolean {
  const stop = Math.min(end, start + magic.length);
  for (let at = start; at < stop; at++) {
    if (bytes[at] !== magic.charCodeAt(at - start)) return false;
  }
  return true;
}

function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  const isCall = isMagic(bytes, start, end, MAGIC);
  if (!isCall && !isMagic(bytes, start, end, STREAM_MAGIC)) return NOT_A_FRAME;
  if (end - start < HEADER_BYTES) return NEED_MORE;
  const length = readUint32(bytes, start + 4);
  const metaLength = readUint32(bytes, start + 8);
  if (length > BODY_BYTES_MAX || metaLength > length) return NOT_A_FRAME;
  return HEADER_BYTES + length;
}

/** The magic of calls, and lengths that fit. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length === NOT_A_FRAME) return "no";
  return length === NEED_MORE ? "more" : "yes";
}

/** Calls of baidu_std, paired by their correlation id; either end may ask. */
export class BrpcDialect implements CorrelatedDialect<RpcDetails> {
  readonly headerBytes: number = HEADER_BYTES;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<RpcDetails>;
  readonly #meta: BrpcMeta;

  constructor(exchanges: Exchanges<RpcDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#meta = new BrpcMeta(names);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<RpcDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    // Frames of a stream that a call has opened.
    if (!isMagic(bytes, start, end, MAGIC)) return TAKEN;
    const stop = start + HEADER_BYTES + readUint32(bytes, start + 8);
    const meta = this.#meta;
    // Meta data of which not all was captured say nothing, and break nothing.
    if (stop > end) return end < start + frame.length ? TAKEN : MALFORMED;
    if (!meta.read(bytes, start + HEADER_BYTES, stop)) return MALFORMED;
    if (!meta.isRequest) return this.#response(frame);
    const exchange = this.#exchanges.begin(frame, meta.correlationId);
    exchange.details.method = methodName(meta.service, meta.method);
    exchange.requestEndNs = frame.endNs;
    return TAKEN;
  }

  #response(frame: Frame<RpcDetails>): FrameOutcome {
    const { correlationId, errorCode } = this.#meta;
    const asked = this.#exchanges.find(opposite(frame.direction), correlationId);
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    asked.details.status = String(errorCode);
    if (errorCode !== 0) asked.errorType = ERRORS.get(errorCode) ?? `error_${errorCode}`;
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
