// SPDX-License-Identifier: Apache-2.0
import { ATTR_ERROR_TYPE } from "@opentelemetry/semantic-conventions";
import { attributeKey, type SpanSink } from "../model/attribute.ts";
import type { Detection, Protocol } from "../model/protocol.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "./correlated-connection.ts";
import { correlatedParser } from "./correlated-parser.ts";
import { type Exchanges, opposite } from "./exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "./frame-reader.ts";
import type { Description, PooledExchange } from "./pooled-exchange.ts";

/**
 * The smallest protocol on `CorrelatedConnection`, for the engine's tests: a frame is `~`, its kind,
 * a two-byte id, a four-byte length of its body, the body. A request (`Q`) and its response (`A`)
 * carry a number in their bodies' first two bytes; an event (`E`) is not answered.
 */
interface ToyDetails {
  request: number;
  response: number;
}

const HEADER_BYTES = 8;
const TILDE = 0x7e;
const REQUEST = 0x51;
const RESPONSE = 0x41;
const EVENT = 0x45;

const KEYS = {
  request: attributeKey("toy.request"),
  response: attributeKey("toy.response"),
  error: attributeKey(ATTR_ERROR_TYPE),
} as const;

const TOY: Description<ToyDetails> = {
  createDetails: () => ({ request: -1, response: -1 }),
  resetDetails: (details) => {
    details.request = -1;
    details.response = -1;
  },
  describe: (exchange: PooledExchange<ToyDetails>, sink: SpanSink) => {
    sink.name("toy");
    sink.int(KEYS.request, exchange.details.request);
    sink.int(KEYS.response, exchange.details.response);
    if (exchange.errorType !== "") sink.string(KEYS.error, exchange.errorType);
  },
  measure: () => undefined,
};

class ToyDialect implements CorrelatedDialect<ToyDetails> {
  readonly headerBytes = HEADER_BYTES;
  readonly reusesIds: boolean;
  readonly #exchanges: Exchanges<ToyDetails>;

  constructor(exchanges: Exchanges<ToyDetails>, reusesIds: boolean) {
    this.#exchanges = exchanges;
    this.reusesIds = reusesIds;
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    if (bytes[start] !== TILDE) return NOT_A_FRAME;
    if (end - start < HEADER_BYTES) return NEED_MORE;
    return HEADER_BYTES + word(bytes, start + 4) * 0x10000 + word(bytes, start + 6);
  }

  plausible(bytes: Uint8Array, start: number): Detection {
    const kind = bytes[start + 1];
    return kind === REQUEST || kind === RESPONSE || kind === EVENT ? "weak" : "no";
  }

  started(frame: Frame<ToyDetails>): void {
    const kind = frame.bytes[frame.start + 1];
    if (kind === REQUEST) this.#exchanges.begin(frame, word(frame.bytes, frame.start + 2));
    else if (kind === EVENT) this.#exchanges.begin(frame, undefined);
  }

  ended(frame: Frame<ToyDetails>): FrameOutcome {
    const { bytes, start, exchange } = frame;
    const kind = bytes[start + 1];
    const body = frame.end - start >= HEADER_BYTES + 2 ? word(bytes, start + HEADER_BYTES) : -1;
    if (kind === RESPONSE) return this.#response(frame, body);
    if (exchange === undefined) return MALFORMED;
    exchange.details.request = body;
    exchange.requestEndNs = frame.endNs;
    if (kind === EVENT) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  #response(frame: Frame<ToyDetails>, body: number): FrameOutcome {
    const id = word(frame.bytes, frame.start + 2);
    const asked = this.#exchanges.find(opposite(frame.direction), id);
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    asked.details.response = body;
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}

/** `reusesIds`: as the dialect says it of itself. */
export function createToyProtocol(reusesIds: boolean): Protocol {
  return {
    name: reusesIds ? "toy with ids that come again" : "toy with ids that grow",
    detect: (bytes, start) => (bytes[start] === TILDE ? "yes" : "no"),
    createParser: correlatedParser(TOY, (exchanges) => new ToyDialect(exchanges, reusesIds)),
  };
}

/** A frame as text of Latin-1; the body begins with `number`. */
export function toyFrame(kind: "Q" | "A" | "E", id: number, number: number, pad = ""): string {
  const body = text16(number) + pad;
  return `~${kind}${text16(id)}${text16(Math.floor(body.length / 65536))}${text16(body.length)}${body}`;
}

function text16(value: number): string {
  return String.fromCharCode((value >> 8) & 255, value & 255);
}
