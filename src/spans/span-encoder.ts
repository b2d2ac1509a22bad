// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVER_ADDRESS, ATTR_SERVER_PORT } from "@opentelemetry/semantic-conventions";
import { attributeKey } from "../model/attribute.ts";
import type { SelectedProcess } from "../model/process.ts";
import type { Exchange, Role } from "../model/protocol.ts";
import { KEY_PEER_OBSERVED } from "../model/stitch-key.ts";
import type { EpochClock } from "./epoch-clock.ts";
import { NameHash, type RequestName } from "./ids.ts";
import type { ResourceBatcher } from "./resource-batcher.ts";
import type { SpanConnection } from "./span-connection.ts";
import { SpanHead } from "./span-head.ts";

/**
 * What the receiver found out about where a request came from, for `stitch.key`. The receiver keeps
 * one (in `Exchange.link`) for each open exchange; read during `encode` only.
 */
export interface StitchFacts {
  /** KEY_PEER_OBSERVED, KEY_SLEPT, KEY_AT_CONNECT, KEY_TRIGGER_OPEN, KEY_SAME_CONNECTION. */
  readonly flags: number;
  /** A TRIGGER_ value. */
  readonly triggerKind: number;
  /** The trigger's span id, two words as `SpanEncoder.spanId` gives them; zero for TRIGGER_NONE. */
  readonly triggerSpan: Uint32Array;
  /** Server requests open on the thread that wrote the request, when it did. */
  readonly openServerRequests: number;
  /** The same of its process, but for those that have been open for long. */
  readonly openInProcess: number;
  /** The request's place in its name, where that is not `Exchange.requestPosition`. */
  readonly position?: number | undefined;
}

export interface SpanEncoderOptions {
  readonly clock: EpochClock;
  readonly batcher: ResourceBatcher;
  /** Write `network.local.address` and `network.local.port`, too. Default false. */
  readonly localAddress?: boolean;
}

const KEYS = {
  serverAddress: attributeKey(ATTR_SERVER_ADDRESS),
  serverPort: attributeKey(ATTR_SERVER_PORT),
} as const;

const SPAN_ID_BYTES = 8;

/** Writes exchanges as OTLP spans into a batcher. Not re-entrant; allocates nothing per span. */
export class SpanEncoder {
  readonly #clock: EpochClock;
  readonly #batcher: ResourceBatcher;
  readonly #withLocal: boolean;
  readonly #hash = new NameHash();
  readonly #name: { -readonly [K in keyof RequestName]: RequestName[K] } = {
    clientStart: 0,
    serverStart: 0,
    position: 0,
  };
  readonly #plainHead = new SpanHead(false);
  readonly #childHead = new SpanHead(true);
  readonly #id = new DataView(new ArrayBuffer(SPAN_ID_BYTES));

  constructor(options: SpanEncoderOptions) {
    this.#clock = options.clock;
    this.#batcher = options.batcher;
    this.#withLocal = options.localAddress ?? false;
  }

  /**
   * Writes to `out`, as two words, the id that `encode` gives the span of this request in this
   * role: the own role or that of the other end. `requestPosition` as the parser reports it.
   */
  spanId(
    connection: SpanConnection,
    requestPosition: number,
    role: Role,
    out: Uint32Array,
    index = 0,
  ): void {
    this.#hashName(connection, requestPosition);
    this.#hash.writeSpanId(this.#id, 0, role);
    out[index] = this.#id.getUint32(0, true);
    out[index + 1] = this.#id.getUint32(4, true);
  }

  /** `stitch` undefined: nothing is known, the key still names the span and its peer. */
  encode(
    process: SelectedProcess,
    connection: SpanConnection,
    exchange: Exchange,
    stitch: StitchFacts | undefined,
  ): void {
    const span = this.#batcher.begin(process);
    const observed = stitch !== undefined && (stitch.flags & KEY_PEER_OBSERVED) !== 0;
    const parentIsPeer = observed && exchange.role === "server";
    const hasParent = parentIsPeer || exchange.traceContext !== undefined;
    const head = hasParent ? this.#childHead : this.#plainHead;
    this.#hashName(connection, stitch?.position ?? exchange.requestPosition);
    head.fill(exchange, stitch, this.#hash, parentIsPeer);
    this.#clock.convert(exchange.startNs);
    head.startTime(this.#clock.low, this.#clock.high);
    this.#clock.convert(Math.max(exchange.endNs, exchange.startNs));
    head.endTime(this.#clock.low, this.#clock.high);
    span.encoded(head.bytes);
    exchange.describe(span);
    if (!span.hasServerAddress) {
      span.string(KEYS.serverAddress, connection.serverAddress);
      span.int(KEYS.serverPort, connection.serverPort);
    }
    span.encoded(this.#withLocal ? connection.attributesWithLocal : connection.attributes);
    span.end();
    this.#batcher.end();
  }

  #hashName(connection: SpanConnection, requestPosition: number): void {
    const facts = connection.facts;
    this.#name.clientStart = facts.clientStart;
    this.#name.serverStart = facts.serverStart;
    this.#name.position = requestPosition - facts.positionExcess;
    this.#hash.set(this.#name);
  }
}
