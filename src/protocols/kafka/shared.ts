// SPDX-License-Identifier: Apache-2.0

import { NameTable } from "../byte-cursor.ts";
import { ByteTable } from "../http1/byte-table.ts";

const TOPICS_MAX = 4096;
const GROUPS_MAX = 1024;

/** What the Kafka connections of one service have in common. */
export class KafkaShared {
  readonly names: NameTable = new NameTable();
  readonly #topics = new ByteTable<string>();
  readonly #groups = new Map<string, string>();

  /** Names by the 16 bytes that stand for them from Fetch 13 and Produce 13 on. */
  learnTopic(bytes: Uint8Array, at: number, name: string): void {
    if (name === "" || this.#topics.find(bytes, at, at + 16) === name) return;
    if (this.#topics.count >= TOPICS_MAX) this.#topics.clear();
    this.#topics.add(bytes, at, at + 16, name);
  }

  topicOf(bytes: Uint8Array, at: number): string {
    return this.#topics.find(bytes, at, at + 16) ?? "";
  }

  /**
   * Groups are told to the coordinator, often on another connection than what is fetched: the
   * client's id, with the process for clients that are watched, tells which it is.
   */
  learnGroup(client: string, group: string): void {
    const known = this.#groups.get(client);
    if (known === group || known === AMBIGUOUS) return;
    if (this.#groups.size >= GROUPS_MAX) this.#groups.clear();
    this.#groups.set(client, known === undefined ? group : AMBIGUOUS);
  }

  groupOf(client: string): string {
    const group = this.#groups.get(client) ?? AMBIGUOUS;
    return group === AMBIGUOUS ? "" : group;
  }
}

/** Two groups were seen with one client id. */
const AMBIGUOUS = "";
