// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, Direction } from "../model/protocol.ts";

/** A copy of a record that has to wait for the next one. */
export class RecordCopy implements DataRecord {
  readonly direction: Direction;
  readonly timeNs: number;
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly start = 0;
  readonly captured: number;
  readonly tailStart: number;
  readonly pid: number;
  readonly tid: number;

  constructor(record: DataRecord) {
    this.direction = record.direction;
    this.timeNs = record.timeNs;
    this.position = record.position;
    this.length = record.length;
    this.captured = record.captured;
    this.pid = record.pid;
    this.tid = record.tid;
    const hasTail = record.tailStart >= 0;
    this.tailStart = hasTail ? record.captured : -1;
    this.bytes = new Uint8Array(record.captured + (hasTail ? 8 : 0));
    this.bytes.set(record.bytes.subarray(record.start, record.start + record.captured));
    if (hasTail) {
      const tail = record.bytes.subarray(record.tailStart, record.tailStart + 8);
      this.bytes.set(tail, record.captured);
    }
  }
}
