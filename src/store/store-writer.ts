// SPDX-License-Identifier: Apache-2.0
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { MetricSample } from "../component/agent-view.ts";
import { AgentError, messageOf } from "../component/errors.ts";
import type { Logger } from "../component/telemetry.ts";
import { countItems } from "../pdata/count.ts";
import { splitItems } from "../pdata/split.ts";
import { BlockBuilder, BlockMemory } from "./block-builder.ts";
import { BLOCK_SPANS_MAX } from "./columns.ts";
import { fileName, fileStatus, listFiles } from "./directory.ts";
import { lockDirectory } from "./lock.ts";
import { NameTable } from "./name-table.ts";
import { recover } from "./recovery.ts";
import { BLOCKS_PER_SEGMENT_MAX } from "./segment-format.ts";
import { type PackedBlock, packBlock, SegmentWriter } from "./segment-writer.ts";
import { SeriesRecorder } from "./series-recorder.ts";
import { SeriesWriter } from "./series-writer.ts";

const MIB = 1024 ** 2;
const BLOCK_BYTES_MAX = 2 * MIB;
const CHUNK_BYTES_MAX = 32 * MIB;
const SEGMENT_BYTES_MAX = 64 * MIB;
const SEGMENT_SPANS_MAX = 1_000_000;
const SEGMENT_MS_MAX = 3_600_000;
/** Blocks that wait to be compressed and written. */
const BLOCKS_WAITING_MAX = 4;
const FLUSH_INTERVAL_MS = 1_000;
const SERIES_INTERVAL_MS = 10_000;
/** At least so many files make up the size, so that retention frees little at a time. */
const FILES_MIN = 8;

export type DropReason = "disk_full" | "read_only" | "io_error" | "too_large";

export interface StoreWriterOptions {
  readonly directory: string;
  readonly bytesMax: number;
  /** 0 is no limit. */
  readonly ageMaxMs: number;
  readonly logger: Logger;
  readonly nowMs: () => number;
  readonly onDropped: (reason: DropReason, spans: number) => void;
  /** Something could not be written; `spans` of it are lost. */
  readonly onFailed: (message: string, spans: number) => void;
  /** The agent's own metrics now; kept every 10 s. */
  readonly ownMetrics?: () => Promise<readonly MetricSample[]>;
}

/** A segment to be: its names are numbered before its file is there. */
interface Plan {
  readonly names: NameTable;
  readonly sinceMs: number;
  writer: SegmentWriter | undefined;
  spans: number;
  blocks: number;
}

/**
 * The one writer of a directory. What `append` was given is in a file after the next `flush`,
 * which comes by itself every second; a process that is killed loses no more than that.
 */
export class StoreWriter {
  readonly #options: StoreWriterOptions;
  readonly #unlock: () => void;
  readonly #segmentBytesMax: number;
  readonly #timers: NodeJS.Timeout[];
  readonly #recorder = new SeriesRecorder();
  readonly #series: SeriesWriter;
  readonly #memory = new BlockMemory();
  #plan: Plan;
  #builder: BlockBuilder;
  #nextNumber: number;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();
  #room: PromiseWithResolvers<void> | undefined;
  #failing: DropReason | undefined;
  #written = 0;
  #isClosed = false;

  private constructor(options: StoreWriterOptions, unlock: () => void) {
    const { directory, bytesMax, nowMs } = options;
    this.#options = options;
    this.#unlock = unlock;
    this.#segmentBytesMax = Math.min(SEGMENT_BYTES_MAX, Math.ceil(bytesMax / FILES_MIN));
    this.#nextNumber = (listFiles(directory).at(-1)?.number ?? 0) + 1;
    this.#series = new SeriesWriter(() => this.#nextPath("series"), this.#segmentBytesMax);
    this.#plan = newPlan(nowMs());
    this.#builder = new BlockBuilder(this.#plan.names, this.#recorder, this.#memory);
    this.#timers = [
      setInterval(() => this.#closeBlock(), FLUSH_INTERVAL_MS).unref(),
      setInterval(() => this.#tick(), SERIES_INTERVAL_MS).unref(),
    ];
    this.#recorder.restart(nowMs());
  }

  /** Makes the directory, repairs what an earlier writer left. Rejects with an `AgentError`. */
  static async open(options: StoreWriterOptions): Promise<StoreWriter> {
    const { directory, logger } = options;
    let unlock: (() => void) | undefined;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      unlock = lockDirectory(directory);
      await recover(directory, logger);
    } catch (cause) {
      unlock?.();
      if (cause instanceof AgentError) throw cause;
      const advice = "Check the path, its permissions and the space on the disk";
      throw new AgentError("BS_START", `store ${directory}: ${messageOf(cause)}. ${advice}`, {
        cause,
      });
    }
    return new StoreWriter(options, unlock);
  }

  /** Why the last write failed; undefined when it did not. */
  get failing(): DropReason | undefined {
    return this.#failing;
  }

  /** Spans in files since the start. */
  get written(): number {
    return this.#written;
  }

  /** Resolves when there is room for more: at once, unless the disk is slow. */
  async append({ chunks }: { readonly chunks: readonly Uint8Array[] }): Promise<void> {
    for (const chunk of chunks) {
      const items = Math.max(countItems("traces", chunk), 0);
      if (items <= BLOCK_SPANS_MAX) {
        await this.#add(chunk, items);
        continue;
      }
      for (const part of splitItems("traces", [chunk], BLOCK_SPANS_MAX)) {
        for (const cut of part.chunks) await this.#add(cut, part.items);
      }
    }
  }

  /** Resolves when all that was appended is in a file, or counted as dropped. */
  flush(): Promise<void> {
    this.#closeBlock();
    return this.#last;
  }

  /** Writes what is open. May be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return this.#last;
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#closeBlock();
    this.#writeSeries(true);
    await this.#enqueue(async () => {
      await this.#seal(this.#plan);
      await this.#series.close();
    });
    this.#unlock();
  }

  async #add(chunk: Uint8Array, items: number): Promise<void> {
    if (chunk.length > CHUNK_BYTES_MAX) {
      this.#options.onDropped("too_large", items);
      return;
    }
    while (this.#waiting >= BLOCKS_WAITING_MAX) {
      this.#room ??= Promise.withResolvers();
      await this.#room.promise;
    }
    const { count, bytes } = this.#builder;
    const isFull = count + items > BLOCK_SPANS_MAX || bytes + chunk.length > BLOCK_BYTES_MAX;
    if (isFull) this.#closeBlock();
    this.#builder.add(chunk);
  }

  #closeBlock(): void {
    if (this.#builder.bytes === 0) return;
    const block = this.#builder.take();
    const plan = this.#plan;
    const namesStop = plan.names.count;
    plan.spans += block.columns.count;
    plan.blocks++;
    const isLast = this.#isFull(plan);
    if (isLast) {
      this.#plan = newPlan(this.#options.nowMs());
      this.#builder = new BlockBuilder(this.#plan.names, this.#recorder, this.#memory);
    }
    this.#waiting++;
    const packed = packBlock(block);
    packed.catch(() => undefined);
    void this.#enqueue(async () => {
      await this.#write(plan, await packed, namesStop).catch((cause: unknown) => {
        this.#lose(cause, block.columns.count);
      });
      if (isLast) await this.#seal(plan);
      this.#waiting--;
      this.#room?.resolve();
      this.#room = undefined;
    });
  }

  #isFull(plan: Plan): boolean {
    return (
      plan.spans >= SEGMENT_SPANS_MAX ||
      plan.blocks >= BLOCKS_PER_SEGMENT_MAX ||
      (plan.writer?.bytes ?? 0) >= this.#segmentBytesMax ||
      this.#options.nowMs() - plan.sinceMs >= SEGMENT_MS_MAX
    );
  }

  async #write(plan: Plan, block: PackedBlock, namesStop: number): Promise<void> {
    plan.writer ??= await SegmentWriter.create(this.#nextPath("spans"));
    await plan.writer.write(block, plan.names.names(plan.writer.namesWritten, namesStop));
    this.#written += block.columns.count;
    // Of spans only: what is small may still find room on a disk that is full.
    this.#failing = undefined;
  }

  async #seal(plan: Plan): Promise<void> {
    await plan.writer?.seal().catch((cause: unknown) => this.#lose(cause, 0));
    plan.writer = undefined;
    await this.#retain();
  }

  #tick(): void {
    this.#writeSeries();
    void this.#writeMetrics().catch((cause: unknown) => this.#lose(cause, 0));
    void this.#enqueue(() => this.#retain());
  }

  async #writeMetrics(): Promise<void> {
    const { ownMetrics, nowMs } = this.#options;
    const samples = (await ownMetrics?.()) ?? [];
    if (samples.length === 0 || this.#isClosed) return;
    await this.#enqueue(() => this.#series.writeMetrics(samples, nowMs()));
  }

  #writeSeries(isLast = false): void {
    const frame = this.#recorder.take(this.#options.nowMs(), isLast);
    if (frame === undefined) return;
    void this.#enqueue(() => this.#series.write(frame));
  }

  /** Deletes the oldest files until what is left has the size and age that it may have. */
  async #retain(): Promise<void> {
    const { directory, bytesMax, ageMaxMs, nowMs } = this.#options;
    const open = [this.#plan.writer?.path, this.#series.path];
    const files = listFiles(directory).map((file) => ({ ...file, status: fileStatus(file.path) }));
    let bytes = files.reduce((sum, { status }) => sum + (status?.bytes ?? 0), 0);
    for (const { path, status } of files) {
      if (status === undefined || open.includes(path)) continue;
      const isOld = ageMaxMs > 0 && nowMs() - status.changedMs > ageMaxMs;
      if (!isOld && bytes <= bytesMax) continue;
      await rm(path, { force: true }).catch((cause: unknown) => this.#lose(cause, 0));
      bytes -= status.bytes;
    }
  }

  #nextPath(kind: "spans" | "series"): string {
    return join(this.#options.directory, fileName(kind, this.#nextNumber++));
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work).catch((cause: unknown) => this.#lose(cause, 0));
    return this.#last;
  }

  #lose(cause: unknown, spans: number): void {
    const reason = reasonOf(cause);
    this.#failing = reason;
    if (spans > 0) this.#options.onDropped(reason, spans);
    this.#options.onFailed(messageOf(cause), spans);
  }
}

function newPlan(sinceMs: number): Plan {
  return { names: new NameTable(), sinceMs, writer: undefined, spans: 0, blocks: 0 };
}

function reasonOf(cause: unknown): DropReason {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ENOSPC" || code === "EDQUOT") return "disk_full";
  return code === "EROFS" || code === "EACCES" || code === "EPERM" ? "read_only" : "io_error";
}
