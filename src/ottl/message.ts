// SPDX-License-Identifier: Apache-2.0
import { AttributeList, malformed } from "../attributes/attribute-list.ts";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import {
  FieldReader,
  readFixed32,
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_FIXED64,
  WIRE_VARINT,
} from "../pdata/wire.ts";
import type { Value } from "./value.ts";
import { decodeValue, doubleAt, encodeValue, int64, textAt } from "./value-codec.ts";

/** Above the largest field number of an OTLP message that OTTL reads. */
const FIELDS = 17;
const ABSENT = 255;
const EMPTY = new Uint8Array(0);

/**
 * A message inside OTLP bytes with what statements changed in it. It is made once and reset for
 * each item; its fields are found when the first of them is asked for, its attributes likewise.
 */
export class Message {
  bytes: Uint8Array = EMPTY;
  /** -1 when there is no such message. */
  start = -1;
  stop = -1;
  readonly #list = new AttributeList();
  readonly #reader = new FieldReader();
  readonly #types = new Uint8Array(FIELDS);
  readonly #starts = new Int32Array(FIELDS);
  readonly #stops = new Int32Array(FIELDS);
  /** Fields that were set, with their tags; empty when removed. */
  readonly #set: (Uint8Array | undefined)[] = new Array<undefined>(FIELDS).fill(undefined);
  readonly #children: (Message | undefined)[] = [];
  readonly #texts: (string | undefined)[] = new Array<undefined>(FIELDS).fill(undefined);
  #live = 0;
  #hasTexts = false;
  #hasSet = false;
  #isIndexed = false;
  #listField = 0;

  /** Stands the message at `[start, stop)`; start -1 is none. Forgets all changes. */
  reset(bytes: Uint8Array, start: number, stop: number): this {
    this.bytes = bytes;
    this.start = start;
    this.stop = stop;
    if (this.#hasSet) this.#set.fill(undefined);
    if (this.#hasTexts) this.#texts.fill(undefined);
    this.#hasSet = false;
    this.#hasTexts = false;
    this.#isIndexed = false;
    this.#listField = 0;
    this.#live = 0;
    return this;
  }

  get isChanged(): boolean {
    if (this.#hasSet || (this.#listField > 0 && this.#list.isChanged)) return true;
    if (this.#live === 0) return false;
    return this.#children.some((child, field) => this.#isLive(field) && child?.isChanged === true);
  }

  /** The attributes in `field`; a message has them in one field only. */
  attributes(field: number): AttributeList {
    if (this.#listField !== field) {
      const start = Math.max(this.start, 0);
      this.#list.read(this.bytes, start, Math.max(this.stop, start), field);
      this.#listField = field;
    }
    return this.#list;
  }

  /** The message in `field`, also when there is none: it is written once it has something. */
  child(field: number): Message {
    let child = this.#children[field];
    if (child === undefined) {
      child = new Message();
      this.#children[field] = child;
    }
    if (!this.#isLive(field)) {
      this.#live |= 1 << field;
      if (this.#find(field) === WIRE_BYTES) {
        child.reset(this.#source(field), this.#at(field), this.#to(field));
      } else child.reset(this.bytes, -1, -1);
    }
    return child;
  }

  #isLive(field: number): boolean {
    return (this.#live & (1 << field)) !== 0;
  }

  has(field: number): boolean {
    return this.#find(field) !== ABSENT;
  }

  text(field: number): string {
    const known = this.#texts[field];
    if (known !== undefined) return known;
    if (this.#find(field) !== WIRE_BYTES) return "";
    const text = textAt(this.#source(field), this.#at(field), this.#to(field));
    this.#texts[field] = text;
    this.#hasTexts = true;
    return text;
  }

  /** A view; empty when the field is not there. */
  blob(field: number): Uint8Array {
    if (this.#find(field) !== WIRE_BYTES) return EMPTY;
    return this.#source(field).subarray(this.#at(field), this.#to(field));
  }

  /** Of type uint32, enum, bool, fixed32 or fixed64; undefined when it is not there. */
  number(field: number): number | bigint | undefined {
    const type = this.#find(field);
    const bytes = this.#source(field);
    const at = this.#at(field);
    switch (type) {
      case WIRE_VARINT: {
        const reader = new FieldReader().reset(bytes, at, this.#to(field));
        return reader.element() ? int64(reader.low, reader.high) : undefined;
      }
      case WIRE_FIXED32:
        return readFixed32(bytes, at);
      case WIRE_FIXED64:
        return int64(readFixed32(bytes, at), readFixed32(bytes, at + 4));
      default:
        return undefined;
    }
  }

  double(field: number): number | undefined {
    if (this.#find(field) !== WIRE_FIXED64) return undefined;
    return doubleAt(this.#source(field), this.#at(field));
  }

  value(field: number): Value {
    if (this.#find(field) !== WIRE_BYTES) return undefined;
    return decodeValue(this.#source(field), this.#at(field), this.#to(field));
  }

  #find(field: number): number {
    if (!this.#isIndexed) this.#index();
    return this.#types[field] ?? ABSENT;
  }

  #source(field: number): Uint8Array {
    return this.#set[field] ?? this.bytes;
  }

  #at(field: number): number {
    return this.#starts[field] ?? 0;
  }

  #to(field: number): number {
    return this.#stops[field] ?? 0;
  }

  #index(): void {
    this.#isIndexed = true;
    this.#types.fill(ABSENT);
    if (this.start < 0) return;
    const reader = this.#reader.reset(this.bytes, this.start, this.stop);
    while (reader.next()) {
      const { field } = reader;
      if (field >= FIELDS) continue;
      this.#types[field] = reader.wireType;
      this.#starts[field] = reader.start;
      this.#stops[field] = reader.stop;
    }
  }

  setText(field: number, text: string): void {
    scratch.reset();
    scratch.stringField(field * 8 + WIRE_BYTES, text);
    this.#put(field, scratch.take());
    this.#texts[field] = text;
    this.#hasTexts = true;
  }

  setBlob(field: number, bytes: Uint8Array): void {
    scratch.reset();
    scratch.bytesField(field * 8 + WIRE_BYTES, bytes);
    this.#put(field, scratch.take());
  }

  setValue(field: number, value: Value): void {
    this.setBlob(field, encodeValue(value));
  }

  /** Of type uint32, enum or bool. */
  setVarint(field: number, value: number): void {
    scratch.reset();
    scratch.reserve(24);
    scratch.varint(field * 8 + WIRE_VARINT);
    scratch.int64(value);
    this.#put(field, scratch.take());
  }

  setFixed32(field: number, value: number): void {
    scratch.reset();
    scratch.reserve(24);
    scratch.varint(field * 8 + WIRE_FIXED32);
    scratch.fixed32(value);
    this.#put(field, scratch.take());
  }

  setFixed64(field: number, value: number | bigint): void {
    const exact = BigInt(value);
    scratch.reset();
    scratch.reserve(24);
    scratch.varint(field * 8 + WIRE_FIXED64);
    scratch.fixed64(Number(exact & 0xffffffffn), Number((exact >> 32n) & 0xffffffffn));
    this.#put(field, scratch.take());
  }

  setDouble(field: number, value: number): void {
    scratch.reset();
    scratch.reserve(24);
    scratch.varint(field * 8 + WIRE_FIXED64);
    scratch.double(value);
    this.#put(field, scratch.take());
  }

  remove(field: number): void {
    this.#find(field);
    this.#types[field] = ABSENT;
    this.#put(field, EMPTY);
  }

  #put(field: number, encoded: Uint8Array): void {
    this.#find(field);
    this.#set[field] = encoded;
    this.#hasSet = true;
    this.#texts[field] = undefined;
    this.#live &= ~(1 << field);
    const reader = this.#reader.reset(encoded, 0, encoded.length);
    if (!reader.next()) return;
    this.#types[field] = reader.wireType;
    this.#starts[field] = reader.start;
    this.#stops[field] = reader.stop;
  }

  /**
   * Writes the body with all changes. `body` is what parts of the message have become meanwhile;
   * fields that were not changed here are copied from it.
   */
  writeTo(out: ProtoWriter, body?: Uint8Array): void {
    const bytes = body ?? this.bytes;
    const start = body === undefined ? Math.max(this.start, 0) : 0;
    const stop = body === undefined ? Math.max(this.stop, start) : body.length;
    const list = this.#listField > 0 && this.#list.isChanged ? this.#list : undefined;
    const reader = this.#reader.reset(bytes, start, stop);
    let from = start;
    let written = 0;
    let attributeAt = 0;
    out.reserve(stop - start);
    while (reader.next()) {
      const { field, tagAt } = reader;
      if (list !== undefined && field === this.#listField) {
        const index = attributeAt++;
        if (!list.isEdited(index)) continue;
        this.#copy(out, bytes, from, tagAt);
        from = reader.stop;
        list.writeEdited(out, index);
      } else if (field < FIELDS && this.#isNew(field)) {
        this.#copy(out, bytes, from, tagAt);
        from = reader.stop;
        if ((written & (1 << field)) === 0) this.#writeNew(out, field);
        written |= 1 << field;
      }
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
    this.#copy(out, bytes, from, stop);
    if (this.#hasSet || this.#live !== 0) {
      for (let field = 1; field < FIELDS; field++) {
        if ((written & (1 << field)) === 0 && this.#isNew(field)) this.#writeNew(out, field);
      }
    }
    list?.writeAllAdded(out);
  }

  #copy(out: ProtoWriter, bytes: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    out.reserve(to - from);
    out.copy(bytes, from, to);
  }

  #isNew(field: number): boolean {
    if (this.#set[field] !== undefined) return true;
    return this.#isLive(field) && this.#children[field]?.isChanged === true;
  }

  #writeNew(out: ProtoWriter, field: number): void {
    const child = this.#isLive(field) ? this.#children[field] : undefined;
    if (child?.isChanged === true) {
      const message = out.beginMessage(field * 8 + WIRE_BYTES);
      child.writeTo(out);
      out.endMessage(message);
      return;
    }
    const encoded = this.#set[field] ?? EMPTY;
    out.reserve(encoded.length);
    out.copyAll(encoded);
  }
}

const scratch = new ProtoWriter(1024);
