// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import type { BaseOptions, Message, MessagesStream } from "@platformatic/kafka";
import { loadKafka } from "../../src/transport/kafka.ts";

export interface JointReaderOptions {
  readonly base: BaseOptions;
  readonly groupId: string;
  readonly topic: string;
  readonly lookbackMs: number;
  readonly fetchWaitMs: number;
  readonly onRecord: (message: Message) => void;
}

type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;

/**
 * Reads all partitions of the topic with joints, for itself alone: in a group that nobody else is in
 * and whose offsets are not kept.
 */
export class JointReader {
  readonly #options: JointReaderOptions;
  readonly #close: () => Promise<void>;
  /** Rejects when reading breaks off. */
  readonly broken: Promise<never>;

  private constructor(options: JointReaderOptions, stream: Stream, close: () => Promise<void>) {
    this.#options = options;
    this.#close = close;
    this.broken = new Promise((_, reject) => stream.once("error", reject));
    this.broken.catch(() => {});
    stream.on("data", (message) => this.#options.onRecord(message));
  }

  /** Resolves when what was there at the start has been read. */
  static async open(options: JointReaderOptions, abort: AbortSignal): Promise<JointReader> {
    const { Consumer, ListOffsetTimestamps } = await loadKafka();
    const { topic } = options;
    const consumer = new Consumer({
      ...options.base,
      groupId: `${options.groupId}-joints-${randomUUID()}`,
      maxWaitTime: options.fetchWaitMs,
      autocommit: false,
    });
    const close = (): Promise<void> => consumer.close(true);
    try {
      const ends = (
        await consumer.listOffsets({ topics: [topic], timestamp: ListOffsetTimestamps.LATEST })
      ).get(topic);
      const timestamp = BigInt(Math.max(0, Math.floor(Date.now() - options.lookbackMs)));
      const starts = (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic);
      const partitions = (ends ?? []).map((end, partition) => {
        const start = starts?.[partition] ?? -1n;
        return { partition, end, start: start < 0n ? end : start };
      });
      const stream = await consumer.consume({
        topics: [topic],
        mode: "manual",
        offsets: partitions.map(({ partition, start }) => ({ topic, partition, offset: start })),
      });
      const reader = new JointReader(options, stream, close);
      const isBehind = (): boolean =>
        partitions.some(
          ({ partition, end, start }) =>
            (stream.offsetsToFetch.get(`${topic}:${partition}`) ?? start) < end,
        );
      await Promise.race([caughtUp(stream, isBehind, abort), reader.broken]);
      return reader;
    } catch (error) {
      await close().catch(() => {});
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#close().catch(() => {});
  }
}

async function caughtUp(
  stream: Stream,
  isBehind: () => boolean,
  abort: AbortSignal,
): Promise<void> {
  while (isBehind() && !abort.aborted) {
    await new Promise<void>((resolve) => {
      stream.once("fetch", () => setImmediate(resolve));
      abort.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
