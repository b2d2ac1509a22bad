// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";

import { BpfError } from "./errors.ts";
import type { OnRecord } from "./ring-reader.ts";

/** What a ring buffer and a perf buffer have in common. */
export interface RecordReader {
  readonly view: DataView;
  /** Bytes of the whole buffer. */
  readonly size: number;
  drain(onRecord: OnRecord, recordsMax: number): number;
  pendingBytes(): number;
  /** Calls back when the kernel wakes up those who wait, until it is disposed of. */
  onWakeUp(callback: () => void): Disposable;
}

export interface PumpOptions {
  readonly onRecord: OnRecord;
  /** Milliseconds between two drains of a buffer that is not filling up; 10 if not given. */
  readonly intervalMs?: number;
  /** Records of one turn of the event loop; 4,096 if not given. */
  readonly recordsMax?: number;
  /** Above this part of the buffer the next drain follows at once; a quarter if not given. */
  readonly fillLevel?: number;
  /**
   * Drains also when the kernel wakes up the reader: a ring when a program submits with
   * `BPF_RB_FORCE_WAKEUP`, say above a fill level; a perf buffer each `wakeUpBytes`. The timer can
   * then be slow. No if not given.
   */
  readonly wakeUps?: boolean;
  /** Gets what `onRecord` throws, after which the pump stands still; thrown on if not given. */
  readonly onError?: (error: unknown) => void;
}

/** A reader that is drained on a timer until it is stopped. */
export interface Pump extends Disposable {
  stop(): void;
}

const INTERVAL_MS = 10;
const RECORDS_MAX = 4096;
const FILL_LEVEL = 0.25;

/**
 * Drains a buffer on a timer, and without a pause while it is filled above a level. Programs need
 * not wake anybody up: they submit with `BPF_RB_NO_WAKEUP`, but for those records that shall be read
 * before the timer (`wakeUps`).
 */
export function startPump(reader: RecordReader, options: PumpOptions): Pump {
  const { onRecord, intervalMs = INTERVAL_MS, recordsMax = RECORDS_MAX } = options;
  const hurryBytes = reader.size * (options.fillLevel ?? FILL_LEVEL);
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  let waiter: Disposable | undefined;
  const cancel = (): void => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
  const stop = (): void => {
    isStopped = true;
    cancel();
    waiter?.[Symbol.dispose]();
    waiter = undefined;
  };
  const turn = (): void => {
    if (isStopped) {
      return;
    }
    try {
      reader.drain(onRecord, recordsMax);
    } catch (error) {
      stop();
      if (options.onError === undefined) {
        throw error;
      }
      options.onError(error);
      return;
    }
    if (reader.pendingBytes() > hurryBytes) {
      immediate = setImmediate(turn);
    } else {
      timer = setTimeout(turn, intervalMs);
    }
  };
  timer = setTimeout(turn, 0);
  if (options.wakeUps === true) {
    waiter = reader.onWakeUp(() => {
      cancel();
      turn();
    });
  }
  return { stop, [Symbol.dispose]: stop };
}

/** Reads one record; nothing of the result may refer to the view, whose bytes are used again. */
export type DecodeRecord<T> = (view: DataView, offset: number, length: number) => T;

export interface RecordsOptions {
  readonly intervalMs?: number;
  readonly recordsMax?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/**
 * The records of a buffer as objects, for those who do not need the last nanosecond. Not taking the
 * next one leaves records in the kernel, which refuses new ones when the buffer is full.
 */
export async function* recordsOf<T>(
  reader: RecordReader,
  decode: DecodeRecord<T>,
  options: RecordsOptions = {},
): AsyncGenerator<T, void, void> {
  const { intervalMs = INTERVAL_MS, recordsMax = 256, signal } = options;
  if (recordsMax < 1) {
    throw new BpfError({ code: "ARGUMENT", message: "records: recordsMax must be 1 or more." });
  }
  while (signal?.aborted !== true) {
    const batch: T[] = [];
    reader.drain((offset, length) => batch.push(decode(reader.view, offset, length)), recordsMax);
    yield* batch;
    if (batch.length === 0) {
      await sleep(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    }
  }
}
