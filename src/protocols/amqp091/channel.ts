// SPDX-License-Identifier: Apache-2.0
import type { Direction } from "../../model/protocol.ts";
import type { ExchangeKey } from "../pooled-exchange.ts";

const CONSUMERS_MAX = 256;
const CHANNELS_MAX = 2048;

/** A message whose content is on its way: method, header, body. */
export interface Content {
  /** Of the exchange that ends, or goes on, with the content. */
  readonly key: ExchangeKey;
  readonly asker: Direction;
  /** It stays open for a confirmation. */
  readonly isConfirmed: boolean;
  /** Unknown until the header. */
  bodyLeft: number;
}

export class Channel {
  /** Number of the next published message; 0 while messages are not confirmed, or not countable. */
  nextTag = 0;
  /** Of the last message that was counted. */
  publishedTag = 0;
  /** All published messages up to this one are confirmed. */
  confirmedTag = 0;
  /** Where confirmations come from; undefined as long as no messages are confirmed. */
  confirmer: Direction | undefined = undefined;
  /** By direction. */
  readonly contents: [Content | undefined, Content | undefined] = [undefined, undefined];
  readonly #queues = new Map<string, string>();
  /** Of the consumer whose name the broker is about to choose. */
  pendingQueue = "";

  consume(consumer: string, queue: string): void {
    if (this.#queues.size >= CONSUMERS_MAX) this.#queues.clear();
    this.#queues.set(consumer, queue);
  }

  queueOf(consumer: string): string {
    return this.#queues.get(consumer) ?? "";
  }
}

export class Channels {
  readonly #channels = new Map<number, Channel>();

  find(number: number): Channel {
    let channel = this.#channels.get(number);
    if (channel === undefined) {
      channel = new Channel();
      if (this.#channels.size >= CHANNELS_MAX) this.#channels.clear();
      this.#channels.set(number, channel);
    }
    return channel;
  }

  delete(number: number): void {
    this.#channels.delete(number);
  }

  values(): IterableIterator<Channel> {
    return this.#channels.values();
  }
}
