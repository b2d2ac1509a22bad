// SPDX-License-Identifier: Apache-2.0
import { fdatasync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Journal, JournalEntry } from "../../src/component/storage.ts";
import { Segment, type SegmentRecord } from "./segment.ts";

const SEGMENT_BYTES = 8 << 20;
/** Of files whose entries are mostly gone, before what is left of the oldest is moved. */
const SEGMENTS_MIN = 4;
const NAME = /^(\d{12})\.journal$/;
const syncFile = promisify(fdatasync);

export interface JournalOptions {
  readonly folder: string;
  /** Mode of a folder that is made. */
  readonly folderMode: number;
  /** Wait for the disk, not only for the kernel. */
  readonly fsync: boolean;
  /** Bytes at the end of a file that are no whole record: torn by a crash, or damaged. */
  readonly onCut: (path: string, bytes: number) => void;
  /** A record of a removal could not be written. */
  readonly onFailure: (error: unknown) => void;
}

class Entry implements JournalEntry {
  readonly sequence: number;
  readonly bytes: number;
  readonly tag: number;
  segment: Segment;
  /** Of the payload in its segment. */
  offset: number;

  constructor(record: Omit<SegmentRecord, "isAdded">, segment: Segment) {
    this.sequence = record.sequence;
    this.bytes = record.bytes;
    this.tag = record.tag;
    this.segment = segment;
    this.offset = record.offset;
  }
}

/**
 * A journal in files that are only appended to. A file is deleted when it and all before it hold
 * nothing any more; one entry that stays for long is moved on, so that it does not keep the rest.
 */
export class FileJournal implements Journal {
  readonly #options: JournalOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #segments: Segment[] = [];
  #number = 0;
  #sequence = 0;
  #liveBytes = 0;
  #sync: Promise<void> | undefined;

  /** Opens what is in the folder. Throws what Node's file functions throw. */
  constructor(options: JournalOptions) {
    this.#options = options;
    const { folder, folderMode } = options;
    mkdirSync(folder, { recursive: true, mode: folderMode });
    const names = readdirSync(folder).filter((name) => NAME.test(name));
    for (const name of names.sort()) this.#open(name);
    // Entries were moved, too: the order is that of their numbers.
    const sorted = [...this.#entries].sort(([a], [b]) => a - b);
    this.#entries.clear();
    for (const [sequence, entry] of sorted) this.#entries.set(sequence, entry);
    this.#prune();
  }

  entries(): readonly JournalEntry[] {
    return [...this.#entries.values()];
  }

  append(chunks: readonly Uint8Array[], tag: number): JournalEntry {
    const segment = this.#active();
    const sequence = this.#sequence + 1;
    const offset = segment.add(sequence, tag, chunks);
    this.#sequence = sequence;
    const bytes = segment.size - offset;
    const entry = new Entry({ sequence, tag, offset, bytes }, segment);
    this.#keep(entry);
    return entry;
  }

  read(entry: JournalEntry): Uint8Array | undefined {
    const known = this.#entries.get(entry.sequence);
    return known?.segment.read(known);
  }

  remove(entry: JournalEntry): void {
    const known = this.#entries.get(entry.sequence);
    if (known === undefined) return;
    this.#drop(known);
    try {
      this.#active().remove(known.sequence);
      this.#prune();
    } catch (error) {
      this.#options.onFailure(error);
    }
  }

  /** Calls that come while the disk works share the next turn. */
  async synced(): Promise<void> {
    if (!this.#options.fsync) return;
    await this.#sync;
    const segment = this.#segments.at(-1);
    if (segment === undefined) return;
    this.#sync ??= syncFile(segment.fd).finally(() => {
      this.#sync = undefined;
    });
    await this.#sync;
  }

  close(): void {
    for (const segment of this.#segments) segment.close();
    this.#segments.length = 0;
  }

  #open(name: string): void {
    const path = join(this.#options.folder, name);
    this.#number = Number(NAME.exec(name)?.[1] ?? 0);
    const segment = Segment.open(
      path,
      (within, record) => this.#replay(within, record),
      (bytes) => this.#options.onCut(path, bytes),
    );
    this.#segments.push(segment);
  }

  #replay(segment: Segment, record: SegmentRecord): void {
    this.#sequence = Math.max(this.#sequence, record.sequence);
    const known = this.#entries.get(record.sequence);
    if (known !== undefined) this.#drop(known);
    if (record.isAdded) this.#keep(new Entry(record, segment));
  }

  #keep(entry: Entry): void {
    this.#entries.set(entry.sequence, entry);
    entry.segment.live++;
    this.#liveBytes += entry.bytes;
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.sequence);
    entry.segment.live--;
    this.#liveBytes -= entry.bytes;
  }

  #active(): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.size < SEGMENT_BYTES) return last;
    this.#number++;
    const name = `${String(this.#number).padStart(12, "0")}.journal`;
    const segment = Segment.create(join(this.#options.folder, name));
    this.#segments.push(segment);
    this.#moveOldest();
    return segment;
  }

  /** From the front only: a removal stands in the same file as its entry or in a later one. */
  #prune(): void {
    while (this.#segments.length > 1 && this.#segments[0]?.live === 0) {
      this.#segments.shift()?.delete();
    }
  }

  #moveOldest(): void {
    const [oldest] = this.#segments;
    const active = this.#segments.at(-1);
    const size = this.#segments.reduce((sum, segment) => sum + segment.size, 0);
    const isWasteful = this.#segments.length > SEGMENTS_MIN && size > 2 * this.#liveBytes;
    if (!isWasteful || oldest === undefined || active === undefined) return;
    for (const entry of this.#entries.values()) {
      if (entry.segment !== oldest) continue;
      const payload = oldest.read(entry);
      // What cannot be read any more stays where it is, for its owner to find out.
      if (payload === undefined) return;
      const offset = active.add(entry.sequence, entry.tag, [payload]);
      oldest.live--;
      active.live++;
      entry.segment = active;
      entry.offset = offset;
    }
    this.#prune();
  }
}
