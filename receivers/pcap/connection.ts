// SPDX-License-Identifier: Apache-2.0
import { RST, type Segment } from "./segment.ts";
import { type Side, type StreamCounts, type StreamLimits, TcpStreams } from "./tcp-streams.ts";
import type { Ending } from "./view.ts";
import { type Start, Views, type ViewsContext } from "./views.ts";

/** What connections of one receiver share. */
export interface ConnectionContext extends ViewsContext {
  readonly limits: StreamLimits;
  readonly counts: StreamCounts;
}

/** What TCP connections and UDP flows have in common: two ends, and views of their bytes. */
export interface Connection {
  add(side: Side, segment: Segment): void;
  /** Looks whether something was waited for too long. */
  check(nowNs: number, isMemoryShort: boolean): void;
  /** Hands on what is held and ends; later calls do nothing. */
  end(timeNs: number, ending: Ending): void;
  /** Another connection between the same ports begins with this segment. */
  isAnother(side: Side, segment: Segment): boolean;
  readonly isOver: boolean;
}

/** A TCP connection from its first packet to its end. */
export class TcpConnection implements Connection {
  readonly #views: Views;
  readonly #streams: TcpStreams;
  isOver = false;

  constructor(context: ConnectionContext, start: Start) {
    this.#views = new Views(context, start);
    this.#streams = new TcpStreams(context.limits, context.counts, (bytes) => {
      this.#views.data(bytes, this.#starts());
    });
  }

  add(side: Side, segment: Segment): void {
    if (this.isOver) {
      // What comes after the end is a copy of what was there.
      return;
    }
    this.#streams.add(side, segment);
    if ((segment.flags & RST) !== 0) this.end(segment.timeNs, "reset");
    else if (this.#streams.isEnded) this.end(segment.timeNs, "closed");
  }

  check(nowNs: number, isMemoryShort: boolean): void {
    if (this.isOver) return;
    if (isMemoryShort) this.#streams.flush();
    else this.#streams.check(nowNs);
  }

  end(timeNs: number, ending: Ending): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#streams.flush();
    const positions: [number, number] = [this.#streams.total(0), this.#streams.total(1)];
    this.#views.close(Math.max(timeNs, this.#streams.lastNs), ending, positions);
  }

  isAnother(side: Side, segment: Segment): boolean {
    return this.#streams.isAnother(side, segment);
  }

  #starts(): [number, number] {
    return [this.#streams.startSequence(0), this.#streams.startSequence(1)];
  }
}

/** A packet captured at two interfaces comes twice within so long. */
const COPY_NS = 2e6;

/** Datagrams between two ports. Positions count the bytes of each direction. */
export class UdpFlow implements Connection {
  readonly #context: ConnectionContext;
  readonly #views: Views;
  readonly #positions: [number, number] = [0, 0];
  readonly #lastHash: [number, number] = [-1, -1];
  readonly #lastTimes: [number, number] = [0, 0];
  #lastNs = 0;
  isOver = false;

  constructor(context: ConnectionContext, start: Start) {
    this.#context = context;
    this.#views = new Views(context, start);
  }

  add(side: Side, segment: Segment): void {
    if (this.isOver || segment.length === 0) return;
    if (this.#isCopy(side, segment)) {
      this.#context.counts.repeatedBytes += segment.length;
      return;
    }
    const { length, bytes, start, captured } = segment;
    const timeNs = Math.max(this.#lastNs, segment.timeNs);
    this.#lastNs = timeNs;
    const position = this.#positions[side];
    this.#positions[side] = position + length;
    this.#views.data({ side, position, length, bytes, start, captured, timeNs }, [0, 0]);
  }

  check(): void {}

  end(timeNs: number, ending: Ending): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#views.close(Math.max(timeNs, this.#lastNs), ending, [-1, -1]);
  }

  isAnother(): boolean {
    return false;
  }

  #isCopy(side: Side, { bytes, start, captured, length, timeNs }: Segment): boolean {
    let hash = length;
    for (let at = start; at < start + captured; at++) {
      hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    }
    const isCopy =
      hash === this.#lastHash[side] && Math.abs(timeNs - this.#lastTimes[side]) < COPY_NS;
    this.#lastHash[side] = hash;
    this.#lastTimes[side] = timeNs;
    return isCopy;
  }
}
