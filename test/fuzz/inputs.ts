// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { type Direction, type Protocol, RECEIVED, SENT } from "../../src/model/protocol.ts";
import { Random } from "./random.ts";

/** One record of a fuzz input. */
export interface InputRecord {
  readonly direction: Direction;
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly captured: number;
}

export interface Input {
  readonly records: readonly InputRecord[];
  /** errno of the end */
  readonly error: number;
}

const seedSchema = z.object({
  records: z.array(
    z.object({
      from: z.enum(["client", "server"]),
      /** Bytes as the characters of Latin-1, or in hexadecimal. */
      text: z.string().optional(),
      hex: z.string().optional(),
    }),
  ),
});

interface Message {
  readonly direction: Direction;
  readonly bytes: Buffer;
}

/** For a protocol that has no goldens yet: little to mutate, but something. */
const NO_GOLDENS: readonly (readonly Message[])[] = [
  [
    { direction: RECEIVED, bytes: Buffer.from("request\r\n") },
    { direction: SENT, bytes: Buffer.from("response\r\n") },
  ],
];

const PART_MESSAGES_MAX = 10;
const RECORDS_MAX = 64;
const RECORD_BYTES_MAX = 20_000;

/** Makes inputs for one protocol out of its goldens: whole conversations, mutated by structure. */
export class InputSource {
  readonly #conversations: readonly (readonly Message[])[];
  /** Pieces between separators in the goldens: what a mutation puts elsewhere. */
  readonly #tokens: readonly Buffer[];

  constructor(protocol: Protocol) {
    const goldens = readGoldens(protocol.name);
    this.#conversations = goldens.length > 0 ? goldens : NO_GOLDENS;
    const texts = this.#conversations.flat().map((message) => message.bytes.toString("latin1"));
    const tokens = new Set(texts.flatMap((text) => text.split(/(?<=[\r\n :,;/])/)));
    for (const extra of ["\0", "\r", "\n", "\r\n\r\n", "0\r\n\r\n", "ffffffffffffffff\r\n", "-1"]) {
      tokens.add(extra);
    }
    this.#tokens = [...tokens].map((token) => Buffer.from(token, "latin1"));
  }

  /** The same seed gives the same input. */
  create(seed: number): Input {
    const random = new Random(seed);
    const messages = random.below(4) === 0 ? this.#whole(random) : this.#part(random);
    const mutations = random.below(6);
    for (let count = 0; count < mutations; count++) this.#mutate(messages, random);
    return { records: cutIntoRecords(messages, random), error: random.below(3) === 0 ? 104 : 0 };
  }

  #whole(random: Random): Message[] {
    const messages: Message[] = [];
    const rounds = 1 + random.below(4);
    for (let round = 0; round < rounds; round++) messages.push(...random.pick(this.#conversations));
    return messages;
  }

  /** A few messages in a row: of the beginning, or as of a connection that is older. */
  #part(random: Random): Message[] {
    const conversation = random.pick(this.#conversations);
    const first = random.below(2) === 0 ? 0 : random.below(conversation.length);
    return conversation.slice(first, first + 1 + random.below(PART_MESSAGES_MAX));
  }

  #mutate(messages: Message[], random: Random): void {
    const index = random.below(messages.length);
    const message = messages[index];
    if (message === undefined) return;
    switch (random.below(6)) {
      case 0:
        messages.splice(index, 1);
        break;
      case 1:
        messages.splice(random.below(messages.length), 0, message);
        break;
      case 2:
        messages[index] = {
          direction: message.direction === SENT ? RECEIVED : SENT,
          bytes: message.bytes,
        };
        break;
      default:
        messages[index] = {
          direction: message.direction,
          bytes: this.#mutateBytes(message.bytes, random),
        };
    }
  }

  #mutateBytes(bytes: Buffer, random: Random): Buffer {
    const at = random.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + random.below(30));
    const [before, part, after] = [
      bytes.subarray(0, at),
      bytes.subarray(at, end),
      bytes.subarray(end),
    ];
    const token = random.pick(this.#tokens);
    switch (random.below(7)) {
      case 0:
        return Buffer.concat([before, after]);
      case 1:
        return Buffer.concat([before, token, part, after]);
      case 2:
        return Buffer.concat([before, token, after]);
      case 3: {
        const repeats = new Array<Buffer>(random.below(200)).fill(part);
        const repeated = Buffer.concat([before, ...repeats, after]);
        return repeated.subarray(0, RECORD_BYTES_MAX);
      }
      case 4:
        return Buffer.concat([before, Buffer.from([random.below(256)]), after]);
      case 5: {
        const changed = Buffer.from(bytes);
        if (changed.length > 0) changed[at % changed.length] = random.below(256);
        return changed;
      }
      default:
        return before;
    }
  }
}

function cutIntoRecords(messages: readonly Message[], random: Random): readonly InputRecord[] {
  const records: InputRecord[] = [];
  const start = random.below(8) === 0 ? random.below(5000) : 0;
  const positions = [start, start];
  const cutting = random.below(4);
  for (const message of messages) {
    let at = 0;
    while (at < message.bytes.length && records.length < RECORDS_MAX) {
      const rest = message.bytes.length - at;
      const length = cutting === 0 ? 1 + random.below(rest) : rest;
      const bytes = message.bytes.subarray(at, at + length);
      const position = positions[message.direction] ?? 0;
      const captured = random.below(5) === 0 ? random.below(length + 1) : length;
      const fate = random.below(60);
      if (fate !== 0) records.push({ direction: message.direction, position, bytes, captured });
      // Positions that lie: a duplicate, a jump, a huge jump.
      const shift =
        fate === 1 ? -length : fate === 2 ? random.below(5000) : fate === 3 ? 2 ** 40 : 0;
      positions[message.direction] = Math.max(0, position + length + shift);
      at += length;
    }
  }
  return records;
}

function readGoldens(protocol: string): readonly (readonly Message[])[] {
  const folder = new URL(`../../src/protocols/${protocol}/goldens/`, import.meta.url);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.map((file) => {
    const golden = seedSchema.parse(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
    return golden.records.map(({ from, text, hex }) => ({
      direction: from === "client" ? RECEIVED : SENT,
      bytes: hex === undefined ? Buffer.from(text ?? "", "latin1") : Buffer.from(hex, "hex"),
    }));
  });
}
