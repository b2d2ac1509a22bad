// SPDX-License-Identifier: Apache-2.0
import { ACK, FIN, type Segment, SYN } from "./segment.ts";

/** The sender's half of a connection: 0 is whoever was seen first. */
export type Side = 0 | 1;

/** Bytes of one stream in order, as a cursor; a position past the last one's end is a gap. */
export interface StreamBytes {
  readonly side: Side;
  /** Since the start of the stream, or since the first byte that was seen or acknowledged. */
  readonly position: number;
  readonly length: number;
  /** `captured` of them are at `bytes[start …]`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly captured: number;
  /** Of the packet, or of the last one before it in this connection when that was later. */
  readonly timeNs: number;
}

export interface StreamLimits {
  /** How long packets wait for those before them that the receiver has acknowledged. */
  readonly reorderWaitNs: number;
  /** Bytes that wait, of one connection. */
  readonly heldBytesMax: number;
}

/** Counts over all connections. */
export interface StreamCounts {
  /** Payload that came more than once. */
  repeatedBytes: number;
  reorderedSegments: number;
  gaps: number;
  gapBytes: number;
  /** Segments whose numbers fit into no window. */
  outOfWindow: number;
  heldBytes: number;
}

export function createStreamCounts(): StreamCounts {
  return {
    repeatedBytes: 0,
    reorderedSegments: 0,
    gaps: 0,
    gapBytes: 0,
    outOfWindow: 0,
    heldBytes: 0,
  };
}

/** Packets of the connection that show that what is missing does not come. */
const REORDER_PACKETS = 64;
/** What nobody has acknowledged may still be sent again. */
const LOSS_WAIT_NS = 60e9;
/** The largest window (RFC 7323). */
const WINDOW_MAX = 2 ** 30;
/** Segments out of window in a row after which this is another connection. */
const STRANGE_MAX = 3;
const HELD_SEGMENTS_MAX = 4096;

interface Held {
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly timeNs: number;
  /** Order of arrival in this connection. */
  readonly number: number;
  /** The sender had received the other stream up to here. */
  readonly acknowledged: number;
}

class Half {
  isStarted = false;
  /** Sequence number of the stream's first byte; a SYN tells it surely. */
  startSequence = 0;
  /** Sequence number and position of the next byte to deliver. */
  next = 0;
  position = 0;
  finPosition = -1;
  /** The other side has acknowledged up to here. */
  acknowledged = -1;
  /** Ordered by position, without overlap. */
  readonly held: Held[] = [];

  begin(sequence: number): void {
    this.isStarted = true;
    this.startSequence = sequence;
    this.next = sequence;
  }

  toPosition(sequence: number): number {
    return this.position + ((sequence - this.next) | 0);
  }

  advance(position: number): void {
    this.next = (this.next + (position - this.position)) >>> 0;
    this.position = position;
  }

  get isEnded(): boolean {
    return this.finPosition >= 0 && this.position >= this.finPosition;
  }
}

/**
 * Both streams of a TCP connection, put in order: first copy wins, what is lost is a jump of the
 * position. Bytes are handed on in causal order: none before those that its sender had
 * acknowledged. Memory is bounded, time is linear in the segments.
 */
export class TcpStreams {
  readonly #halves: readonly [Half, Half] = [new Half(), new Half()];
  readonly #limits: StreamLimits;
  readonly #counts: StreamCounts;
  readonly #deliver: (bytes: StreamBytes) => void;
  readonly #cursor: { -readonly [K in keyof StreamBytes]: StreamBytes[K] } = {
    side: 0,
    position: 0,
    length: 0,
    bytes: new Uint8Array(0),
    start: 0,
    captured: 0,
    timeNs: 0,
  };
  #heldBytes = 0;
  #lastNs = 0;
  #packets = 0;
  #blockedSinceNs = -1;
  #blockedSincePacket = 0;
  #strange = 0;

  constructor(limits: StreamLimits, counts: StreamCounts, deliver: (bytes: StreamBytes) => void) {
    this.#limits = limits;
    this.#counts = counts;
    this.#deliver = deliver;
  }

  /** Sequence number of the first byte of either stream; 0 of one that was never seen. */
  startSequence(side: Side): number {
    return this.#halves[side].startSequence;
  }

  /** How long the stream is, as far as it is known. */
  total(side: Side): number {
    const { position, finPosition } = this.#halves[side];
    return Math.max(position, finPosition);
  }

  /** Time of the last bytes that were handed on. */
  get lastNs(): number {
    return this.#lastNs;
  }

  /** Both sides have ended and everything was handed on. */
  get isEnded(): boolean {
    return this.#halves[0].isEnded && this.#halves[1].isEnded;
  }

  get isBlocked(): boolean {
    return this.#blockedSinceNs >= 0;
  }

  /** A SYN that belongs to another connection than this one, or numbers that do. */
  isAnother(side: Side, segment: Segment): boolean {
    const half = this.#halves[side];
    if ((segment.flags & SYN) !== 0) {
      const start = (segment.sequence + 1) >>> 0;
      return half.isStarted && start !== half.startSequence;
    }
    if (!half.isStarted || segment.length === 0) return false;
    const distance = (segment.sequence - half.next) | 0;
    if (Math.abs(distance) < WINDOW_MAX) {
      this.#strange = 0;
      return false;
    }
    this.#counts.outOfWindow++;
    return ++this.#strange >= STRANGE_MAX;
  }

  add(side: Side, segment: Segment): void {
    const half = this.#halves[side];
    const { flags, length } = segment;
    const isSyn = (flags & SYN) !== 0;
    const sequence = isSyn ? (segment.sequence + 1) >>> 0 : segment.sequence;
    this.#packets++;
    if (!half.isStarted && (isSyn || length > 0 || (flags & FIN) !== 0)) half.begin(sequence);
    const acknowledged = (flags & ACK) === 0 ? 0 : this.#acknowledge(side, segment);
    if (length > 0 && this.#strange === 0) this.#data(side, segment, { sequence, acknowledged });
    if ((flags & FIN) !== 0 && half.finPosition < 0) {
      half.finPosition = half.toPosition(sequence) + length;
    }
    if (this.isBlocked) this.check(segment.timeNs);
  }

  /** Gives up what has been waited for too long, `nowNs` on the capture's clock. */
  check(nowNs: number): void {
    while (this.isBlocked && this.#isHopeless(nowNs)) this.#giveUp(nowNs);
  }

  /** Nothing more will come: hands on all that is held. */
  flush(): void {
    while (this.#nextSide() !== undefined) this.#giveUp(this.#lastNs);
  }

  /** The position up to which the sender has received the other stream. */
  #acknowledge(side: Side, segment: Segment): number {
    const other = this.#halves[side === 0 ? 1 : 0];
    if (!other.isStarted) other.begin(segment.acknowledged);
    const distance = (segment.acknowledged - other.next) | 0;
    if (Math.abs(distance) >= WINDOW_MAX) return 0;
    const position = other.position + distance;
    if (position > other.acknowledged) other.acknowledged = position;
    return position;
  }

  #data(
    side: Side,
    segment: Segment,
    at: { readonly sequence: number; readonly acknowledged: number },
  ): void {
    const half = this.#halves[side];
    const { length, captured, bytes, start, timeNs } = segment;
    const position = half.toPosition(at.sequence);
    const inOrder = half.held.length === 0 && position === half.position;
    if (inOrder && this.#isCausal(side, at.acknowledged)) {
      this.#handOn({ side, position, length, bytes, start, captured, timeNs });
      if (this.#heldBytes > 0 || this.isBlocked) this.#drain(timeNs);
      return;
    }
    const end = position + length;
    if (end <= half.position) {
      this.#counts.repeatedBytes += length;
      return;
    }
    while (half.held.length >= HELD_SEGMENTS_MAX) this.#giveUp(timeNs);
    this.#hold(half, segment, { position, acknowledged: at.acknowledged });
    this.#drain(timeNs);
  }

  /** Keeps those parts of a segment that are new. */
  #hold(
    half: Half,
    segment: Segment,
    at: { readonly position: number; readonly acknowledged: number },
  ): void {
    const end = at.position + segment.length;
    const { held } = half;
    let from = Math.max(at.position, half.position);
    let repeated = segment.length;
    let index = held.length;
    while (index > 0 && endOf(held[index - 1]) > from) index--;
    while (from < end) {
      const next = held[index];
      const to = Math.min(end, next?.position ?? end);
      if (to > from) {
        held.splice(index, 0, this.#part(segment, at, { from, to }));
        repeated -= to - from;
        index++;
      }
      from = Math.max(to, endOf(next));
      index++;
    }
    this.#counts.repeatedBytes += repeated;
    if (repeated < segment.length) this.#counts.reorderedSegments++;
  }

  #part(
    segment: Segment,
    at: { readonly position: number; readonly acknowledged: number },
    { from, to }: { readonly from: number; readonly to: number },
  ): Held {
    const begin = Math.min(from - at.position, segment.captured);
    const finish = Math.min(to - at.position, segment.captured);
    const bytes = segment.bytes.slice(segment.start + begin, segment.start + finish);
    this.#heldBytes += bytes.length;
    this.#counts.heldBytes += bytes.length;
    return {
      position: from,
      length: to - from,
      bytes,
      timeNs: segment.timeNs,
      number: this.#packets,
      acknowledged: at.acknowledged,
    };
  }

  /** Had all that this byte's sender acknowledged been handed on? A FIN is acknowledged, too. */
  #isCausal(side: Side, acknowledged: number): boolean {
    const { position, isEnded } = this.#halves[side === 0 ? 1 : 0];
    return acknowledged <= position || isEnded;
  }

  #isReady(side: Side): boolean {
    const first = this.#halves[side].held[0];
    if (first === undefined || first.position > this.#halves[side].position) return false;
    return this.#isCausal(side, first.acknowledged);
  }

  #drain(nowNs: number): void {
    for (let side = this.#readySide(); side !== undefined; side = this.#readySide()) {
      this.#release(side);
      this.#blockedSinceNs = -1;
    }
    if (this.#nextSide() === undefined) this.#blockedSinceNs = -1;
    else if (this.#blockedSinceNs < 0) {
      this.#blockedSinceNs = nowNs;
      this.#blockedSincePacket = this.#packets;
    }
  }

  #readySide(): Side | undefined {
    const first = this.#isReady(0);
    const second = this.#isReady(1);
    if (first && second) return this.#nextSide();
    return first ? 0 : second ? 1 : undefined;
  }

  /** Whose first held bytes came first. */
  #nextSide(): Side | undefined {
    const [one, other] = this.#halves;
    const first = one.held[0];
    const second = other.held[0];
    if (first === undefined) return second === undefined ? undefined : 1;
    return second === undefined || first.number <= second.number ? 0 : 1;
  }

  #release(side: Side): void {
    const half = this.#halves[side];
    const first = half.held.shift();
    if (first === undefined) return;
    const captured = first.bytes.length;
    this.#heldBytes -= captured;
    this.#counts.heldBytes -= captured;
    // Without a gap before it, what is left may still overlap with what was handed on since.
    const skip = half.position - first.position;
    if (skip >= first.length) return;
    this.#handOn({
      side,
      position: half.position,
      length: first.length - skip,
      bytes: first.bytes,
      start: Math.min(skip, captured),
      captured: Math.max(0, captured - skip),
      timeNs: first.timeNs,
    });
  }

  #handOn(bytes: StreamBytes): void {
    const cursor = this.#cursor;
    cursor.side = bytes.side;
    cursor.position = bytes.position;
    cursor.length = bytes.length;
    cursor.bytes = bytes.bytes;
    cursor.start = bytes.start;
    cursor.captured = bytes.captured;
    this.#lastNs = Math.max(this.#lastNs, bytes.timeNs);
    cursor.timeNs = this.#lastNs;
    this.#halves[bytes.side].advance(bytes.position + bytes.length);
    this.#deliver(cursor);
  }

  #isHopeless(nowNs: number): boolean {
    if (this.#heldBytes > this.#limits.heldBytesMax) return true;
    const waitedNs = nowNs - this.#blockedSinceNs;
    if (waitedNs > LOSS_WAIT_NS) return true;
    const side = this.#nextSide();
    if (side === undefined) return false;
    const half = this.#halves[side];
    const first = half.held[0];
    const isHole = first !== undefined && first.position > half.position;
    if (isHole && half.acknowledged <= half.position) return false;
    const packets = this.#packets - this.#blockedSincePacket;
    return waitedNs > this.#limits.reorderWaitNs || packets > REORDER_PACKETS;
  }

  /** Jumps over what the oldest held bytes wait for. */
  #giveUp(nowNs: number): void {
    const side = this.#nextSide();
    if (side === undefined) return;
    const half = this.#halves[side];
    const other = this.#halves[side === 0 ? 1 : 0];
    const first = half.held[0];
    if (first === undefined) return;
    const { acknowledged } = first;
    const sent = other.finPosition < 0 ? acknowledged : Math.min(acknowledged, other.finPosition);
    const missing = Math.min(sent, other.held[0]?.position ?? sent);
    const isHole = first.position > half.position;
    const moved = isHole ? this.#jump(half, first.position) : this.#jump(other, missing);
    // Each side claims to have received what the other has not sent: no order is right.
    if (!moved) this.#release(side);
    this.#blockedSinceNs = -1;
    this.#drain(nowNs);
  }

  #jump(half: Half, position: number): boolean {
    if (position <= half.position) return false;
    this.#counts.gaps++;
    this.#counts.gapBytes += position - half.position;
    half.advance(position);
    return true;
  }
}

function endOf(held: Held | undefined): number {
  return held === undefined ? 0 : held.position + held.length;
}
