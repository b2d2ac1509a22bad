// SPDX-License-Identifier: Apache-2.0
import type { SelectedProcess } from "../../src/model/process.ts";
import {
  type DataRecord,
  type Direction,
  type Exchange,
  type ExchangeEvents,
  type LossReason,
  type ParserOptions,
  type Protocol,
  RECEIVED,
  type Role,
  SENT,
} from "../../src/model/protocol.ts";
import {
  createDetectingParser,
  type DetectingParser,
  type DetectionEndpoint,
} from "../../src/protocols/detection.ts";
import { SpanConnection } from "../../src/spans/span-connection.ts";
import type { Account } from "./account.ts";
import type { Side, StreamBytes } from "./tcp-streams.ts";

/** What connections of one receiver share. */
export interface ViewContext {
  readonly account: Account;
  readonly services: { of(address: string, port: number, role: Role): SelectedProcess };
  /** One object a service: what a protocol learns hangs on it. */
  parserOptions(service: string): ParserOptions;
  /** A complete exchange; nothing of it is valid after the call. */
  write(process: SelectedProcess, connection: SpanConnection, exchange: Exchange): void;
  /** A parser failed: a fault of ours. */
  onFailure(error: unknown): void;
  /** A request that the capture's end found waiting for less is no span. */
  readonly unansweredAfterNs: number;
}

/** One end of a connection, from which its exchanges are told. */
export interface ViewFacts {
  readonly role: Role;
  /** False: who is the server was guessed; the first exchange may show the contrary. */
  readonly isSure: boolean;
  readonly localSide: Side;
  readonly family: 4 | 6;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Sequence numbers of the first byte that either end sends. */
  readonly localStart: number;
  readonly remoteStart: number;
  readonly endpoint: Pick<DetectionEndpoint, "transport" | "only" | "forbidden" | "protocols">;
}

/** Why a view's connection is over. */
export type Ending = "closed" | "reset" | "idle" | "evicted" | "capture_end";

/** Numbers of Linux (include/uapi/asm-generic/errno.h), by which parsers name an end. */
const ERRNO: Readonly<Record<Ending, number>> = {
  closed: 0,
  reset: 104,
  idle: 110,
  evicted: 110,
  capture_end: 110,
};

class Cursor implements DataRecord {
  direction: Direction = RECEIVED;
  timeNs = 0;
  position = 0;
  length = 0;
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  captured = 0;
  readonly tailStart = -1;
  /** A capture knows no processes. */
  readonly pid = 0;
  readonly tid = 0;
}

/** A parser, fed as if the process at one end were watched; its exchanges become spans. */
export class View implements ExchangeEvents {
  readonly #context: ViewContext;
  readonly #facts: ViewFacts;
  readonly #cursor = new Cursor();
  readonly #process: SelectedProcess;
  readonly #spans: { [role in Role]?: SpanConnection } = {};
  #parser: DetectingParser | undefined;
  #ending: Ending | undefined;
  #open = 0;
  #hasBegun = false;
  /** The first exchange had the other role: this view is of the wrong end, and tells nothing. */
  isReversed = false;
  /** These bytes were counted before. */
  isRepeating = false;

  constructor(context: ViewContext, facts: ViewFacts) {
    const { localAddress, localPort, remotePort, role } = facts;
    this.#context = context;
    this.#facts = facts;
    this.#process = context.services.of(localAddress, localPort, role);
    const options = context.parserOptions(this.#process.serviceName);
    this.#parser = createDetectingParser(options, this, {
      ...facts.endpoint,
      localPort,
      remotePort,
    });
  }

  /** What the connection was found to speak. */
  get protocol(): Protocol | undefined {
    return this.#parser?.protocol;
  }

  get verdict(): DetectingParser["verdict"] {
    return this.#parser?.verdict ?? "unknown";
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  data(bytes: StreamBytes): void {
    const cursor = this.#cursor;
    cursor.direction = bytes.side === this.#facts.localSide ? SENT : RECEIVED;
    cursor.timeNs = bytes.timeNs;
    cursor.position = bytes.position;
    cursor.length = bytes.length;
    cursor.bytes = bytes.bytes;
    cursor.start = bytes.start;
    cursor.captured = bytes.captured;
    try {
      this.#parser?.data(cursor);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** `positions`: how far each side's stream went. */
  close(timeNs: number, ending: Ending, positions: readonly [number, number]): void {
    this.#ending = ending;
    const { localSide } = this.#facts;
    const sent = positions[localSide];
    const received = positions[localSide === 0 ? 1 : 0];
    try {
      this.#parser?.close(timeNs, ERRNO[ending], sent, received);
    } catch (error) {
      this.#fail(error);
    }
  }

  begin(exchange: Exchange): void {
    const { role, isSure } = this.#facts;
    // In messaging either end may be the first to send.
    if (!this.#hasBegun && !isSure && exchange.messaging === undefined) {
      this.isReversed = exchange.role !== role;
    }
    this.#hasBegun = true;
    if (this.isReversed) return;
    this.#open++;
    this.#context.account.exchangesStarted.add(1);
  }

  end(exchange: Exchange): void {
    if (this.isReversed) return;
    this.#open--;
    const { account, unansweredAfterNs } = this.#context;
    const isUnanswered = this.#ending === "capture_end" && exchange.responseStartNs === 0;
    if (isUnanswered && exchange.endNs - exchange.startNs < unansweredAfterNs) {
      account.abandoned("capture_end", 1);
      return;
    }
    account.completed(this.protocol?.name ?? "unknown");
    this.#context.write(this.#process, this.#spanConnection(exchange.role), exchange);
  }

  abandon(_exchange: Exchange, reason: LossReason): void {
    if (this.isReversed) return;
    this.#open--;
    this.#context.account.abandoned(reason, 1);
  }

  lost(reason: LossReason): void {
    if (!this.isReversed && !this.isRepeating) this.#context.account.unpaired(reason);
  }

  #fail(error: unknown): void {
    const { account } = this.#context;
    account.parserFailures.add(1);
    if (this.#open > 0) account.abandoned("malformed", this.#open);
    this.#open = 0;
    this.#parser = undefined;
    this.#context.onFailure(error);
  }

  /** The role is the exchange's own: in some protocols both ends ask. */
  #spanConnection(role: Role): SpanConnection {
    const known = this.#spans[role];
    if (known !== undefined) return known;
    const { localStart, remoteStart, ...facts } = this.#facts;
    const made = new SpanConnection({
      ...facts,
      role,
      isAccepter: facts.role === "server",
      clientStart: role === "client" ? localStart : remoteStart,
      serverStart: role === "client" ? remoteStart : localStart,
      positionExcess: 0,
    });
    this.#spans[role] = made;
    return made;
  }
}
