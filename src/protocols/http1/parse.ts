// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  DataRecord,
  Detection,
  Direction,
  ExchangeEvents,
} from "../../model/protocol.ts";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { RecordCopy } from "../record-copy.ts";
import { detectRequest, detectResponse } from "./detect.ts";
import { MessageFollower } from "./follow.ts";
import type { Half } from "./half.ts";
import { DRAIN, IGNORE, SEEK, TRACK, TUNNEL } from "./modes.ts";
import type { Http1Shared } from "./shared.ts";
import { RecordRest } from "./upgrade.ts";

const CR = 13;
const LF = 10;
/** A method, a space and some of a target: that much of a request line is believed. */
const PREFIX_BYTES = 16;
/** Silence in both directions after which nothing is believed to be on its way. */
const QUIET_NS = 1e9;

/**
 * One connection as one process sees it. README.md explains when a request is believed to be the
 * first that is not answered, which is what keeps responses with their requests.
 */
export class Http1Connection implements ConnectionParser {
  readonly #events: ExchangeEvents;
  readonly #messages: MessageFollower;
  #lastDirection: Direction | undefined = undefined;
  #lastNs = 0;
  /** Direction of a request that was not believed, until a record of the other direction comes. */
  #candidate: Direction | undefined = undefined;
  #early: RecordCopy | undefined = undefined;
  /** Follows the connection after an upgrade. */
  #successor: ConnectionParser | undefined = undefined;

  constructor(shared: Http1Shared, events: ExchangeEvents) {
    this.#events = events;
    this.#messages = new MessageFollower(shared, events);
  }

  get idle(): boolean {
    if (this.#successor !== undefined) return this.#successor.idle;
    return (
      this.#messages.queue.first === undefined &&
      this.#early === undefined &&
      this.#messages.received.carryLength === 0 &&
      this.#messages.sent.carryLength === 0
    );
  }

  data(record: DataRecord): void {
    if (this.#successor !== undefined) {
      this.#successor.data(record);
      return;
    }
    const messages = this.#messages;
    const half = record.direction === RECEIVED ? messages.received : messages.sent;
    messages.timeNs = record.timeNs;
    messages.tid = record.tid;
    messages.pid = record.pid;
    if (messages.mode === TRACK || messages.mode === DRAIN) {
      if (half === messages.request) this.#requestRecord(record);
      else this.#responseRecord(record);
    } else if (messages.mode === SEEK) this.#seek(record, half);
    else this.#events.lost(messages.mode === TUNNEL ? "after_upgrade" : "mid_stream");
    half.expected = record.position + record.length;
    this.#lastDirection = record.direction;
    this.#lastNs = record.timeNs;
    if (messages.mode === DRAIN && messages.queue.first === undefined) messages.startSeeking();
    if (this.#early !== undefined && messages.mode !== TRACK) this.#loseEarly();
    if (messages.mode === TUNNEL) this.#handOver(half, record);
  }

  /** The first bytes of the other protocol may be in the record that ends this one. */
  #handOver(half: Half, record: DataRecord): void {
    const messages = this.#messages;
    const beginnings = { request: messages.request.expected, response: messages.headEnd };
    this.#successor = messages.handover.take(beginnings);
    if (this.#successor === undefined || half !== messages.response) return;
    if (messages.headEnd >= record.position + record.length) return;
    this.#successor.data(new RecordRest(record, messages.headEnd));
  }

  #loseEarly(): void {
    this.#early = undefined;
    this.#events.lost("response_without_request");
  }

  close(timeNs: number, error: number, sent = -1, received = -1): void {
    if (this.#successor !== undefined) {
      this.#successor.close(timeNs, error, sent, received);
      return;
    }
    const messages = this.#messages;
    messages.timeNs = timeNs;
    if (messages.mode === TRACK || messages.mode === DRAIN) {
      this.#closeGap(messages.sent, sent);
      this.#closeGap(messages.received, received);
    }
    if (this.#early !== undefined) this.#loseEarly();
    messages.close(error);
  }

  /** Bytes that moved and were in no record. One too many is a FIN that the kernel counted. */
  #closeGap(half: Half, total: number): void {
    const messages = this.#messages;
    const gap = total - half.expected;
    if (total < 0 || half.expected < 0 || gap <= 1) return;
    if (messages.mode !== TRACK && (messages.mode !== DRAIN || half === messages.request)) return;
    messages.hole(half, gap, false);
  }

  /** Is this the first request, or the first after all earlier ones were answered? */
  #seek(record: DataRecord, half: Half): void {
    const messages = this.#messages;
    const other = half === messages.received ? messages.sent : messages.received;
    const contiguous = half.expected < 0 || half.expected === record.position;
    const isResponseSide = messages.roleKnown && half === messages.response;
    const first = record.position === 0 && other.expected <= 0;
    const start = isResponseSide ? "no" : this.#requestStart(record);
    const candidate = this.#candidate;
    if (
      first ? start !== "no" || this.#startsNeither(record) : this.#isAnswered(record, half, start)
    ) {
      messages.track(half, other, record.position, first);
      this.#candidate = undefined;
      messages.feedRecord(half, record);
      return;
    }
    if (start !== "yes" && candidate !== undefined && candidate !== record.direction) {
      // The first response of all, after a request that was not the first.
      if (half.expected < 0 && record.position === 0) messages.pipelined = true;
      this.#judgeSuspicion(contiguous, record);
      this.#candidate = undefined;
      if (messages.pipelined) messages.mode = IGNORE;
    } else if (start !== "no") {
      // Two requests without a response in between, if the next response shows that none was lost.
      if (this.#lastDirection === record.direction) {
        messages.suspect = true;
        messages.adjacent ||= contiguous;
      }
      this.#candidate = record.direction;
    }
    this.#events.lost("mid_stream");
  }

  /** A request right after a response: the answers to all earlier ones have come. */
  #isAnswered(record: DataRecord, half: Half, start: Detection): boolean {
    const last = this.#lastDirection;
    if (start !== "yes" || last === undefined || last === record.direction) return false;
    // A gap before it may hide that it is part of a body.
    const contiguous = half.expected < 0 || half.expected === record.position;
    if (!contiguous || this.#messages.pipelined) return false;
    return !this.#messages.doubtful || record.timeNs - this.#lastNs >= QUIET_NS;
  }

  /** `more`: too little to tell; an H may start HEAD, HTTP/1.1 or be a body. */
  #requestStart(record: DataRecord): Detection {
    const { bytes, captured } = record;
    if (captured === 0) return "no";
    const end = record.start + captured;
    let start = record.start;
    while (start < end && (bytes[start] === CR || bytes[start] === LF)) start++;
    if (detectResponse(bytes, start, end) === "yes") return "no";
    const request = detectRequest(bytes, start, end);
    return request === "more" && end - start >= PREFIX_BYTES ? "yes" : request;
  }

  /** What a connection starts with is a request to the parser, which says if it is not. */
  #startsNeither(record: DataRecord): boolean {
    const { bytes, start, captured } = record;
    return captured > 0 && detectResponse(bytes, start, start + captured) === "no";
  }

  #startsResponse(record: DataRecord): boolean {
    const { bytes, start, captured } = record;
    return captured > 0 && detectResponse(bytes, start, start + captured) === "yes";
  }

  /**
   * A response record shows whether requests overlap, or whether a response was lost in between.
   * After a gap, one lost response and overlap look the same: what was lost may have been an interim
   * response. Silence tells. More open requests than one lost response explains, or a gap that ends
   * within a response, are overlap.
   */
  #judgeSuspicion(contiguous: boolean, record: DataRecord): void {
    const messages = this.#messages;
    if (!messages.suspect) return;
    const oneLoss = messages.queue.count <= 2 && this.#startsResponse(record);
    const tracked = messages.mode !== SEEK;
    if (contiguous || (tracked && !oneLoss)) messages.pipelined = true;
    else if (messages.adjacent) messages.doubtful = true;
    messages.suspect = false;
    messages.adjacent = false;
  }

  #requestRecord(record: DataRecord): void {
    const messages = this.#messages;
    const half = messages.request;
    const gap = record.position - half.expected;
    if (messages.mode === DRAIN) {
      this.#drain(record);
      return;
    }
    if (gap !== 0 && !this.#requestGap(gap)) {
      if (messages.mode === SEEK) this.#seek(record, half);
      else this.#drain(record);
      return;
    }
    messages.feedRecord(half, record);
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    if (messages.mode !== TRACK || messages.queue.first === undefined) {
      this.#events.lost("response_without_request");
      return;
    }
    messages.timeNs = early.timeNs;
    messages.tid = early.tid;
    messages.feedRecord(messages.response, early);
  }

  /** True when the missing bytes are accounted for. */
  #requestGap(gap: number): boolean {
    const messages = this.#messages;
    const early = this.#early;
    if (early !== undefined) {
      // The response that came too early was that of a request which is lost.
      this.#early = undefined;
      this.#events.lost("response_without_request");
      messages.abandonAll("gap");
      return false;
    }
    if (gap > 0) {
      if (messages.hole(messages.request, gap, false)) return true;
    } else messages.loseRequests("gap");
    this.#lastDirection = messages.request === messages.received ? RECEIVED : SENT;
    return false;
  }

  /** A record of the request direction that cannot be delimited. */
  #drain(record: DataRecord): void {
    const messages = this.#messages;
    if (this.#requestStart(record) !== "no") {
      if (messages.endUnknown()) {
        messages.startSeeking();
        this.#seek(record, messages.request);
        return;
      }
      messages.suspect = true;
    } else if (record.position === messages.request.expected && messages.takesBody()) return;
    this.#events.lost("mid_stream");
  }

  #responseRecord(record: DataRecord): void {
    const messages = this.#messages;
    const half = messages.response;
    const gap = half.expected < 0 ? 0 : record.position - half.expected;
    this.#judgeSuspicion(gap === 0, record);
    if (gap !== 0) {
      const known = gap > 0 && messages.hole(half, gap, false);
      if (gap < 0) messages.abandonAll("gap");
      if (!known) {
        this.#events.lost("gap");
        return;
      }
    }
    // A response may come before its request is complete, but not before its request line.
    messages.settleRequestHead();
    if (messages.queue.first === undefined && !half.inBody) {
      this.#unexpectedResponse(record);
      return;
    }
    messages.feedRecord(half, record);
  }

  /**
   * Another thread's read can be reported before the write that it answers: such a response is
   * kept until the next record tells.
   */
  #unexpectedResponse(record: DataRecord): void {
    const messages = this.#messages;
    if (messages.mode === TRACK && this.#early === undefined && this.#startsResponse(record)) {
      this.#early = new RecordCopy(record);
      return;
    }
    this.#events.lost("response_without_request");
    messages.startSeeking();
  }
}
