// SPDX-License-Identifier: Apache-2.0
import { type ByteCursor, readUint32 } from "../byte-cursor.ts";
import type { MessagingExchange } from "../messaging.ts";
import { errorName, errorOffset, FETCH, METADATA, PRODUCE } from "./apis.ts";
import type { KafkaShared } from "./shared.ts";

/** What is read of a body whose lengths may lie. */
const TOPICS_MAX = 256;
const PARTITIONS_MAX = 1024;
const BATCHES_MAX = 4096;

/** Offsets in a record batch; https://kafka.apache.org/documentation/#recordbatch */
const BATCH_LENGTH = 8;
const BATCH_MAGIC = 16;
const BATCH_COUNT = 57;
const BATCH_HEADER_BYTES = 61;
/** Of an older message set: offset and size stand before each message. */
const MESSAGE_HEADER_BYTES = 12;

/** Fields whose encoding depends on whether the version is flexible. */
export class KafkaFields {
  readonly #cursor: ByteCursor;
  readonly #shared: KafkaShared;
  isFlexible = false;

  constructor(cursor: ByteCursor, shared: KafkaShared) {
    this.#cursor = cursor;
    this.#shared = shared;
  }

  get cursor(): ByteCursor {
    return this.#cursor;
  }

  /** Length of a string, of bytes or of an array; -1 for null. */
  stringLength(): number {
    return this.isFlexible ? this.#cursor.varint() - 1 : this.#cursor.int16();
  }

  length(): number {
    return this.isFlexible ? this.#cursor.varint() - 1 : this.#cursor.int32();
  }

  string(): string {
    return this.#cursor.name(Math.max(0, this.stringLength()));
  }

  skipString(): void {
    this.#cursor.skip(Math.max(0, this.stringLength()));
  }

  tags(): void {
    if (!this.isFlexible) return;
    const count = this.#cursor.varint();
    for (let left = count; left > 0 && !this.#cursor.isCut; left--) {
      this.#cursor.varint();
      this.#cursor.skip(this.#cursor.varint());
    }
  }

  /** A topic's name, or its id where the version has ids. */
  topic(isId: boolean): string {
    if (!isId) return this.string();
    const at = this.#cursor.take(16);
    return at < 0 ? "" : this.#shared.topicOf(this.#cursor.bytes, at);
  }

  topicId(name: string): void {
    const at = this.#cursor.take(16);
    if (at >= 0) this.#shared.learnTopic(this.#cursor.bytes, at, name);
  }
}

/** A request's body. False: nobody answers it. */
export function readProduceRequest(fields: KafkaFields, exchange: MessagingExchange): boolean {
  const { cursor } = fields;
  const { details } = exchange;
  if (details.version >= 3) fields.skipString();
  const acks = cursor.int16();
  const isAnswered = cursor.isCut || acks !== 0;
  cursor.skip(4);
  const tally = new Tally();
  const topics = Math.min(fields.length(), TOPICS_MAX);
  for (let left = topics; left > 0 && !cursor.isCut; left--) {
    tally.topic(fields.topic(details.version >= 13), cursor.isCut);
    const partitions = Math.min(fields.length(), PARTITIONS_MAX);
    for (let more = partitions; more > 0 && !cursor.isCut; more--) {
      tally.partition(cursor.int32(), cursor.isCut);
      const bytes = Math.max(0, fields.length());
      tally.records(cursor, bytes);
      cursor.skip(bytes);
      fields.tags();
    }
    fields.tags();
  }
  tally.write(exchange, cursor.isCut);
  return isAnswered;
}

export function readProduceResponse(fields: KafkaFields, exchange: MessagingExchange): void {
  const { cursor } = fields;
  const { details } = exchange;
  const { version } = details;
  let offset = -1;
  const topics = Math.min(fields.length(), TOPICS_MAX);
  for (let left = topics; left > 0 && !cursor.isCut; left--) {
    fields.topic(version >= 13);
    const partitions = Math.min(fields.length(), PARTITIONS_MAX);
    for (let more = partitions; more > 0 && !cursor.isCut; more--) {
      cursor.skip(4);
      const code = cursor.int16();
      const base = cursor.int64();
      if (cursor.isCut) break;
      setError(exchange, code);
      offset = topics === 1 && partitions === 1 ? base : -1;
      cursor.skip((version >= 2 ? 8 : 0) + (version >= 5 ? 8 : 0));
      if (version >= 8) skipRecordErrors(fields);
      fields.tags();
    }
    fields.tags();
  }
  details.kafkaOffset = offset;
}

function skipRecordErrors(fields: KafkaFields): void {
  const { cursor } = fields;
  const errors = Math.min(fields.length(), BATCHES_MAX);
  for (let left = errors; left > 0 && !cursor.isCut; left--) {
    cursor.skip(4);
    fields.skipString();
    fields.tags();
  }
  fields.skipString();
}

/** A fetch of a session names only what has changed since the one before. */
export const FETCH_ALL = 0;
export const FETCH_CHANGES = 1;
export const FETCH_UNCHANGED = 2;

export function readFetchRequest(fields: KafkaFields, exchange: MessagingExchange): number {
  const { cursor } = fields;
  const { details } = exchange;
  const { version } = details;
  if (version < 15) cursor.skip(4);
  cursor.skip(8 + (version >= 3 ? 4 : 0) + (version >= 4 ? 1 : 0) + (version >= 7 ? 4 : 0));
  // 0 begins a session, -1 ends it.
  const epoch = version >= 7 ? cursor.int32() : -1;
  const tally = new Tally();
  let offset = -1;
  const topics = Math.min(fields.length(), TOPICS_MAX);
  for (let left = topics; left > 0 && !cursor.isCut; left--) {
    tally.topic(fields.topic(version >= 13), cursor.isCut);
    const partitions = Math.min(fields.length(), PARTITIONS_MAX);
    for (let more = partitions; more > 0 && !cursor.isCut; more--) {
      tally.partition(cursor.int32(), cursor.isCut);
      cursor.skip(version >= 9 ? 4 : 0);
      offset = cursor.int64();
      cursor.skip((version >= 12 ? 4 : 0) + (version >= 5 ? 8 : 0) + 4);
      fields.tags();
    }
    fields.tags();
  }
  tally.write(exchange, cursor.isCut);
  details.count = -1;
  if (details.partition >= 0) details.kafkaOffset = offset;
  if (epoch !== 0 && topics === 0 && !cursor.isCut) return FETCH_UNCHANGED;
  return epoch > 0 ? FETCH_CHANGES : FETCH_ALL;
}

export function readFetchResponse(fields: KafkaFields, exchange: MessagingExchange): void {
  const { cursor } = fields;
  const { details } = exchange;
  const { version } = details;
  cursor.skip(version >= 1 ? 4 : 0);
  if (version >= 7) {
    setError(exchange, cursor.int16());
    cursor.skip(4);
  }
  const tally = new Tally();
  const topics = Math.min(fields.length(), TOPICS_MAX);
  for (let left = topics; left > 0 && !cursor.isCut; left--) {
    tally.topic(fields.topic(version >= 13), cursor.isCut);
    const partitions = Math.min(fields.length(), PARTITIONS_MAX);
    for (let more = partitions; more > 0 && !cursor.isCut; more--) {
      readFetchedPartition(fields, exchange, tally);
    }
    fields.tags();
  }
  if (topics > 0) tally.write(exchange, cursor.isCut);
  else if (!cursor.isCut) details.count = 0;
  if (tally.offset >= 0 && tally.isOnePartition) details.kafkaOffset = tally.offset;
}

function readFetchedPartition(
  fields: KafkaFields,
  exchange: MessagingExchange,
  tally: Tally,
): void {
  const { cursor } = fields;
  const { version } = exchange.details;
  const index = cursor.int32();
  const code = cursor.int16();
  if (cursor.isCut) return;
  tally.partition(index, false);
  setError(exchange, code);
  cursor.skip(8 + (version >= 4 ? 8 : 0) + (version >= 5 ? 8 : 0));
  if (version >= 4) {
    const aborted = Math.min(fields.length(), BATCHES_MAX);
    for (let left = aborted; left > 0 && !cursor.isCut; left--) {
      cursor.skip(16);
      fields.tags();
    }
  }
  if (version >= 11) cursor.skip(4);
  const bytes = Math.max(0, fields.length());
  tally.records(cursor, bytes);
  cursor.skip(bytes);
  fields.tags();
}

/** Names of topics by their ids. */
export function readMetadataResponse(fields: KafkaFields, version: number): void {
  const { cursor } = fields;
  if (version < 10) return;
  cursor.skip(4);
  for (let left = Math.min(fields.length(), 1024); left > 0 && !cursor.isCut; left--) {
    cursor.skip(4);
    fields.skipString();
    cursor.skip(4);
    fields.skipString();
    fields.tags();
  }
  fields.skipString();
  cursor.skip(4);
  for (let left = fields.length(); left > 0 && !cursor.isCut; left--) {
    cursor.skip(2);
    fields.topicId(fields.string());
    cursor.skip(1);
    const partitions = Math.min(fields.length(), PARTITIONS_MAX * 100);
    for (let more = partitions; more > 0 && !cursor.isCut; more--) {
      cursor.skip(14);
      for (let list = 0; list < 3; list++) cursor.skip(4 * Math.max(0, fields.length()));
      fields.tags();
    }
    cursor.skip(4);
    fields.tags();
  }
}

export function readResponse(fields: KafkaFields, exchange: MessagingExchange): void {
  const { code, version } = exchange.details;
  if (code === PRODUCE) readProduceResponse(fields, exchange);
  else if (code === FETCH) readFetchResponse(fields, exchange);
  else if (code === METADATA) readMetadataResponse(fields, version);
  else {
    const offset = errorOffset(code, version);
    if (offset < 0) return;
    fields.cursor.skip(offset);
    setError(exchange, fields.cursor.int16());
  }
}

/** The first error is told. */
function setError(exchange: MessagingExchange, code: number): void {
  if (code !== 0 && exchange.errorType === "") exchange.errorType = errorName(code);
}

/** Topics, partitions and messages of one body. */
class Tally {
  offset = -1;
  #topic = "";
  #topics = 0;
  #partition = -1;
  #partitions = 0;
  #count = 0;
  #isCounted = true;

  get isOnePartition(): boolean {
    return this.#partitions === 1;
  }

  topic(name: string, isCut: boolean): void {
    if (isCut) return;
    this.#topic = name;
    this.#topics++;
  }

  partition(index: number, isCut: boolean): void {
    if (isCut) return;
    this.#partition = index;
    this.#partitions++;
  }

  /** Batches in the next `length` bytes, as far as their heads are captured. */
  records(cursor: ByteCursor, length: number): void {
    const { bytes, at, end } = cursor;
    const stop = at + length;
    let batch = at;
    for (let left = BATCHES_MAX; left > 0 && batch + BATCH_MAGIC < stop; left--) {
      if (batch + BATCH_HEADER_BYTES > end) {
        this.#isCounted = this.#isCounted && batch + BATCH_HEADER_BYTES > stop;
        return;
      }
      const size = readUint32(bytes, batch + BATCH_LENGTH);
      if (this.offset < 0)
        this.offset = readUint32(bytes, batch) * 2 ** 32 + readUint32(bytes, batch + 4);
      this.#count += bytes[batch + BATCH_MAGIC] === 2 ? readUint32(bytes, batch + BATCH_COUNT) : 1;
      batch += MESSAGE_HEADER_BYTES + size;
    }
  }

  write(exchange: MessagingExchange, isCut: boolean): void {
    const { details } = exchange;
    // Of several topics none is the destination.
    if (this.#topics === 1) details.destination = this.#topic;
    if (this.#partitions === 1 && this.#topics === 1) details.partition = this.#partition;
    if (this.#topics > 1) details.destination = "";
    if (this.#partitions > 1) {
      details.partition = -1;
      details.kafkaOffset = -1;
    }
    if (this.#isCounted && (!isCut || this.#partitions > 0)) details.count = this.#count;
  }
}
