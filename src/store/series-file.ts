// SPDX-License-Identifier: Apache-2.0
import { FileReads } from "./file-reads.ts";
import { decodeFrameHeader, FRAME_SERIES, findFrame, sectionAt, sectionOf } from "./frame.ts";
import { FILE_HEADER_BYTES } from "./segment-format.ts";
import { decodeInterval, decodeTimes, type Interval } from "./series-format.ts";

interface Entry {
  readonly at: number;
  readonly bytes: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** Reads one file of intervals, also while it grows. */
export class SeriesFile {
  readonly #file: FileReads;
  readonly #entries: Entry[] = [];
  #end = FILE_HEADER_BYTES;

  /** Throws `SegmentError`. */
  constructor(path: string) {
    this.#file = new FileReads(path);
    this.refresh();
  }

  /** Takes up what was written since. */
  refresh(): void {
    const size = this.#file.bytes;
    if (size <= this.#end) return;
    const bytes = this.#file.read(this.#end, size - this.#end);
    let at = 0;
    while (at < bytes.length) {
      const header = decodeFrameHeader(bytes, at);
      const times =
        header?.kind === FRAME_SERIES && at + header.bytes <= bytes.length
          ? decodeTimes(sectionOf(bytes, { header, frameAt: at }, 1) ?? Buffer.alloc(0))
          : undefined;
      if (header !== undefined && times !== undefined) {
        this.#entries.push({ at: this.#end + at, bytes: header.bytes, ...times });
        at += header.bytes;
        continue;
      }
      const next = findFrame(bytes, at + 1);
      if (next < 0) break;
      at = next;
    }
    this.#end += at;
  }

  /** Intervals that end after `startMs` and begin before `endMs`; damaged ones are left out. */
  *intervals(startMs: number, endMs: number): Generator<Interval> {
    for (const entry of this.#entries) {
      if (entry.endMs <= startMs || entry.startMs >= endMs) continue;
      const bytes = this.#file.read(entry.at, entry.bytes);
      const header = decodeFrameHeader(bytes, 0);
      if (header === undefined || sectionAt(header, 0, 1) > bytes.length) continue;
      const payload = sectionOf(bytes, { header, frameAt: 0 }, 0);
      const interval = payload && decodeInterval(payload, entry);
      if (interval !== undefined) yield interval;
    }
  }

  close(): void {
    this.#file.close();
  }
}
