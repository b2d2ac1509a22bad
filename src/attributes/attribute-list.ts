// SPDX-License-Identifier: Apache-2.0
import { AgentError } from "../component/errors.ts";
import type { ProtoWriter } from "../pdata/proto-writer.ts";
import { type AttributeValue, decodeAnyValue } from "../pdata/span-view.ts";
import { FieldReader, varintBytes, WIRE_BYTES } from "../pdata/wire.ts";

const KEY = 1;
const VALUE = 2;
const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const DOUBLE_TAG = 0x21;
const EMPTY = new Uint8Array(0);

const AS_READ = 0;
const REPLACED = 1;
const REMOVED = 2;

/** Where an attribute's key and its encoded AnyValue stand; the value is empty when there is none. */
export interface AttributeEntry {
  readonly keyBytes: Uint8Array;
  readonly keyStart: number;
  readonly keyStop: number;
  readonly valueBytes: Uint8Array;
  readonly valueStart: number;
  readonly valueStop: number;
}

/** Where one attribute stands and what became of it. Made once, used again for each message. */
class Entry {
  tagAt = 0;
  /** The KeyValue message. */
  start = 0;
  stop = 0;
  keyBytes: Uint8Array = EMPTY;
  keyStart = 0;
  keyStop = 0;
  /** The AnyValue; empty when there is none. */
  valueBytes: Uint8Array = EMPTY;
  valueStart = 0;
  valueStop = 0;
  state = AS_READ;
}

/**
 * The attributes of one message, read in place. Changes are kept beside the bytes, and `writeTo`
 * gives the message again: what was not changed, and fields that we do not know, stay the bytes
 * they are and in their order.
 */
export class AttributeList {
  isChanged = false;
  readonly #entries: Entry[] = [];
  readonly #fields = new FieldReader();
  readonly #inner = new FieldReader();
  #count = 0;
  /** Entries from here on were added. */
  #read = 0;
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  #tag = 0;

  /** Reads the attributes in `field` of the message `[start, end)`. */
  read(bytes: Uint8Array, start: number, end: number, field: number): void {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#tag = field * 8 + WIRE_BYTES;
    this.#count = 0;
    this.isChanged = false;
    const fields = this.#fields.reset(bytes, start, end);
    while (fields.next()) {
      if (fields.field === field && fields.wireType === WIRE_BYTES) this.#readEntry(fields);
    }
    if (fields.errorAt >= 0) throw malformed(fields.errorAt);
    this.#read = this.#count;
  }

  #next(): Entry {
    const index = this.#count++;
    let entry = this.#entries[index];
    if (entry === undefined) {
      entry = new Entry();
      this.#entries.push(entry);
    }
    entry.state = AS_READ;
    return entry;
  }

  #readEntry(outer: FieldReader): void {
    const { bytes, start, stop } = outer;
    const entry = this.#next();
    entry.tagAt = outer.tagAt;
    entry.start = start;
    entry.stop = stop;
    entry.keyBytes = bytes;
    entry.valueBytes = bytes;
    // As every SDK writes it: key, value, no length above 127.
    const keyStop = start + 2 + (bytes[start + 1] ?? 0);
    if (
      bytes[start] === KEY_TAG &&
      keyStop < start + 130 &&
      bytes[keyStop] === VALUE_TAG &&
      keyStop + 2 + (bytes[keyStop + 1] ?? 0) === stop &&
      (bytes[keyStop + 1] ?? 0) < 0x80
    ) {
      entry.keyStart = start + 2;
      entry.keyStop = keyStop;
      entry.valueStart = keyStop + 2;
      entry.valueStop = stop;
      return;
    }
    this.#readSlowly(entry);
  }

  #readSlowly(entry: Entry): void {
    const { keyBytes: bytes, start, stop } = entry;
    entry.keyStart = entry.keyStop = entry.valueStart = entry.valueStop = start;
    const inner = this.#inner.reset(bytes, start, stop);
    while (inner.next()) {
      if (inner.wireType !== WIRE_BYTES) continue;
      if (inner.field === KEY) {
        entry.keyStart = inner.start;
        entry.keyStop = inner.stop;
      } else if (inner.field === VALUE) {
        entry.valueStart = inner.start;
        entry.valueStop = inner.stop;
      }
    }
    if (inner.errorAt >= 0) throw malformed(inner.errorAt);
  }

  get size(): number {
    return this.#count;
  }

  isRemoved(index: number): boolean {
    return this.#entries[index]?.state === REMOVED;
  }

  /** The first attribute with this key, or -1. */
  find(key: Uint8Array): number {
    for (let index = 0; index < this.#count; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && entry.state !== REMOVED && isKey(entry, key)) return index;
    }
    return -1;
  }

  /** Calls `visit` with each attribute that is there: where its key and its AnyValue stand. */
  forEach(visit: (entry: AttributeEntry, index: number) => void): void {
    for (let index = 0; index < this.#count; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && entry.state !== REMOVED) visit(entry, index);
    }
  }

  /** Where the attribute stands; undefined when there is none. Valid until the next `read`. */
  entryAt(index: number): AttributeEntry | undefined {
    return this.#entries[index];
  }

  keyText(index: number): string {
    const entry = this.#entries[index];
    if (entry === undefined) return "";
    return Buffer.from(
      entry.keyBytes.buffer,
      entry.keyBytes.byteOffset + entry.keyStart,
      entry.keyStop - entry.keyStart,
    ).toString("utf8");
  }

  value(index: number): AttributeValue {
    const entry = this.#entries[index];
    if (entry === undefined) return undefined;
    return decodeAnyValue(entry.valueBytes, entry.valueStart, entry.valueStop);
  }

  /** Is the value a double? `value` gives a number for integers, too. */
  isDouble(index: number): boolean {
    const entry = this.#entries[index];
    return entry?.valueBytes[entry.valueStart] === DOUBLE_TAG;
  }

  /** A copy of the encoded AnyValue. */
  encodedValue(index: number): Uint8Array {
    const entry = this.#entries[index];
    return entry === undefined ? EMPTY : entry.valueBytes.slice(entry.valueStart, entry.valueStop);
  }

  remove(index: number): void {
    const entry = this.#entries[index];
    if (entry === undefined) return;
    entry.state = REMOVED;
    this.isChanged = true;
  }

  /** `value` is an encoded AnyValue; it must not be changed afterwards. */
  replace(index: number, value: Uint8Array): void {
    const entry = this.#entries[index];
    if (entry === undefined) return;
    if (index < this.#read) entry.state = REPLACED;
    entry.valueBytes = value;
    entry.valueStart = 0;
    entry.valueStop = value.length;
    this.isChanged = true;
  }

  add(key: Uint8Array, value: Uint8Array): void {
    const entry = this.#next();
    entry.keyBytes = key;
    entry.keyStart = 0;
    entry.keyStop = key.length;
    entry.valueBytes = value;
    entry.valueStart = 0;
    entry.valueStop = value.length;
    this.isChanged = true;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    const index = this.find(key);
    if (index === -1) this.add(key, value);
    else this.replace(index, value);
  }

  /** Writes the body of the message that was read, with the changes. */
  writeTo(out: ProtoWriter): void {
    const bytes = this.#bytes;
    out.reserve(this.#end - this.#start);
    let from = this.#start;
    for (let index = 0; index < this.#read; index++) {
      const entry = this.#entries[index];
      if (entry === undefined || entry.state === AS_READ) continue;
      copy(out, bytes, from, entry.tagAt);
      from = entry.stop;
      if (entry.state === REPLACED) this.#writeReplaced(out, entry);
    }
    copy(out, bytes, from, this.#end);
    this.writeAllAdded(out);
  }

  /** How many attributes were read; further ones were added. */
  get readCount(): number {
    return this.#read;
  }

  /** Was the attribute replaced or removed after it was read? */
  isEdited(index: number): boolean {
    return this.#entries[index]?.state !== AS_READ;
  }

  /** Writes one attribute that was edited, with its tag; nothing when it was removed. */
  writeEdited(out: ProtoWriter, index: number): void {
    const entry = this.#entries[index];
    if (entry?.state === REPLACED) this.#writeReplaced(out, entry);
  }

  /** Writes the attributes that were added, with their tags. */
  writeAllAdded(out: ProtoWriter): void {
    for (let index = this.#read; index < this.#count; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && entry.state !== REMOVED) this.#writeAdded(out, entry);
    }
  }

  /** All of the KeyValue but its value stays as it was. */
  #writeReplaced(out: ProtoWriter, entry: Entry): void {
    const bytes = this.#bytes;
    const inner = this.#inner.reset(bytes, entry.start, entry.stop);
    const valueBytes = entry.valueStop;
    let rest = entry.stop - entry.start;
    while (inner.next()) {
      if (inner.field === VALUE) rest -= inner.stop - inner.tagAt;
    }
    out.reserve(rest + valueBytes + 24);
    out.byte(this.#tag);
    out.varint(rest + 1 + varintBytes(valueBytes) + valueBytes);
    let from = entry.start;
    inner.reset(bytes, entry.start, entry.stop);
    while (inner.next()) {
      if (inner.field !== VALUE) continue;
      out.copy(bytes, from, inner.tagAt);
      from = inner.stop;
    }
    out.copy(bytes, from, entry.stop);
    out.byte(VALUE_TAG);
    out.varint(valueBytes);
    out.copy(entry.valueBytes, 0, valueBytes);
  }

  #writeAdded(out: ProtoWriter, entry: Entry): void {
    const keyBytes = entry.keyStop;
    const valueBytes = entry.valueStop;
    out.reserve(keyBytes + valueBytes + 32);
    out.byte(this.#tag);
    out.varint(2 + varintBytes(keyBytes) + keyBytes + varintBytes(valueBytes) + valueBytes);
    out.byte(0x0a);
    out.varint(keyBytes);
    out.copy(entry.keyBytes, 0, keyBytes);
    out.byte(VALUE_TAG);
    out.varint(valueBytes);
    out.copy(entry.valueBytes, 0, valueBytes);
  }
}

function copy(out: ProtoWriter, bytes: Uint8Array, from: number, to: number): void {
  if (to <= from) return;
  out.reserve(to - from);
  out.copy(bytes, from, to);
}

function isKey(entry: Entry, key: Uint8Array): boolean {
  const { keyBytes, keyStart, keyStop } = entry;
  if (keyStop - keyStart !== key.length) return false;
  for (let at = key.length - 1; at >= 0; at--) {
    if (keyBytes[keyStart + at] !== key[at]) return false;
  }
  return true;
}

export function malformed(at: number): AgentError {
  return new AgentError("BS_INTERNAL", `malformed OTLP at byte ${at}`);
}
