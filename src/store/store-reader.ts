// SPDX-License-Identifier: Apache-2.0
import { fileStatus, listFiles, listSetAside, type StoreFile } from "./directory.ts";
import { Segment } from "./segment.ts";
import { FILE_HEADER_BYTES } from "./segment-format.ts";
import { SeriesFile } from "./series-file.ts";

const REFRESH_MS = 200;
/** Kept in memory for all segments together. */
const NAMES_KEPT_MAX = 500_000;

/** The names of a segment by number, and their numbers. */
export interface SegmentNames {
  readonly names: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
}

interface KeptNames extends SegmentNames {
  readonly blocks: number;
}

export interface StoreFacts {
  readonly segments: number;
  readonly spans: number;
  readonly bytes: number;
  readonly oldestUs: number;
  readonly newestUs: number;
  readonly setAside: readonly { readonly file: string; readonly reason: string }[];
}

/**
 * Reads a store's directory while another part of this process, or another process, writes there.
 * What a writer has flushed is found at most 200 ms later.
 */
export class StoreReader {
  readonly #directory: string;
  readonly #nowMs: () => number;
  readonly #segments = new Map<string, Segment>();
  readonly #series = new Map<string, SeriesFile>();
  readonly #unreadable = new Map<string, string>();
  /** Of the segments asked for last, the latest last. */
  readonly #names = new Map<Segment, KeptNames>();
  #refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(directory: string, nowMs: () => number) {
    this.#directory = directory;
    this.#nowMs = nowMs;
  }

  /** The newest first. */
  segments(): readonly Segment[] {
    this.#refresh();
    return [...this.#segments.values()].reverse();
  }

  /** Oldest first. */
  series(): readonly SeriesFile[] {
    this.#refresh();
    return [...this.#series.values()];
  }

  namesOf(segment: Segment): SegmentNames {
    const blocks = segment.blocks.count;
    let known = this.#names.get(segment);
    if (known?.blocks !== blocks) {
      const names = [...segment.names()];
      known = { blocks, names, ids: new Map(names.map((name, id) => [name, id])) };
    }
    this.#names.delete(segment);
    this.#names.set(segment, known);
    let kept = 0;
    for (const { names } of this.#names.values()) kept += names.length;
    for (const [oldest, { names }] of this.#names) {
      if (kept <= NAMES_KEPT_MAX || oldest === segment) break;
      this.#names.delete(oldest);
      kept -= names.length;
    }
    return known;
  }

  facts(): StoreFacts | undefined {
    this.#refresh();
    const files = listFiles(this.#directory);
    if (files.length === 0) return undefined;
    const facts = { spans: 0, oldestUs: Number.POSITIVE_INFINITY, newestUs: 0 };
    for (const { blocks } of this.#segments.values()) {
      for (let block = 0; block < blocks.count; block++) {
        facts.spans += blocks.spans(block);
        facts.oldestUs = Math.min(facts.oldestUs, blocks.startUsMin(block));
        facts.newestUs = Math.max(facts.newestUs, blocks.startUsMax(block));
      }
    }
    const bytes = files.reduce((sum, { path }) => sum + (fileStatus(path)?.bytes ?? 0), 0);
    const setAside = [
      ...listSetAside(this.#directory).map((file) => ({
        file,
        reason: "set aside when the agent started",
      })),
      ...[...this.#unreadable].map(([file, reason]) => ({ file, reason })),
    ];
    const oldestUs = Number.isFinite(facts.oldestUs) ? facts.oldestUs : 0;
    return { ...facts, oldestUs, segments: this.#segments.size, bytes, setAside };
  }

  close(): void {
    for (const file of [...this.#segments.values(), ...this.#series.values()]) file.close();
    this.#segments.clear();
    this.#series.clear();
  }

  #refresh(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#refreshedMs < REFRESH_MS) return;
    this.#refreshedMs = nowMs;
    const files = listFiles(this.#directory);
    const names = new Set(files.map(({ name }) => name));
    for (const known of [this.#segments, this.#series]) {
      for (const [name, file] of known) {
        if (names.has(name)) continue;
        file.close();
        known.delete(name);
        if (file instanceof Segment) this.#names.delete(file);
      }
    }
    for (const file of files) this.#take(file);
  }

  #take(file: StoreFile): void {
    const known = this.#segments.get(file.name) ?? this.#series.get(file.name);
    try {
      if (known !== undefined) known.refresh();
      else if (file.kind === "spans") this.#segments.set(file.name, new Segment(file.path));
      else this.#series.set(file.name, new SeriesFile(file.path));
      this.#unreadable.delete(file.name);
    } catch (error) {
      // A file may be deleted between the listing and here, or be without its header yet.
      if ((fileStatus(file.path)?.bytes ?? 0) < FILE_HEADER_BYTES) return;
      this.#unreadable.set(file.name, error instanceof Error ? error.message : String(error));
    }
  }
}
