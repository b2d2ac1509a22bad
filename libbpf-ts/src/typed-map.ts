// SPDX-License-Identifier: Apache-2.0
import { type BtfValue, type CodecOptions, decodeValue, encodeValue } from "./codec.ts";
import { BpfError } from "./errors.ts";
import type { Layout } from "./layout.ts";
import { type BpfMap, MAP_TYPE, UPDATE_FLAG } from "./map.ts";

const NO_KEY = new Uint8Array(0);

export interface TypedMapOptions extends CodecOptions {
  readonly key: Layout;
  readonly value: Layout;
}

/**
 * A map whose keys and values are plain objects, by the types that the program declares. `raw` is
 * the same map by bytes, for speed. `Key` and `Value` are what `libbpf-ts generate` writes, or
 * {@link BtfValue}.
 *
 * Of a per-CPU map `get` gives and `set` takes an array with a value for each possible CPU.
 */
export class TypedMap<Key = BtfValue, Value = BtfValue> {
  readonly raw: BpfMap;
  readonly #key: Layout;
  readonly #value: Layout;
  readonly #options: CodecOptions;

  constructor(raw: BpfMap, { key, value, ...options }: TypedMapOptions) {
    this.raw = raw;
    this.#key = key;
    this.#value = value;
    this.#options = options;
    if (key.bytes !== raw.keySize || value.bytes !== raw.valueSize) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `map "${raw.name}": its types have ${key.bytes} and ${value.bytes} bytes, the map ${raw.keySize} and ${raw.valueSize}.`,
      });
    }
  }

  /** Undefined when there is no such key. */
  get(key: Key): Value | undefined {
    const bytes = this.raw.get(this.#encodeKey(key));
    return bytes === undefined ? undefined : this.#decodeOne(bytes);
  }

  /** The value of a key on each possible CPU. */
  getPerCpu(key: Key): readonly Value[] | undefined {
    const copies = this.raw.getPerCpu(this.#encodeKey(key));
    return copies?.map((bytes) => this.#decodeOne(bytes));
  }

  /** `flags` is one of {@link UPDATE_FLAG}. */
  set(key: Key, value: Value, flags: number = UPDATE_FLAG.any): void {
    this.raw.set(this.#encodeKey(key), this.#encodeOne(value), flags);
  }

  /** One value for each possible CPU, in their order. */
  setPerCpu(key: Key, values: readonly Value[], flags: number = UPDATE_FLAG.any): void {
    const copies = values.map((value) => this.#encodeOne(value));
    this.raw.setPerCpu(this.#encodeKey(key), copies, flags);
  }

  /** False when there was no such key. */
  delete(key: Key): boolean {
    return this.raw.delete(this.#encodeKey(key));
  }

  /** Reads and deletes at once; not all types of maps can. */
  take(key: Key): Value | undefined {
    const bytes = this.raw.take(this.#encodeKey(key));
    return bytes === undefined ? undefined : this.#decodeOne(bytes);
  }

  /** The keys at the time of the call, so that entries may be deleted while iterating. */
  *keys(): Generator<Key, void, void> {
    for (const key of this.raw.keys()) {
      yield this.#decodeKey(key);
    }
  }

  /** Keys and values at the time of the call. Not for per-CPU maps: see {@link entriesPerCpu}. */
  *entries(): Generator<readonly [key: Key, value: Value], void, void> {
    for (const [key, value] of this.raw.entries()) {
      yield [this.#decodeKey(key), this.#decodeOne(value)];
    }
  }

  /** As {@link entries}, with the value of each possible CPU. */
  *entriesPerCpu(): Generator<readonly [key: Key, values: readonly Value[]], void, void> {
    for (const [key, copies] of this.raw.entriesPerCpu()) {
      yield [this.#decodeKey(key), copies.map((bytes) => this.#decodeOne(bytes))];
    }
  }

  [Symbol.iterator](): Generator<readonly [key: Key, value: Value], void, void> {
    return this.entries();
  }

  /** Writes many entries by one system call. */
  setAll(entries: Iterable<readonly [key: Key, value: Value]>): void {
    const pairs = [...entries];
    if (pairs.length > 0) {
      const keys = Buffer.concat(pairs.map(([key]) => this.#encodeKey(key)));
      this.raw.setBatch(keys, Buffer.concat(pairs.map(([, value]) => this.#encodeOne(value))));
    }
  }

  /** Deletes many keys by one system call; a key that is not there is an error (ENOENT). */
  deleteAll(keys: Iterable<Key>): void {
    const encoded = [...keys].map((key) => this.#encodeKey(key));
    if (encoded.length > 0) {
      this.raw.deleteBatch(Buffer.concat(encoded));
    }
  }

  /** Reads and deletes all entries, in the kernel's batches. */
  takeAll(): readonly (readonly [key: Key, value: Value])[] {
    return this.raw
      .takeAll()
      .map(([key, value]) => [this.#decodeKey(key), this.#decodeOne(value)] as const);
  }

  /** Into a queue, stack or bloom filter. A full queue refuses with E2BIG. */
  push(value: Value): void {
    this.raw.set(NO_KEY, this.#encodeOne(value));
  }

  /** Out of a queue or stack; undefined when it is empty. */
  pop(): Value | undefined {
    const bytes = this.raw.take(NO_KEY);
    return bytes === undefined ? undefined : this.#decodeOne(bytes);
  }

  /** The next of a queue or stack, which stays in it. */
  peek(): Value | undefined {
    const bytes = this.raw.get(NO_KEY);
    return bytes === undefined ? undefined : this.#decodeOne(bytes);
  }

  /** Whether a bloom filter may hold a value: false is certain, true is not. */
  mayHave(value: Value): boolean {
    if (this.raw.type !== MAP_TYPE.bloomFilter) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `map "${this.raw.name}": it is not a bloom filter. Look it up with get.`,
      });
    }
    return this.raw.get(NO_KEY, this.#encodeOne(value)) !== undefined;
  }

  #encodeKey(key: Key): Uint8Array {
    return encodeValue(this.#key, key, `key of map "${this.raw.name}"`);
  }

  #encodeOne(value: Value): Uint8Array {
    return encodeValue(this.#value, value, `value of map "${this.raw.name}"`);
  }

  #decodeKey(bytes: Uint8Array): Key {
    return unsafeTyped<Key>(decodeValue(this.#key, viewOf(bytes), 0, this.#options));
  }

  #decodeOne(bytes: Uint8Array): Value {
    return unsafeTyped<Value>(decodeValue(this.#value, viewOf(bytes), 0, this.#options));
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Relies on: the type parameters were generated from the object that the layouts come from. */
function unsafeTyped<T>(value: BtfValue): T {
  return value as T;
}
