// SPDX-License-Identifier: Apache-2.0
import { onlineCpus } from "./attach.ts";
import { BpfError } from "./errors.ts";
import { guarded } from "./failure.ts";
import { type BpfMap, MAP_TYPE } from "./map.ts";
import { MappedMemory } from "./mapped-memory.ts";
import { type NativePerfBuffer, native } from "./native.ts";
import { type DecodeRecord, type RecordsOptions, recordsOf } from "./pump.ts";
import type { OnRecord } from "./ring-reader.ts";
import { waitFor } from "./waiter.ts";

/** `PERF_RECORD_*` and offsets in `struct perf_event_mmap_page` of `linux/perf_event.h`. */
const RECORD_LOST = 2;
const RECORD_SAMPLE = 9;
const HEAD_INDEX = 1024 / 8;
const TAIL_INDEX = 1032 / 8;
const HEADER_BYTES = 8;
const NO_WAKE_UPS = 0xffff_ffff;
/** A perf record's size is 16 bit. */
const RECORD_BYTES_MAX = 65_536;

export interface PerfReaderOptions {
  /** Bytes of data pages for each CPU, a power of two of at least a page; 64 KiB if not given. */
  readonly bytesPerCpu?: number;
  /** {@link PerfReader.onWakeUp} is called each time a CPU has written so much; never if not given. */
  readonly wakeUpBytes?: number;
}

interface CpuBuffer {
  readonly event: NativePerfBuffer;
  readonly memory: MappedMemory;
  readonly positions: BigUint64Array;
  readonly words: Uint32Array;
}

/**
 * Reads a perf event array, with the face of {@link RingReader}: `drain` calls
 * `onRecord(offset, length)` and the record lies in `bytes`, `u32` and `view` at that offset until
 * the call returns. Records of one CPU come in order, those of different CPUs do not. `length` may
 * be up to 7 bytes more than the program wrote, because the kernel rounds up.
 */
export class PerfReader {
  /** Bytes of all CPUs' buffers. */
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  readonly #buffers: readonly CpuBuffer[];
  #lostCount = 0;
  #isOpen = true;

  private constructor(buffers: readonly CpuBuffer[]) {
    const scratch = new ArrayBuffer(RECORD_BYTES_MAX);
    this.#buffers = buffers;
    this.size = buffers.reduce((sum, each) => sum + each.words.byteLength, 0);
    this.bytes = new Uint8Array(scratch);
    this.u32 = new Uint32Array(scratch);
    this.view = new DataView(scratch);
  }

  /** Opens a buffer on each CPU that is online and puts them into the map. */
  static open(map: BpfMap, options: PerfReaderOptions = {}): PerfReader {
    const { bytesPerCpu = 65_536, wakeUpBytes = NO_WAKE_UPS } = options;
    const page = native.pageBytes();
    const isSize = bytesPerCpu >= page && (bytesPerCpu & (bytesPerCpu - 1)) === 0;
    if (map.type !== MAP_TYPE.perfEventArray || !isSize) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `read map "${map.name}": it must be a perf event array, and bytesPerCpu a power of two of at least ${page}.`,
      });
    }
    const buffers: CpuBuffer[] = [];
    const operation = `open the perf buffers of map "${map.name}"`;
    try {
      for (const cpu of onlineCpus().filter((each) => each < map.maxEntries)) {
        const event = guarded({ code: "KERNEL", operation }, () =>
          native.NativePerfBuffer.open(cpu, wakeUpBytes),
        );
        const memory = mapBuffer(event, page + bytesPerCpu);
        const positions = new BigUint64Array(memory.buffer, 0, page / 8);
        const words = new Uint32Array(memory.buffer, page, bytesPerCpu / 4);
        buffers.push({ event, memory, positions, words });
        map.set(
          new Uint8Array(Uint32Array.of(cpu).buffer),
          new Uint8Array(Uint32Array.of(event.fd).buffer),
        );
        guarded({ code: "KERNEL", operation }, () => event.enable());
      }
    } catch (cause) {
      for (const { memory, event } of buffers) {
        memory.close();
        event.close();
      }
      throw cause;
    }
    return new PerfReader(buffers);
  }

  /** Records that the kernel dropped because a buffer was full, as far as it has said so. */
  get lostCount(): number {
    return this.#lostCount;
  }

  pendingBytes(): number {
    this.#assertOpen();
    let sum = 0;
    for (const { positions } of this.#buffers) {
      sum += Number(Atomics.load(positions, HEAD_INDEX) - Atomics.load(positions, TAIL_INDEX));
    }
    return sum;
  }

  /** Calls back each `wakeUpBytes` of a CPU, by a thread that waits, until the result is disposed of. */
  onWakeUp(callback: () => void): Disposable {
    this.#assertOpen();
    return waitFor(
      this.#buffers.map(({ event }) => event.fd),
      callback,
    );
  }

  /** Calls `onRecord` for each record, at most `recordsMax`, and returns their number. */
  drain(onRecord: OnRecord, recordsMax: number): number {
    this.#assertOpen();
    let count = 0;
    for (const buffer of this.#buffers) {
      count += this.#drainCpu(buffer, onRecord, recordsMax - count);
    }
    return count;
  }

  /** The records as objects; see {@link recordsOf}. */
  records<T>(decode: DecodeRecord<T>, options?: RecordsOptions): AsyncGenerator<T, void, void> {
    return recordsOf(this, decode, options);
  }

  /** Unmaps and closes the buffers. A second call does nothing. */
  close(): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      for (const { memory, event } of this.#buffers) {
        memory.close();
        event.close();
      }
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #drainCpu(buffer: CpuBuffer, onRecord: OnRecord, recordsMax: number): number {
    const { positions, words } = buffer;
    const mask = words.length - 1;
    const tail = Atomics.load(positions, TAIL_INDEX);
    const pendingBytes = Number(Atomics.load(positions, HEAD_INDEX) - tail);
    const start = Number(BigInt.asUintN(32, tail)) >>> 2;
    let consumedBytes = 0;
    let count = 0;
    try {
      while (consumedBytes < pendingBytes && count < recordsMax) {
        const index = (start + (consumedBytes >>> 2)) & mask;
        const type = words[index] ?? 0;
        const recordBytes = (words[(index + 1) & mask] ?? 0) >>> 16;
        if (recordBytes < HEADER_BYTES) {
          break;
        }
        consumedBytes += recordBytes;
        if (type === RECORD_SAMPLE) {
          const length = words[(index + 2) & mask] ?? 0;
          this.#copy(words, index + 3, Math.min(length, recordBytes - HEADER_BYTES - 4));
          count++;
          onRecord(0, length);
        } else if (type === RECORD_LOST) {
          this.#lostCount += words[(index + 4) & mask] ?? 0;
        }
      }
    } finally {
      if (consumedBytes > 0) {
        Atomics.store(positions, TAIL_INDEX, tail + BigInt(consumedBytes));
      }
    }
    return count;
  }

  #copy(words: Uint32Array, from: number, bytes: number): void {
    const mask = words.length - 1;
    const target = this.u32;
    const count = (bytes + 3) >>> 2;
    for (let index = 0; index < count; index++) {
      target[index] = words[(from + index) & mask] ?? 0;
    }
  }

  #assertOpen(): void {
    if (!this.#isOpen) {
      throw new BpfError({
        code: "CLOSED",
        message: "perf buffer: the reader is closed. Open it again before use.",
      });
    }
  }
}

function mapBuffer(event: NativePerfBuffer, bytes: number): MappedMemory {
  try {
    const operation = "map a perf buffer (its size counts against perf_event_mlock_kb)";
    return new MappedMemory(
      guarded({ code: "KERNEL", operation }, () => event.mmap(bytes)),
      bytes,
    );
  } catch (cause) {
    event.close();
    throw cause;
  }
}
