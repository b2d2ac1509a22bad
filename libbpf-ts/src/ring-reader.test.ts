// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { MappedMemory } from "./mapped-memory.ts";
import { native } from "./native.ts";
import { RingReader } from "./ring-reader.ts";

const SIZE = 4096;
const BUSY = 0x8000_0000;
const DISCARDED = 0x4000_0000;

/** A ring as the kernel lays it out (kernel/bpf/ringbuf.c), written by the test. */
class FakeRing {
  readonly consumer: BigUint64Array;
  readonly producer: BigUint64Array;
  readonly reader: RingReader;
  readonly #data: DataView;

  constructor(position: bigint, isOrdered?: boolean) {
    const page = native.pageBytes();
    const consumerMemory = new MappedMemory(new ArrayBuffer(page), page);
    const producerMemory = new MappedMemory(new ArrayBuffer(page + 2 * SIZE), page + 2 * SIZE);
    this.consumer = new BigUint64Array(consumerMemory.buffer, 0, 1);
    this.producer = new BigUint64Array(producerMemory.buffer, 0, 1);
    this.#data = new DataView(producerMemory.buffer, page, 2 * SIZE);
    this.consumer[0] = position;
    this.producer[0] = position;
    this.reader = new RingReader(consumerMemory, producerMemory, SIZE, isOrdered);
  }

  /** Both copies of the data pages, since an ArrayBuffer cannot map one page twice. */
  #write(offset: number, word: number): void {
    this.#data.setUint32(offset % SIZE, word, true);
    this.#data.setUint32((offset % SIZE) + SIZE, word, true);
  }

  header(position: bigint, word: number): void {
    this.#write(Number(position % BigInt(SIZE)), word);
  }

  push(length: number, flags: number, mark: number): bigint {
    const position = this.producer[0] ?? 0n;
    this.header(position, (length | flags) >>> 0);
    this.#write(Number((position + 8n) % BigInt(SIZE)), mark);
    this.producer[0] = position + BigInt((length + 15) & ~7);
    return position;
  }

  drainMarks(recordsMax: number): number[] {
    const marks: number[] = [];
    this.reader.drain((offset) => marks.push(this.reader.u32[offset >>> 2] ?? -1), recordsMax);
    return marks;
  }
}

test("a record that is still being written stops the drain until it is finished", () => {
  const ring = new FakeRing(0n);
  ring.push(16, 0, 1);
  const busy = ring.push(16, BUSY, 2);
  ring.push(16, 0, 3);
  assert.deepEqual(ring.drainMarks(10), [1]);
  assert.deepEqual(ring.drainMarks(10), []);
  assert.equal(ring.reader.pendingBytes(), 48);
  ring.header(busy, 16);
  assert.deepEqual(ring.drainMarks(10), [2, 3]);
  assert.equal(ring.consumer[0], ring.producer[0]);
});

test("discarded records are skipped, counted and given back", () => {
  const ring = new FakeRing(0n);
  ring.push(16, DISCARDED, 1);
  ring.push(5, 0, 2);
  ring.push(1000, DISCARDED, 3);
  assert.deepEqual(ring.drainMarks(10), [2]);
  assert.equal(ring.reader.discardedCount, 2);
  assert.equal(ring.reader.pendingBytes(), 0);
});

test("positions past 32 bits and records across the end of the ring are read right", () => {
  for (const start of [(1n << 32n) - 24n, (1n << 40n) - 8n, (1n << 31n) - 16n]) {
    const ring = new FakeRing(start);
    for (let mark = 1; mark <= 500; mark++) {
      ring.push((mark * 37) % 300, 0, mark);
      assert.deepEqual(ring.drainMarks(10), [mark]);
      assert.equal(ring.consumer[0], ring.producer[0]);
    }
  }
});

test("the atomic loads that arm64 needs read the same records, busy and discarded ones too", () => {
  const ring = new FakeRing((1n << 32n) - 24n, false);
  ring.push(16, DISCARDED, 1);
  ring.push(5, 0, 2);
  const busy = ring.push(16, BUSY, 3);
  assert.deepEqual(ring.drainMarks(10), [2]);
  ring.header(busy, 16);
  assert.deepEqual(ring.drainMarks(10), [3]);
  assert.equal(ring.reader.discardedCount, 1);
  assert.equal(ring.consumer[0], ring.producer[0]);
});

test("lengths are rounded up to 8 with the header, as the kernel does", () => {
  const ring = new FakeRing(0n);
  const lengths: number[] = [];
  for (const length of [1, 7, 8, 9, 255, 256]) {
    ring.push(length, 0, length);
  }
  ring.reader.drain((offset, length) => {
    assert.equal(offset % 8, 0);
    lengths.push(length);
  }, 100);
  assert.deepEqual(lengths, [1, 7, 8, 9, 255, 256]);
});
