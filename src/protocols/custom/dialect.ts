// SPDX-License-Identifier: Apache-2.0
import type { CustomProtocol } from "../../model/custom-protocol.ts";
import type { Detection, Direction } from "../../model/protocol.ts";
import type { NameTable } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  OVER,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import type { ExchangeKey } from "../pooled-exchange.ts";
import type { RpcDetails, RpcExchange } from "../rpc-call.ts";
import { readField } from "./field.ts";

const FRAME_BYTES_MAX = 2 ** 30;
const METHOD_BYTES_MAX = 256;
/** So many bytes at its beginning make a frame certain. */
const SURE_MAGIC_BYTES = 4;
const MAGIC_BYTES = 2;

const REQUEST = 0;
const RESPONSE = 1;
const ONE_WAY = 2;
const OTHER = 3;

/** What a definition says of bytes; one for all of its connections. */
export class CustomFraming {
  readonly definition: CustomProtocol;
  readonly isLittle: boolean;
  readonly #magic: Uint8Array;
  readonly #headBytes: number;

  constructor(definition: CustomProtocol) {
    this.definition = definition;
    this.isLittle = definition.byte_order === "little";
    this.#magic = bytesOf(definition.magic);
    const { offset, bytes } = definition.length;
    this.#headBytes = Math.max(offset + bytes, this.#magic.length);
  }

  get headBytes(): number {
    return this.#headBytes;
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    const magic = this.#magic;
    for (let index = 0; index < magic.length && start + index < end; index++) {
      if (bytes[start + index] !== magic[index]) return NOT_A_FRAME;
    }
    if (end - start < this.#headBytes) return NEED_MORE;
    const { length } = this.definition;
    const total = readField(length, this.isLittle, { bytes, start, end }) + length.adds;
    return total < this.#headBytes || total > FRAME_BYTES_MAX ? NOT_A_FRAME : total;
  }

  /** A REQUEST … OTHER value; -1 where the definition leaves it to the direction, or it is cut. */
  kindOf(frame: {
    readonly bytes: Uint8Array;
    readonly start: number;
    readonly end: number;
  }): number {
    const { kind } = this.definition;
    if (kind === undefined) return -1;
    const number = readField(kind, this.isLittle, frame);
    if (number < 0) return -1;
    const value = kind.mask === 0 ? number : (number & kind.mask) >>> 0;
    if (kind.request.includes(value)) return REQUEST;
    if (kind.response.includes(value)) return RESPONSE;
    return kind.one_way.includes(value) ? ONE_WAY : OTHER;
  }

  /** Sure with magic bytes; without any, the port must be named. */
  detect(bytes: Uint8Array, start: number, end: number): Detection {
    const found = this.frameLength(bytes, start, end);
    if (found === NOT_A_FRAME) return "no";
    if (found === NEED_MORE) return "more";
    return this.#magic.length >= MAGIC_BYTES ? "yes" : "weak";
  }

  plausible(bytes: Uint8Array, start: number, end: number): Detection {
    const found = this.detect(bytes, start, end);
    return found === "yes" && this.#magic.length < SURE_MAGIC_BYTES ? "weak" : found;
  }
}

function bytesOf(hex: string): Uint8Array {
  const digits = hex.match(/[0-9a-fA-F]{2}/g) ?? [];
  return Uint8Array.from(digits, (two) => Number.parseInt(two, 16));
}

/**
 * Frames of one connection. With an id and a kind they are followed from anywhere. Without a kind
 * whoever speaks first asks; without an id responses come in order: then every frame counts, and
 * after a loss, or in mid-stream, nothing is followed.
 */
export class CustomDialect implements CorrelatedDialect<RpcDetails> {
  readonly headerBytes: number;
  readonly reusesIds = true;
  readonly #exchanges: Exchanges<RpcDetails>;
  readonly #framing: CustomFraming;
  readonly #names: NameTable;
  #asker: Direction | undefined = undefined;
  #isSound = true;
  #requestCount = 0;

  constructor(exchanges: Exchanges<RpcDetails>, framing: CustomFraming, names: NameTable) {
    this.#exchanges = exchanges;
    this.#framing = framing;
    this.#names = names;
    this.headerBytes = framing.headBytes;
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    return this.#framing.frameLength(bytes, start, end);
  }

  plausible(bytes: Uint8Array, start: number, end: number): Detection {
    return this.#framing.plausible(bytes, start, end);
  }

  ended(frame: Frame<RpcDetails>): FrameOutcome {
    const { id, kind } = this.#framing.definition;
    const needsAll = id === undefined || kind === undefined;
    if (needsAll && !this.#isSound) return OVER;
    let is = this.#framing.kindOf(frame);
    if (is < 0) {
      // Of a frame that is cut before its kind nothing is known.
      if (kind !== undefined) return needsAll ? OVER : TAKEN;
      this.#asker ??= frame.direction;
      is = this.#asker === frame.direction ? REQUEST : RESPONSE;
    }
    if (is === OTHER) return TAKEN;
    const key = this.#keyOf(frame);
    if (key === undefined) return TAKEN;
    if (is === RESPONSE) return this.#response(frame, key);
    this.#request(frame, is === ONE_WAY ? undefined : key);
    return TAKEN;
  }

  lost(_direction: Direction): void {
    const { id, kind } = this.#framing.definition;
    this.#isSound = false;
    if (id === undefined || kind === undefined) this.#exchanges.abandonAll("gap");
  }

  /** Undefined when the frame's id is cut off. Numbers above 2^53 become text. */
  #keyOf(frame: Frame<RpcDetails>): ExchangeKey | undefined {
    const { id } = this.#framing.definition;
    if (id === undefined) return this.#requestCount;
    const value = readField(id, this.#framing.isLittle, frame);
    if (value < 0) return undefined;
    if (Number.isSafeInteger(value)) return value;
    const at = frame.start + id.offset;
    return String.fromCharCode(...frame.bytes.subarray(at, at + id.bytes));
  }

  #request(frame: Frame<RpcDetails>, key: ExchangeKey | undefined): void {
    const exchange = this.#exchanges.begin(frame, key);
    if (key !== undefined) this.#requestCount++;
    exchange.requestEndNs = frame.endNs;
    exchange.details.method = this.#method(frame);
    if (key === undefined) this.#exchanges.end(exchange, frame.endNs);
  }

  #method(frame: Frame<RpcDetails>): string {
    const { method } = this.#framing.definition;
    if (method === undefined) return "";
    const value = readField(method, this.#framing.isLittle, frame);
    if (value < 0) return "";
    if (!method.text) return method.names[value] ?? `method_${value}`;
    const at = frame.start + method.offset + method.bytes;
    if (value > METHOD_BYTES_MAX || at + value > frame.end) return "";
    return this.#names.find(frame.bytes, at, at + value);
  }

  #response(frame: Frame<RpcDetails>, key: ExchangeKey): FrameOutcome {
    const asker = opposite(frame.direction);
    const isOrdered = this.#framing.definition.id === undefined;
    const asked = isOrdered ? this.#exchanges.oldest(asker) : this.#exchanges.find(asker, key);
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    this.#status(frame, asked);
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }

  #status(frame: Frame<RpcDetails>, asked: RpcExchange): void {
    const { status } = this.#framing.definition;
    if (status === undefined) return;
    const value = readField(status, this.#framing.isLittle, frame);
    if (value < 0) return;
    const name = status.names[value];
    asked.details.status = name ?? String(value);
    if (!status.success.includes(value)) asked.errorType = name ?? `status_${value}`;
  }
}
