// SPDX-License-Identifier: Apache-2.0
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { encodeFrame, FRAME_SERIES } from "./frame.ts";

const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
export const NODE_KINDS = ["service", "database", "messaging", "outside"] as const;
export type NodeKind = (typeof NODE_KINDS)[number];

interface Counts {
  requests: number;
  errors: number;
  /** Of addresses that were rewritten on the way; of edges only. */
  rewritten: number;
}

/** Counts of one interval that add up with those of another. */
export interface Tally extends Counts {
  /** By `bucketOf`. */
  readonly buckets: Uint32Array;
}

/** The same as it was read. */
export interface ReadTally extends Readonly<Counts> {
  /** A bucket and its count, in turn, of those that are not 0: most are few. */
  readonly pairs: readonly number[];
}

export interface OperationNames {
  readonly service: string;
  readonly operation: string;
  readonly kind: number;
}

/** An end of an edge: `name` is a service, a database, a destination or an address. */
export interface MapNode {
  readonly kind: NodeKind;
  readonly system: string;
  readonly name: string;
}

export interface EdgeNames {
  readonly from: MapNode;
  readonly to: MapNode;
  readonly protocol: string;
}

export type OperationTally = OperationNames & Tally;
export type EdgeTally = EdgeNames & Tally;

/** What arrived from `startMs` to `endMs`, since the epoch. */
export interface Interval<T = Tally> {
  readonly startMs: number;
  readonly endMs: number;
  readonly operations: readonly (OperationNames & T)[];
  readonly edges: readonly (EdgeNames & T)[];
}

/** A frame: the payload compressed, and its times outside, so that others can be skipped. */
export function encodeInterval(interval: Interval): Uint8Array[] {
  const times = Buffer.alloc(16);
  times.writeDoubleLE(interval.startMs, 0);
  times.writeDoubleLE(interval.endMs, 8);
  return encodeFrame(FRAME_SERIES, [zstdCompressSync(encodePayload(interval)), times]);
}

export function decodeTimes(
  section: Buffer,
): { readonly startMs: number; readonly endMs: number } | undefined {
  if (section.length !== 16) return undefined;
  return { startMs: section.readDoubleLE(0), endMs: section.readDoubleLE(8) };
}

/** Undefined when the payload is damaged. */
export function decodeInterval(
  packed: Buffer,
  times: { readonly startMs: number; readonly endMs: number },
): Interval<ReadTally> | undefined {
  try {
    const payload = zstdDecompressSync(packed, { maxOutputLength: PAYLOAD_BYTES_MAX });
    return { ...times, ...decodePayload(payload) };
  } catch {
    return undefined;
  }
}

/** Numbers are varints; text is written once, in front, and named by number. */
function encodePayload({ operations, edges }: Interval): Uint8Array {
  const texts = new Map<string, number>();
  const textOf = (text: string): number => {
    const known = texts.get(text);
    if (known !== undefined) return known;
    texts.set(text, texts.size);
    return texts.size - 1;
  };
  const numbers: number[] = [operations.length];
  for (const one of operations) {
    numbers.push(textOf(one.service), textOf(one.operation), one.kind);
    putTally(numbers, one);
  }
  numbers.push(edges.length);
  for (const one of edges) {
    for (const { kind, system, name } of [one.from, one.to]) {
      numbers.push(NODE_KINDS.indexOf(kind), textOf(system), textOf(name));
    }
    numbers.push(textOf(one.protocol));
    putTally(numbers, one);
  }
  const json = Buffer.from(JSON.stringify([...texts.keys()]));
  return Buffer.concat([varints([json.length]), json, varints(numbers)]);
}

function putTally(numbers: number[], { requests, errors, rewritten, buckets }: Tally): void {
  numbers.push(requests, errors, rewritten);
  const countAt = numbers.push(0) - 1;
  let last = 0;
  let count = 0;
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    const value = buckets[bucket] ?? 0;
    if (value === 0) continue;
    numbers.push(bucket - last, value);
    last = bucket;
    count++;
  }
  numbers[countAt] = count;
}

function varints(numbers: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (const number of numbers) {
    let rest = number;
    while (rest >= 0x80) {
      bytes.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}

/** Throws on what it cannot read. */
function decodePayload(payload: Buffer): Pick<Interval<ReadTally>, "operations" | "edges"> {
  const reader = new NumberReader(payload);
  const texts: unknown = JSON.parse(reader.text(reader.next()));
  if (!Array.isArray(texts)) throw new Error("no texts");
  const textOf = (): string => String(texts[reader.next()] ?? "");
  const list = <T>(one: () => T): T[] => Array.from({ length: reader.next() }, one);
  const operations = list((): OperationNames & ReadTally => {
    const [service, operation, kind] = [textOf(), textOf(), reader.next()];
    return { service, operation, kind, ...reader.tally() };
  });
  const nodeOf = (): MapNode => ({
    kind: NODE_KINDS[reader.next()] ?? "outside",
    system: textOf(),
    name: textOf(),
  });
  const edges = list((): EdgeNames & ReadTally => {
    const [from, to, protocol] = [nodeOf(), nodeOf(), textOf()];
    return { from, to, protocol, ...reader.tally() };
  });
  return { operations, edges };
}

class NumberReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; this.#at < this.#bytes.length; scale *= 0x80) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError("cut off");
  }

  text(length: number): string {
    const start = this.#at;
    this.#at += length;
    return this.#bytes.toString("utf8", start, this.#at);
  }

  tally(): ReadTally {
    const [requests, errors, rewritten] = [this.next(), this.next(), this.next()];
    const pairs: number[] = [];
    let bucket = 0;
    for (let left = this.next(); left > 0; left--) {
      bucket += this.next();
      pairs.push(bucket, this.next());
    }
    return { requests, errors, rewritten, pairs };
  }
}
