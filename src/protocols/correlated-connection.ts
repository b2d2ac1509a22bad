// SPDX-License-Identifier: Apache-2.0
import {
  type ConnectionParser,
  type DataRecord,
  type Detection,
  type Direction,
  type ExchangeEvents,
  type LossReason,
  type ParserOptions,
  RECEIVED,
  SENT,
} from "../model/protocol.ts";
import { type Exchanges, ExchangeTable, opposite } from "./exchange-table.ts";
import {
  ADRIFT,
  BROKEN,
  type Frame,
  type FrameHandler,
  FrameReader,
  type Framing,
  type ReadOutcome,
  STOPPED,
  TOO_LONG,
} from "./frame-reader.ts";
import type { ExchangePool } from "./pooled-exchange.ts";

/** What became of a frame that a dialect was given. */
export const TAKEN = 0;
/** A response to nothing that is open. Its request may be in the other direction's next record. */
export const UNASKED = 1;
/** Not this protocol, or not as it is written down. */
export const MALFORMED = 2;
/** From here on the connection speaks something else. */
export const OVER = 3;
export type FrameOutcome = typeof TAKEN | typeof UNASKED | typeof MALFORMED | typeof OVER;

/**
 * A protocol whose responses name their requests: its framing, and what its frames begin and end.
 * Which bytes it may rely on is decided by `CorrelatedConnection`.
 */
export interface CorrelatedDialect<Details> extends Framing {
  /**
   * The protocol uses an id again soon after its response (a stream id, a packet id). Else ids
   * grow, and one that comes again is another connection's age away.
   */
  readonly reusesIds: boolean;
  /**
   * After a loss, or in mid-stream: does a frame certainly start here? `yes` only for bytes that
   * a body practically never holds; `weak` for what needs a second frame behind it.
   */
  plausible(bytes: Uint8Array, start: number, end: number, direction: Direction): Detection;
  /**
   * `headerBytes` of a frame are there, or all of it. A request begins its exchange here, or in
   * `ended` where it is read once only.
   */
  started?(frame: Frame<Details>): void;
  /**
   * The frame is over. For `UNASKED` nothing may have been changed: the same frame can come again.
   */
  ended(frame: Frame<Details>): FrameOutcome;
  /** Frames of this direction are lost, from the one under way on. */
  lost?(direction: Direction): void;
}

/** What a connection needs besides its dialect. */
export interface CorrelatedSetup<Details> {
  readonly options: ParserOptions;
  readonly events: ExchangeEvents;
  readonly pool: ExchangePool<Details>;
  createDialect(exchanges: Exchanges<Details>): CorrelatedDialect<Details>;
}

/** After so many breaches of its framing a connection is not of this protocol. */
const MALFORMED_MAX = 3;
/** So many frames without a breach, and earlier ones are forgotten. */
const GOOD_MIN = 16;
/** Responses that wait for their request's record. */
const EARLY_MAX = 8;
/** Frames that must follow one another before a place is believed that none proves alone. */
const CHAIN = 2;

/**
 * Connections whose responses name their requests by an id.
 *
 * **Framing.** Each direction is a row of frames whose length stands in their first bytes. A frame
 * is passed by arithmetic: of its body only the captured beginning is kept, bytes that nobody saw
 * cost nothing as long as they end in the frame. What is kept of a frame has `headBytesMax` bytes.
 *
 * **Gaps.** Bytes missing beyond a frame's end hide where the next one starts. The direction is
 * then adrift: a later record gives the place back when it starts with a frame of which the dialect
 * is certain, or with two in a row, or with frames that end with the record. A body that holds whole
 * messages of its own protocol, at the very place where a record starts after a loss, is believed.
 *
 * **Which pairs survive a gap.** A gap in the direction of requests loses requests only: their
 * responses find nothing open. A gap in the direction of responses may have held the response of
 * each exchange that is open. Where ids are soon used again (`reusesIds`) the next response of that
 * id may be another request's, if that request is lost, too: all are given up. Where ids grow, an
 * id means one request for as long as the connection is followed: they stay open, and what is
 * still open at the connection's end is given up instead of reported as unanswered. A request
 * whose id is open gives the older one up.
 *
 * **Early responses.** Another thread's read can be reported before the write that it answers. A
 * response to nothing waits for the other direction's next record, if that follows without a gap;
 * where ids are used again, only after a request and as long as nothing was ever lost or given up.
 */
export class CorrelatedConnection<Details> implements ConnectionParser, FrameHandler<Details> {
  readonly #dialect: CorrelatedDialect<Details>;
  readonly #events: ExchangeEvents;
  readonly #table: ExchangeTable<Details>;
  readonly #received: Side<Details>;
  readonly #sent: Side<Details>;
  readonly #prefixBytesMax: number;
  #malformedCount = 0;
  /** Frames since the last breach. */
  #goodCount = 0;
  /** What bytes are counted as once the connection is given up. */
  #ignored: LossReason | undefined = undefined;
  /** Copies of responses to nothing, all of one direction. */
  #early: FrameCopy<Details>[] = [];
  #isReplay = false;
  /** The connection is older than what is seen of it. */
  #isOlder = false;
  #outcome: FrameOutcome = TAKEN;

  constructor(setup: CorrelatedSetup<Details>) {
    const { options, events, pool } = setup;
    this.#events = events;
    this.#table = new ExchangeTable(pool, events, options.pipelinedMax);
    this.#dialect = setup.createDialect(this.#table);
    this.#prefixBytesMax = options.headBytesMax;
    this.#received = this.#createSide(RECEIVED);
    this.#sent = this.#createSide(SENT);
  }

  #createSide(direction: Direction): Side<Details> {
    const shape = { direction, prefixBytesMax: this.#prefixBytesMax };
    const reader = new FrameReader(this.#dialect, this, shape);
    const state = { isSeen: false, isLossy: false, adrift: false, isProved: false };
    return { direction, reader, position: 0, ...state };
  }

  get idle(): boolean {
    if (this.#ignored !== undefined) return true;
    const atBoundary = this.#received.reader.atBoundary && this.#sent.reader.atBoundary;
    return this.#table.count === 0 && this.#early.length === 0 && atBoundary;
  }

  data(record: DataRecord): void {
    if (this.#ignored !== undefined) {
      this.#events.lost(this.#ignored);
      return;
    }
    const side = this.#sideOf(record.direction);
    const gap = record.position - side.position;
    const early = this.#early;
    const isAwaited = early.length > 0 && early[0]?.direction !== record.direction;
    const wasAdrift = side.adrift;
    if (gap !== 0) {
      if (isAwaited) this.#loseEarly();
      this.#gap(side, gap, record.timeNs);
    }
    side.position = record.position + record.length;
    side.isSeen = true;
    if (this.#ignored !== undefined) return;
    if (side.adrift && this.#startsFrame(side, record)) side.adrift = false;
    if (!side.adrift) this.#read(side, record);
    else if (wasAdrift || this.#isOlder) this.#events.lost("mid_stream");
    if (isAwaited) this.#replayEarly();
  }

  close(timeNs: number, error: number, sent = -1, received = -1): void {
    this.#loseEarly();
    if (this.#ignored === undefined) {
      // One byte more than was seen is a FIN that the kernel counted.
      if (sent - this.#sent.position > 1) this.#table.doubt(RECEIVED);
      if (received - this.#received.position > 1) this.#table.doubt(SENT);
      this.#drop(this.#received, "malformed");
      this.#drop(this.#sent, "malformed");
    }
    this.#table.close(timeNs, error);
    this.#ignored = "malformed";
  }

  #read(side: Side<Details>, record: DataRecord): void {
    let outcome = side.reader.read(record);
    const unseen = record.length - record.captured;
    if (outcome === 0 && unseen > 0) outcome = side.reader.hole(unseen, record.timeNs);
    if (outcome !== 0) this.#refused(side, outcome);
  }

  #gap(side: Side<Details>, gap: number, timeNs: number): void {
    if (side.adrift) return;
    const isFirst = !this.#received.isSeen && !this.#sent.isSeen;
    if (isFirst) this.#isOlder = true;
    if (!side.isSeen && this.#isOlder) {
      side.adrift = true;
      side.isLossy = true;
      this.#dialect.lost?.(side.direction);
      this.#doubt(side, "mid_stream");
      return;
    }
    const { left } = side.reader;
    // A frame whose end was lost ended before what the other direction said since: its id may have
    // been used again by now.
    const isLate = this.#dialect.reusesIds && left > 0 && gap >= left;
    const outcome = gap > 0 && !isLate ? side.reader.hole(gap, timeNs) : ADRIFT;
    if (outcome !== 0) this.#refused(side, outcome);
  }

  #refused(side: Side<Details>, outcome: ReadOutcome): void {
    if (outcome === STOPPED) {
      if (this.#outcome === OVER) this.#giveUp("after_upgrade");
      else this.#malformed(side);
    } else if (outcome === BROKEN) this.#malformed(side);
    else this.#lose(side, outcome === TOO_LONG ? "head_too_large" : "gap");
  }

  #malformed(side: Side<Details>): void {
    if (!side.isProved) {
      // A capture that begins in the middle of a frame counts from 0, too.
      side.isProved = true;
      this.#isOlder = true;
      this.#lose(side, "mid_stream");
      return;
    }
    this.#malformedCount++;
    this.#goodCount = 0;
    if (this.#malformedCount >= MALFORMED_MAX) this.#giveUp("malformed");
    else this.#lose(side, "malformed");
  }

  /** Where the next frame starts is not known any more. */
  #lose(side: Side<Details>, reason: LossReason): void {
    const { direction } = side;
    this.#events.lost(reason);
    this.#drop(side, reason);
    side.adrift = true;
    side.isLossy = true;
    this.#dialect.lost?.(direction);
    this.#doubt(side, reason);
  }

  /** Responses may be missing. */
  #doubt(side: Side<Details>, reason: LossReason): void {
    const askers = opposite(side.direction);
    if (this.#dialect.reusesIds) this.#table.abandonAll(reason, askers);
    else this.#table.doubt(askers);
  }

  /** The frame under way, with what it began. */
  #drop(side: Side<Details>, reason: LossReason): void {
    const { exchange } = side.reader.frame;
    side.reader.reset();
    if (exchange !== undefined) this.#table.abandon(exchange, reason);
  }

  #giveUp(reason: LossReason): void {
    this.#events.lost(reason);
    this.#loseEarly();
    this.#drop(this.#received, reason);
    this.#drop(this.#sent, reason);
    this.#table.abandonAll(reason);
    this.#ignored = reason;
  }

  /** Does this record, in a direction that is adrift, start with a frame? */
  #startsFrame(side: Side<Details>, record: DataRecord): boolean {
    const { bytes, start } = record;
    const end = start + record.captured;
    let at = start;
    for (let count = 1; at < end; count++) {
      const length = this.#dialect.frameLength(bytes, at, end, side.direction);
      if (length <= 0) return false;
      const found = this.#dialect.plausible(bytes, at, end, side.direction);
      if (found !== "yes" && found !== "weak") return false;
      at += length;
      if (found === "yes" || count >= CHAIN || at === start + record.length) return true;
    }
    return false;
  }

  started(frame: Frame<Details>): void {
    this.#dialect.started?.(frame);
  }

  ended(frame: Frame<Details>): boolean {
    const outcome = this.#dialect.ended(frame);
    this.#outcome = outcome;
    if (outcome === UNASKED) this.#unasked(frame);
    else if (outcome === TAKEN) {
      const { exchange } = frame;
      if (exchange !== undefined) exchange.frame = undefined;
      frame.exchange = undefined;
      this.#sideOf(frame.direction).isProved = true;
      this.#goodCount++;
      if (this.#goodCount >= GOOD_MIN) this.#malformedCount = 0;
    }
    return outcome !== OVER && outcome !== MALFORMED;
  }

  #unasked(frame: Frame<Details>): void {
    const other = this.#sideOf(opposite(frame.direction));
    const early = this.#early;
    if (early.length > 0 && early[0]?.direction !== frame.direction) this.#loseEarly();
    // The response of a request that was lost or given up must not wait for the next of its id.
    const isWhole = !this.#received.isLossy && !this.#sent.isLossy && !this.#table.hasGivenUp;
    // Nor that of a request which was sent before anything was seen.
    const isLate = other.adrift || (this.#dialect.reusesIds && !(isWhole && other.isSeen));
    if (this.#isReplay || isLate || early.length >= EARLY_MAX) {
      this.#events.lost("response_without_request");
    } else early.push(new FrameCopy(frame));
  }

  /** The record after an early response has been read: it had the request, or nobody has. */
  #replayEarly(): void {
    const early = this.#early;
    if (early.length === 0) return;
    this.#early = [];
    this.#isReplay = true;
    for (const frame of early) {
      if (this.#ignored !== undefined) break;
      this.#dialect.started?.(frame);
      if (!this.ended(frame)) this.#refused(this.#sideOf(frame.direction), STOPPED);
    }
    this.#isReplay = false;
  }

  #sideOf(direction: Direction): Side<Details> {
    return direction === RECEIVED ? this.#received : this.#sent;
  }

  #loseEarly(): void {
    for (let left = this.#early.length; left > 0; left--) {
      this.#events.lost("response_without_request");
    }
    this.#early = [];
  }
}

/** One direction of a connection. */
interface Side<Details> {
  readonly direction: Direction;
  readonly reader: FrameReader<Details>;
  /** Of the next byte. */
  position: number;
  isSeen: boolean;
  /** Frames of it were not seen. */
  isLossy: boolean;
  /** Where the next frame starts is not known. */
  adrift: boolean;
  /** A frame of it was read, or a first breach is forgiven. */
  isProved: boolean;
}

/** A frame that has to wait. */
class FrameCopy<Details> implements Frame<Details> {
  readonly direction: Direction;
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly start = 0;
  readonly end: number;
  readonly startNs: number;
  readonly endNs: number;
  readonly pid: number;
  readonly tid: number;
  exchange: undefined = undefined;

  constructor(frame: Frame<Details>) {
    this.direction = frame.direction;
    this.position = frame.position;
    this.length = frame.length;
    this.bytes = frame.bytes.slice(frame.start, frame.end);
    this.end = this.bytes.length;
    this.startNs = frame.startNs;
    this.endNs = frame.endNs;
    this.pid = frame.pid;
    this.tid = frame.tid;
  }
}
