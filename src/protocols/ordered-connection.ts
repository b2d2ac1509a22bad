// SPDX-License-Identifier: Apache-2.0
import {
  type ConnectionParser,
  type DataRecord,
  type Detection,
  type Direction,
  type ExchangeEvents,
  type LossReason,
  RECEIVED,
  type Role,
  SENT,
} from "../model/protocol.ts";
import { RecordCopy } from "./record-copy.ts";

/** What became of bytes that a dialect was given. */
export const TAKEN = 0;
/** Where the next message starts is not known any more. */
export const BOUNDARY_LOST = 1;
/** Not this protocol, or not as it is written down. */
export const MALFORMED = 2;
/** A response that no open request explains. */
export const UNASKED = 3;
/** From here on the connection speaks something else. */
export const OVER = 4;
/** More requests are open than the limit allows; this and later ones are not followed. */
export const TOO_MANY = 5;

export type Outcome =
  | typeof TAKEN
  | typeof BOUNDARY_LOST
  | typeof MALFORMED
  | typeof UNASKED
  | typeof OVER
  | typeof TOO_MANY;

/**
 * A protocol whose responses come in the order of its requests: its framing and its exchanges.
 * Which bytes it may rely on is decided by `OrderedConnection`.
 */
export interface Dialect {
  /** Requests that wait for their response, the one that is being sent included. */
  readonly openCount: number;
  /** Neither direction is inside a message. */
  readonly atBoundary: boolean;
  /** The next request byte starts a request. */
  readonly requestBoundary: boolean;
  /** `yes` must be sure enough to tell the client from the server in mid-stream. */
  detectRequest(bytes: Uint8Array, start: number, end: number): Detection;
  /** Where the server speaks first: could its first message start so? */
  detectGreeting?(bytes: Uint8Array, start: number, end: number): Detection;
  /** Would these bytes, at a boundary, answer a request? Else they may come unasked. */
  answers(bytes: Uint8Array, start: number, end: number): boolean;
  /** Follow from here. `fromStart`: the connection's first request. */
  begin(role: Role, fromStart: boolean): void;
  /** Captured bytes only, `record.start … record.start + record.captured`. */
  request(record: DataRecord): Outcome;
  response(record: DataRecord): Outcome;
  /** `count` bytes that nobody saw. False when the boundary is lost with them. */
  requestHole(count: number): boolean;
  responseHole(count: number): boolean;
  /** How a response is left whose framing is lost in bytes that were not captured. */
  readonly skipping?: Skipping;
  /** No request after those that are complete is followed. */
  loseRequests(reason: LossReason): void;
  abandonAll(reason: LossReason): void;
  /** The connection's end: what is open ends with it. */
  close(timeNs: number, error: number): void;
}

/** Rows that go by unread, of the only request that is open, up to the end of its response. */
export interface Skipping {
  /** The response is in such a part. */
  readonly allowed: boolean;
  /** Do these eight bytes, the last ones of a record, end the response? */
  isEnd(last: Uint8Array): boolean;
  /** The response ended then, by its last bytes or because the client went on. */
  end(timeNs: number): void;
}

const NO_BYTES = new Uint8Array(0);

/** Waits for a request whose predecessors are certainly answered. */
const SEEK = 0;
const TRACK = 1;
/** Requests can no longer be delimited; those that are open still get their responses. */
const DRAIN = 2;
/** Given up. */
const IGNORE = 3;

/** After so many breaches of its framing a connection is not of this protocol. */
const MALFORMED_MAX = 3;
/** Silence in both directions after which nothing is believed to be on its way. */
const QUIET_NS = 100e6;

/**
 * Gaps, mid-stream starts and early responses of one connection, as `http1/README.md` explains
 * them: a response is paired only while every byte is accounted for, and after a loss the next
 * request is believed that follows a response when all requests before it were answered.
 */
export class OrderedConnection implements ConnectionParser {
  readonly #dialect: Dialect;
  readonly #events: ExchangeEvents;
  #mode: number = SEEK;
  #requests: Direction = RECEIVED;
  #roleKnown = false;
  /** The first exchange after a loss: given up if a second request comes before its response. */
  #probation = false;
  /** Two requests without a response in between: overlap, or a response was lost. */
  #suspect = false;
  /** The client sends requests before earlier ones are answered: only silence proves a place. */
  #overlaps = false;
  #malformedCount = 0;
  /** What bytes of a connection that was given up are counted as. */
  #ignored: LossReason = "malformed";
  #last: Direction | undefined = undefined;
  #lastNs = 0;
  #receivedEnd = -1;
  #sentEnd = -1;
  /** Where the first record of each direction was: 0, too, in a capture that begins later. */
  #receivedStart = -1;
  #sentStart = -1;
  #early: RecordCopy | undefined = undefined;
  #isSkipping = false;
  /** Time and last bytes of what was skipped. */
  #skippedNs = 0;
  #skippedLast: Uint8Array = NO_BYTES;

  constructor(dialect: Dialect, events: ExchangeEvents) {
    this.#dialect = dialect;
    this.#events = events;
  }

  get idle(): boolean {
    const { openCount, atBoundary } = this.#dialect;
    const following = this.#mode === TRACK || this.#mode === DRAIN;
    return openCount === 0 && this.#early === undefined && (!following || atBoundary);
  }

  data(record: DataRecord): void {
    const { direction, position, length } = record;
    const expected = this.#end(direction);
    const contiguous = expected < 0 || expected === position;
    const early = this.#early;
    if (early !== undefined && (direction !== this.#requests || this.#mode !== TRACK)) {
      this.#loseEarly();
    }
    if (this.#mode === IGNORE) this.#events.lost(this.#ignored);
    else if (this.#mode === SEEK) this.#seek(record, contiguous);
    else if (direction === this.#requests) this.#requestRecord(record, contiguous);
    else this.#responseRecord(record, contiguous);
    if (direction === RECEIVED) {
      if (this.#receivedStart < 0) this.#receivedStart = position;
      this.#receivedEnd = position + length;
    } else {
      if (this.#sentStart < 0) this.#sentStart = position;
      this.#sentEnd = position + length;
    }
    this.#last = direction;
    this.#lastNs = record.timeNs;
    if (this.#mode === DRAIN && this.#dialect.openCount === 0) this.#mode = SEEK;
  }

  close(timeNs: number, error: number, sent = -1, received = -1): void {
    if (this.#early !== undefined) this.#loseEarly();
    this.#endSkipping();
    const responses = this.#requests === RECEIVED ? SENT : RECEIVED;
    const total = responses === SENT ? sent : received;
    const end = this.#end(responses);
    // One byte more than was seen is a FIN that the kernel counted.
    if (total >= 0 && end >= 0 && total - end > 1) this.#dialect.abandonAll("gap");
    this.#dialect.close(timeNs, error);
    this.#mode = IGNORE;
  }

  #end(direction: Direction): number {
    return direction === RECEIVED ? this.#receivedEnd : this.#sentEnd;
  }

  #seek(record: DataRecord, contiguous: boolean): void {
    const { direction, bytes, start, captured } = record;
    const sawOther = direction === RECEIVED ? this.#sentEnd > 0 : this.#receivedEnd > 0;
    const first = record.position === 0 && !sawOther;
    if (first && captured > 0) {
      const greets = this.#dialect.detectGreeting?.(bytes, start, start + captured) ?? "no";
      if (greets !== "no") {
        this.#greeted(record);
        return;
      }
    }
    const isRequestSide = !this.#roleKnown || direction === this.#requests;
    const looks = isRequestSide && captured > 0;
    const found = looks ? this.#dialect.detectRequest(bytes, start, start + captured) : "no";
    if (first ? found !== "no" : found === "yes" && contiguous && this.#isAnswered(record)) {
      if (first && found === "yes") this.#roleKnown = true;
      this.#track(record, first);
      return;
    }
    if (found !== "no" && this.#last === direction) this.#suspect = true;
    // What is cut too short to tell may be a response.
    if (found !== "yes" && this.#last !== direction) {
      this.#judgeSuspicion(contiguous, true);
      // The first response of all, after a request that was not the first.
      const other = direction === RECEIVED ? this.#sentStart : this.#receivedStart;
      if (record.position === 0 && other > 0) this.#overlaps = true;
    }
    this.#events.lost("mid_stream");
  }

  #greeted(record: DataRecord): void {
    const requests = record.direction === RECEIVED ? SENT : RECEIVED;
    this.#requests = requests;
    this.#roleKnown = true;
    this.#mode = TRACK;
    this.#probation = false;
    if (requests === RECEIVED) this.#receivedEnd = 0;
    else this.#sentEnd = 0;
    this.#dialect.begin(requests === RECEIVED ? "server" : "client", true);
    this.#feedResponse(record);
  }

  #isAnswered(record: DataRecord): boolean {
    if (this.#last === undefined || this.#last === record.direction) return false;
    return !this.#overlaps || record.timeNs - this.#lastNs >= QUIET_NS;
  }

  #track(record: DataRecord, first: boolean): void {
    this.#requests = record.direction;
    this.#mode = TRACK;
    this.#probation = !first;
    this.#suspect = false;
    if (first) this.#expectFromStart(record.direction);
    this.#dialect.begin(record.direction === RECEIVED ? "server" : "client", first);
    this.#feedRequest(record);
  }

  /** No response has come: the first one is at position 0. */
  #expectFromStart(requests: Direction): void {
    if (requests === RECEIVED) this.#sentEnd = 0;
    else this.#receivedEnd = 0;
  }

  /**
   * A response tells what two requests in a row meant. Without a gap before it no response was
   * lost, so they overlapped; with one, a loss explains two requests and no more.
   */
  #judgeSuspicion(contiguous: boolean, oneLoss: boolean): void {
    if (this.#suspect && (contiguous || !oneLoss)) this.#overlaps = true;
    this.#suspect = false;
  }

  #requestRecord(record: DataRecord, contiguous: boolean): void {
    const dialect = this.#dialect;
    if (this.#isSkipping) {
      if (!contiguous || this.#overlaps) this.#abandonAll("gap");
      else this.#endSkipping();
    }
    if (!contiguous && !this.#requestGap(record)) return;
    if (this.#mode === DRAIN) {
      this.#events.lost("mid_stream");
      return;
    }
    if (dialect.openCount > 0 && dialect.requestBoundary) {
      if (this.#probation) {
        this.#suspect = true;
        this.#abandonAll("mid_stream");
        this.#events.lost("mid_stream");
        return;
      }
      if (this.#last !== this.#requests) this.#suspect = true;
    }
    this.#feedRequest(record);
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    if (this.#mode === TRACK && dialect.openCount > 0) this.#feedResponse(early);
    else this.#events.lost("response_without_request");
  }

  /** True when the bytes before this record are accounted for. */
  #requestGap(record: DataRecord): boolean {
    const gap = record.position - this.#end(this.#requests);
    if (this.#early !== undefined) {
      // The response that came too early was that of a request which is lost.
      this.#loseEarly();
    } else if (this.#mode === DRAIN) return true;
    else if (gap > 0 && this.#dialect.requestHole(gap)) return true;
    else this.#loseRequests("gap");
    this.#last = this.#requests;
    this.#suspect = true;
    this.#events.lost("gap");
    return false;
  }

  #feedRequest(record: DataRecord): void {
    const outcome = this.#dialect.request(record);
    if (outcome === TAKEN) {
      const unseen = record.length - record.captured;
      if (unseen > 0 && !this.#dialect.requestHole(unseen)) this.#loseRequests("head_too_large");
    } else if (outcome === MALFORMED) this.#malformed();
    else if (outcome === OVER) this.#over();
    else this.#loseRequests(outcome === TOO_MANY ? "pipeline_limit" : "gap");
  }

  #loseRequests(reason: LossReason): void {
    this.#events.lost(reason);
    this.#dialect.loseRequests(reason);
    this.#mode = this.#dialect.openCount === 0 ? SEEK : DRAIN;
  }

  #malformed(): void {
    this.#events.lost("malformed");
    this.#malformedCount++;
    this.#abandonAll("malformed");
    if (this.#malformedCount >= MALFORMED_MAX) this.#mode = IGNORE;
  }

  #over(): void {
    this.#dialect.abandonAll("after_upgrade");
    this.#ignored = "after_upgrade";
    this.#events.lost("after_upgrade");
    this.#mode = IGNORE;
  }

  #abandonAll(reason: LossReason): void {
    this.#isSkipping = false;
    this.#dialect.abandonAll(reason);
    this.#mode = SEEK;
    this.#probation = false;
  }

  #loseEarly(): void {
    this.#early = undefined;
    this.#events.lost("response_without_request");
    this.#abandonAll("gap");
  }

  #responseRecord(record: DataRecord, contiguous: boolean): void {
    const dialect = this.#dialect;
    if (this.#isSkipping && contiguous) {
      this.#skipRecord(record);
      return;
    }
    this.#judgeSuspicion(contiguous, dialect.openCount <= 2);
    if (!contiguous) {
      const gap = record.position - this.#end(record.direction);
      if (gap < 0 || this.#isSkipping || !dialect.responseHole(gap)) {
        // How many answers are still to come cannot be told any more.
        if (dialect.openCount > 1) this.#overlaps = true;
        this.#events.lost("gap");
        this.#abandonAll("gap");
        return;
      }
    }
    const { bytes, start, captured } = record;
    if (dialect.openCount === 0 && dialect.atBoundary && this.#mode === TRACK) {
      if (captured === 0 || dialect.answers(bytes, start, start + captured)) {
        // Another thread's read can be reported before the write that it answers.
        this.#early = new RecordCopy(record);
        return;
      }
    }
    this.#feedResponse(record);
  }

  #feedResponse(record: DataRecord): void {
    const before = this.#dialect.openCount;
    const outcome = this.#dialect.response(record);
    if (outcome === MALFORMED) this.#malformed();
    else if (outcome === OVER) this.#over();
    else if (outcome === UNASKED) {
      this.#events.lost("response_without_request");
      this.#abandonAll("response_without_request");
    } else {
      const unseen = record.length - record.captured;
      if (unseen > 0 && !this.#dialect.responseHole(unseen) && !this.#skip(record)) {
        this.#events.lost("gap");
        this.#abandonAll("gap");
      }
    }
    if (this.#dialect.openCount >= before || this.#mode === SEEK) return;
    this.#probation = false;
    this.#roleKnown = true;
  }

  /** False when the rest of the response cannot be left unread. */
  #skip(record: DataRecord): boolean {
    const { openCount, requestBoundary, skipping } = this.#dialect;
    if (openCount !== 1 || !requestBoundary || skipping === undefined) return false;
    if (!skipping.allowed) return false;
    this.#skippedLast = new Uint8Array(8);
    this.#isSkipping = true;
    this.#skipRecord(record);
    return true;
  }

  #skipRecord(record: DataRecord): void {
    const { bytes, start, length, captured, tailStart } = record;
    const last = this.#skippedLast;
    const count = Math.min(8, length);
    last.copyWithin(0, count);
    const from = captured === length ? start + length - count : tailStart + 8 - count;
    for (let index = 0; index < count; index++) {
      last[8 - count + index] = from < start && tailStart < 0 ? 0 : (bytes[from + index] ?? 0);
    }
    this.#skippedNs = record.timeNs;
    if (this.#dialect.skipping?.isEnd(last) === true) this.#endSkipping();
  }

  #endSkipping(): void {
    if (!this.#isSkipping) return;
    this.#isSkipping = false;
    this.#skippedLast = NO_BYTES;
    this.#dialect.skipping?.end(this.#skippedNs);
  }
}
