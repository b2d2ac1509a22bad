// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";

import { BpfError } from "./errors.ts";
import { type BpfMap, MAP_TYPE } from "./map.ts";
import type { MappedMemory } from "./mapped-memory.ts";
import { native } from "./native.ts";
import { type DecodeRecord, type RecordsOptions, recordsOf } from "./pump.ts";
import { waitFor } from "./waiter.ts";

/**
 * x86 does not reorder loads, so that there a plain load of the header does what `Atomics.load`
 * does elsewhere, in half the time (10 ns a record less, Node 24).
 */
const LOADS_ARE_ORDERED = process.arch === "x64";

/**
 * Called once for each record. `offset` is where the record starts in {@link RingReader.bytes}, a
 * multiple of 8; its bytes are valid until `drain` returns, and are contiguous.
 */
export type OnRecord = (offset: number, length: number) => void;

const COUNT_MAX = 0x7fff_ffff;
/** Offsets up to twice the size are integers of 31 bits, which V8 keeps unboxed. */
const SIZE_MAX = 1 << 29;

/** How far a drain came. */
interface Progress {
  /** Where the next header is; at most twice the ring's size. */
  offset: number;
  recordCount: number;
  discardedCount: number;
}

/**
 * The loop by itself, over signed words, which have the busy bit as their sign. V8 optimises it while
 * it runs; inside of `drain`, whose later lines it had not seen run by then, it left the optimised
 * code at each call (Node 24: 9 ns a record in place of 5).
 */
function walkRecords(
  walk: {
    readonly words: Int32Array;
    /** Where the records end: past the first copy of the data pages, if they run on into the second. */
    readonly end: number;
    readonly recordsMax: number;
    readonly isOrdered: boolean;
  },
  progress: Progress,
  onRecord: OnRecord,
): void {
  const { words, end, recordsMax, isOrdered } = walk;
  // The header of 8 bytes before each record (`kernel/bpf/ringbuf.c`): a word of the length, the bit
  // for discarded (30) and the one for busy (31, the sign), then a page offset; the next record is at
  // a multiple of 8. As literals, because V8 loads a module's constants anew for each (1 ns of 5).
  let offset = progress.offset;
  let recordCount = 0;
  try {
    while (offset < end && recordCount < recordsMax) {
      const index = offset >>> 2;
      const header = isOrdered ? (words[index] ?? -1) : Atomics.load(words, index);
      if (header < 0) {
        return;
      }
      if (header >= 0x4000_0000) {
        offset = (offset + (((header & 0x3fff_ffff) + 15) & ~7)) | 0;
        progress.discardedCount++;
        continue;
      }
      const start = offset + 8;
      offset = (offset + ((header + 15) & ~7)) | 0;
      recordCount = (recordCount + 1) | 0;
      onRecord(start, header);
    }
  } finally {
    progress.offset = offset;
    progress.recordCount = recordCount;
  }
}

/**
 * Reads a BPF ring buffer in place. The ring's pages are mapped into JavaScript: `bytes`, `u32` and
 * `view` lie over the data pages, which are mapped twice in a row so that no record is split. They
 * are read-only: writing to them ends the process.
 *
 * One reader a ring: two would fight over the consumer's position. A ring that is not drained fills
 * up and the kernel refuses new records, which the BPF program must count.
 */
export class RingReader {
  /** Bytes of the ring; the data views are twice as long. */
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  readonly #consumerMemory: MappedMemory;
  readonly #producerMemory: MappedMemory;
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #words: Int32Array;
  readonly #isOrdered: boolean;
  readonly #progress: Progress = { offset: 0, recordCount: 0, discardedCount: 0 };
  #isDraining = false;
  #map: BpfMap | undefined;

  /**
   * For {@link open}, and for tests that write a ring themselves.
   *
   * @param consumer The page with the consumer's position, writable.
   * @param producer The page with the producer's position, then the data pages twice.
   * @param size Bytes of the data pages, a power of two.
   * @param isOrdered Whether this processor keeps the order of loads.
   */
  constructor(
    consumer: MappedMemory,
    producer: MappedMemory,
    size: number,
    isOrdered: boolean = LOADS_ARE_ORDERED,
  ) {
    assert(size > 0 && (size & (size - 1)) === 0 && size <= SIZE_MAX);
    const page = native.pageBytes();
    this.size = size;
    this.#isOrdered = isOrdered;
    this.#consumerMemory = consumer;
    this.#producerMemory = producer;
    this.#consumer = new BigUint64Array(consumer.buffer, 0, 1);
    this.#producer = new BigUint64Array(producer.buffer, 0, 1);
    this.bytes = new Uint8Array(producer.buffer, page, 2 * size);
    this.u32 = new Uint32Array(producer.buffer, page, size / 2);
    this.#words = new Int32Array(producer.buffer, page, size / 2);
    this.view = new DataView(producer.buffer, page, 2 * size);
  }

  /** Maps the ring of a `BPF_MAP_TYPE_RINGBUF` map. The map may be closed while the reader lives. */
  static open(map: BpfMap): RingReader {
    if (map.type !== MAP_TYPE.ringbuf) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `read map "${map.name}": it is not a ring buffer (BPF_MAP_TYPE_RINGBUF).`,
      });
    }
    const page = native.pageBytes();
    const size = map.maxEntries;
    if (size > SIZE_MAX) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `read map "${map.name}": a ring of ${size} bytes; at most ${SIZE_MAX} can be read.`,
      });
    }
    const consumer = map.mmapRegion({ offset: 0, bytes: page, writable: true });
    try {
      const producerBytes = page + 2 * size;
      const producer = map.mmapRegion({ offset: page, bytes: producerBytes, writable: false });
      const reader = new RingReader(consumer, producer, size);
      reader.#map = map;
      return reader;
    } catch (cause) {
      consumer.close();
      throw cause;
    }
  }

  /** Records that the BPF program discarded, skipped since the start. */
  get discardedCount(): number {
    return this.#progress.discardedCount;
  }

  /** Bytes between producer and consumer, headers and unfinished records included. */
  pendingBytes(): number {
    this.#assertOpen();
    return Number(Atomics.load(this.#producer, 0) - Atomics.load(this.#consumer, 0));
  }

  /**
   * Calls `onRecord` for each finished record, at most `recordsMax` of them, in the order of their
   * reservation, and then gives their room back to the kernel. Stops at a record that is still
   * being written. Returns the number of records. When `onRecord` throws, that record counts as
   * read and the error goes on to the caller.
   */
  drain(onRecord: OnRecord, recordsMax: number): number {
    this.#assertOpen();
    if (this.#isDraining) {
      throw new BpfError({
        code: "ARGUMENT",
        message: "drain: it was called by its own callback.",
      });
    }
    // One BigInt each a drain: positions are 64 bit and must be read and written whole.
    const position = Atomics.load(this.#consumer, 0);
    const start = Number(BigInt.asUintN(32, position)) & (this.size - 1);
    const progress = this.#progress;
    progress.offset = start;
    progress.recordCount = 0;
    const walk = {
      words: this.#words,
      end: (start + Number(Atomics.load(this.#producer, 0) - position)) | 0,
      recordsMax: Math.min(recordsMax, COUNT_MAX) | 0,
      isOrdered: this.#isOrdered,
    };
    this.#isDraining = true;
    try {
      walkRecords(walk, progress, onRecord);
    } finally {
      this.#isDraining = false;
      if (progress.offset > start) {
        Atomics.store(this.#consumer, 0, position + BigInt(progress.offset - start));
      }
    }
    return progress.recordCount;
  }

  /**
   * Calls back when a program wakes up the reader: by `BPF_RB_FORCE_WAKEUP`, or without a flag when
   * the ring was empty. So a program can ask to be drained at a fill level, which it knows by
   * `bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA)`, and wake up nobody below it. Drain in the callback:
   * it comes again with the next wake-up only. A thread waits for it, until the result is disposed
   * of; it does not keep the process alive.
   */
  onWakeUp(callback: () => void): Disposable {
    this.#assertOpen();
    const map = this.#map;
    assert(map !== undefined, "a reader of given memory has no map to wait for");
    return waitFor([map.fd], callback);
  }

  /** The records as objects, for those who do not need the last nanosecond; see {@link recordsOf}. */
  records<T>(decode: DecodeRecord<T>, options?: RecordsOptions): AsyncGenerator<T, void, void> {
    return recordsOf(this, decode, options);
  }

  /** Unmaps the ring: the views become empty. A second call does nothing. Not while draining. */
  close(): void {
    if (this.#isDraining) {
      throw new BpfError({ code: "ARGUMENT", message: "close: not while the ring is drained." });
    }
    this.#consumerMemory.close();
    this.#producerMemory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#consumerMemory.isClosed) {
      throw new BpfError({
        code: "CLOSED",
        message: "ring buffer: the reader is closed. Open it again before use.",
      });
    }
  }
}
