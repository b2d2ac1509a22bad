// SPDX-License-Identifier: Apache-2.0
import { endianness } from "node:os";

import { BpfError } from "./errors.ts";
import { guarded, toBpfError } from "./failure.ts";
import { MappedMemory } from "./mapped-memory.ts";
import { preparePin } from "./mounts.ts";
import { type NativeMap, type NativeMapInfo, type NativeSnapshot, native } from "./native.ts";

const LITTLE = endianness() === "LE";

/** `BPF_MAP_TYPE_*` of `linux/bpf.h`, as far as this package names them. */
export const MAP_TYPE = {
  hash: 1,
  array: 2,
  programArray: 3,
  perfEventArray: 4,
  percpuHash: 5,
  percpuArray: 6,
  stackTrace: 7,
  cgroupArray: 8,
  lruHash: 9,
  lruPercpuHash: 10,
  lpmTrie: 11,
  arrayOfMaps: 12,
  hashOfMaps: 13,
  sockmap: 15,
  sockhash: 18,
  queue: 22,
  stack: 23,
  socketStorage: 24,
  ringbuf: 27,
  inodeStorage: 28,
  taskStorage: 29,
  bloomFilter: 30,
  userRingbuf: 31,
  cgroupStorage: 32,
  arena: 33,
} as const;

/** `BPF_ANY` inserts or replaces; the other two refuse one of these with EEXIST or ENOENT. */
export const UPDATE_FLAG = { any: 0, noExist: 1, exist: 2 } as const;

/** `BPF_F_*` flags of map creation. */
export const MAP_FLAG = {
  /** Allocate entries as they come; LPM tries and storage maps must have it. */
  noPreallocation: 0x1,
  readOnlyForProgram: 0x80,
  mmapable: 0x400,
} as const;

export interface MapCreateOptions {
  /** A number of {@link MAP_TYPE} or any other `BPF_MAP_TYPE_*`. */
  readonly type: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  /** `map_extra`: the number of hash functions of a bloom filter. */
  readonly extra?: number;
  /** A map of the shape that a map of maps takes. */
  readonly inner?: BpfMap;
}

/**
 * A loaded map, by raw bytes. Keys and values are the bytes that the BPF program sees, in the
 * host's byte order. The handle is its own: it lives until `close`, or until the object that it
 * came from is closed.
 */
export class BpfMap {
  readonly #native: NativeMap;
  readonly #info: NativeMapInfo;
  readonly #transferBytes: number;

  private constructor(handle: NativeMap) {
    this.#native = handle;
    this.#info = handle.info();
    this.#transferBytes =
      this.#info.valueCopies === 1
        ? this.#info.valueBytes
        : Math.ceil(this.#info.valueBytes / 8) * 8 * this.#info.valueCopies;
  }

  /** Creates a map that belongs to no object file. */
  static create(options: MapCreateOptions): BpfMap {
    const { type, name, keySize, valueSize, maxEntries, flags, extra, inner } = options;
    return guarded({ code: "MAP", operation: `create map "${name}"` }, () =>
      BpfMap.fromNative(
        native.NativeMap.create(
          type,
          name,
          keySize,
          valueSize,
          maxEntries,
          flags ?? 0,
          extra ?? 0,
          inner?.nativeHandle,
        ),
      ),
    );
  }

  /** A map that was pinned, perhaps by a process that has ended. */
  static openPinned(path: string): BpfMap {
    return guarded({ code: "MAP", operation: `open pinned map ${path}` }, () =>
      BpfMap.fromNative(native.NativeMap.openPinned(path)),
    );
  }

  /** A map of this machine by the kernel's id (needs CAP_SYS_ADMIN). */
  static openId(id: number): BpfMap {
    return guarded({ code: "MAP", operation: `open map ${id}` }, () =>
      BpfMap.fromNative(native.NativeMap.openId(id)),
    );
  }

  /** For this package: takes over a native handle. */
  static fromNative(handle: NativeMap): BpfMap {
    return new BpfMap(handle);
  }

  /** For this package: the handle, for calls that take another map. */
  get nativeHandle(): NativeMap {
    return this.#native;
  }

  /** The kernel's name: at most 15 characters. */
  get name(): string {
    return this.#info.name;
  }

  get type(): number {
    return this.#info.type;
  }

  get id(): number {
    return this.#info.id;
  }

  /** Bytes of a key. */
  get keySize(): number {
    return this.#info.keyBytes;
  }

  /** Bytes of one value; a per-CPU map has `possibleCpus()` of them, see {@link getPerCpu}. */
  get valueSize(): number {
    return this.#info.valueBytes;
  }

  get maxEntries(): number {
    return this.#info.entriesMax;
  }

  get flags(): number {
    return this.#info.flags;
  }

  /** The file descriptor; it belongs to this object. */
  get fd(): number {
    return guarded(this.#context("fd"), () => this.#native.fd);
  }

  /**
   * The value of a key, or undefined when there is none. With `out` (of `valueSize` bytes, or of
   * all copies for a per-CPU map) nothing is allocated and `out` is returned.
   */
  get(
    key: Uint8Array,
    out: Uint8Array = new Uint8Array(this.#transferBytes),
  ): Uint8Array | undefined {
    try {
      return this.#native.get(key, out) ? out : undefined;
    } catch (cause) {
      throw toBpfError(this.#context("get"), cause);
    }
  }

  /** The value on each possible CPU, in CPU order: views of one buffer. */
  getPerCpu(key: Uint8Array, out?: Uint8Array): readonly Uint8Array[] | undefined {
    const all = this.get(key, out);
    return all === undefined ? undefined : this.#copies(all, 0);
  }

  /** Writes a value; `flags` is one of {@link UPDATE_FLAG}. A full hash map refuses with E2BIG. */
  set(key: Uint8Array, value: Uint8Array, flags: number = UPDATE_FLAG.any): void {
    try {
      this.#native.set(key, value, flags);
    } catch (cause) {
      throw toBpfError(this.#context("set"), cause);
    }
  }

  /** Writes the value of each possible CPU, in CPU order. */
  setPerCpu(key: Uint8Array, values: readonly Uint8Array[], flags: number = UPDATE_FLAG.any): void {
    const copies = this.#info.valueCopies;
    const isRight =
      values.length === copies && values.every((each) => each.length === this.valueSize);
    if (!isRight) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `set map "${this.name}": ${copies} values of ${this.valueSize} bytes are wanted.`,
      });
    }
    const all = new Uint8Array(this.#transferBytes);
    for (const [cpu, value] of values.entries()) {
      all.set(value, cpu * (this.#transferBytes / copies));
    }
    this.set(key, all, flags);
  }

  /** Reads a value and deletes it; of a queue or stack with an empty key. Undefined when there is none. */
  take(
    key: Uint8Array,
    out: Uint8Array = new Uint8Array(this.#transferBytes),
  ): Uint8Array | undefined {
    return guarded(this.#context("take"), () => (this.#native.take(key, out) ? out : undefined));
  }

  /** Writes many entries by one system call: keys one after the other, and values likewise. */
  setBatch(keys: Uint8Array, values: Uint8Array, flags: number = UPDATE_FLAG.any): number {
    return guarded(this.#context("batch set"), () => this.#native.setBatch(keys, values, flags));
  }

  /** Deletes many keys by one system call; a key that is not there stops it with ENOENT. */
  deleteBatch(keys: Uint8Array): number {
    return guarded(this.#context("batch delete"), () => this.#native.deleteBatch(keys));
  }

  /** All entries as two slabs, keys one after the other and values likewise: the fastest reading. */
  readAll(): { readonly count: number; readonly keys: Uint8Array; readonly values: Uint8Array } {
    return this.#snapshot();
  }

  /** Reads and deletes all entries in the kernel's batches; only hash maps can. */
  takeAll(): readonly (readonly [key: Uint8Array, value: Uint8Array])[] {
    const slabs = guarded(this.#context("take all"), () => this.#native.takeAll());
    return [...this.#pairs(slabs)];
  }

  /** Puts a map into a map of maps. */
  setInner(key: Uint8Array, inner: BpfMap): void {
    this.set(key, new Uint8Array(new Uint32Array([inner.fd]).buffer));
  }

  /** The map that a map of maps holds at a key; a handle that the caller closes. */
  getInner(key: Uint8Array): BpfMap | undefined {
    const value = this.get(key);
    if (value === undefined) {
      return undefined;
    }
    const id = new DataView(value.buffer, value.byteOffset).getUint32(0, LITTLE);
    return BpfMap.openId(id);
  }

  /** The addresses of a stack in a stack trace map, innermost first; undefined when it is gone. */
  getStack(id: number): BigUint64Array | undefined {
    const bytes = this.get(new Uint8Array(new Uint32Array([id]).buffer));
    if (bytes === undefined) {
      return undefined;
    }
    const addresses = new BigUint64Array(bytes.buffer);
    const end = addresses.indexOf(0n);
    return end < 0 ? addresses : addresses.subarray(0, end);
  }

  /** Keeps the map in the kernel under a path of bpffs, which is mounted when it is missing. */
  pin(path: string): void {
    preparePin(path);
    guarded(this.#context(`pin at ${path}`), () => this.#native.pin(path));
  }

  /** Makes it read-only for user space, for ever. */
  freeze(): void {
    guarded(this.#context("freeze"), () => this.#native.freeze());
  }

  /** False when there was no such key. */
  delete(key: Uint8Array): boolean {
    try {
      return this.#native.delete(key);
    } catch (cause) {
      throw toBpfError(this.#context("delete"), cause);
    }
  }

  /** The keys at the time of the call, so that entries may be deleted while iterating. */
  *keys(): Generator<Uint8Array, void, void> {
    const { count, keys } = this.#snapshot();
    const size = this.keySize;
    for (let index = 0; index < count; index++) {
      yield keys.subarray(index * size, (index + 1) * size);
    }
  }

  /**
   * Keys and values at the time of the call. The value of a per-CPU map holds all copies, each
   * rounded up to 8 bytes.
   */
  *entries(): Generator<readonly [key: Uint8Array, value: Uint8Array], void, void> {
    yield* this.#pairs(this.#snapshot());
  }

  /** As {@link entries}, with the value of each possible CPU apart. */
  *entriesPerCpu(): Generator<
    readonly [key: Uint8Array, values: readonly Uint8Array[]],
    void,
    void
  > {
    for (const [key, all] of this.entries()) {
      yield [key, this.#copies(all, 0)];
    }
  }

  [Symbol.iterator](): Generator<readonly [key: Uint8Array, value: Uint8Array], void, void> {
    return this.entries();
  }

  /**
   * Maps an array map's memory, so that it is read (and written) without a system call. Only for
   * array maps with `BPF_F_MMAPABLE`; entries lie `round up(valueSize, 8)` bytes apart.
   */
  mmap(options: { readonly writable?: boolean } = {}): MappedMemory {
    const mappable = this.type === MAP_TYPE.array && (this.flags & MAP_FLAG.mmapable) !== 0;
    if (!mappable) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `mmap map "${this.name}": only an array map with BPF_F_MMAPABLE can be mapped.`,
      });
    }
    const bytes = Math.ceil(this.valueSize / 8) * 8 * this.maxEntries;
    return this.mmapRegion({ offset: 0, bytes, writable: options.writable ?? false });
  }

  /** Maps part of a map's memory; `offset` is a multiple of the page. What lies there is the kernel's. */
  mmapRegion(region: {
    readonly offset: number;
    readonly bytes: number;
    readonly writable: boolean;
  }): MappedMemory {
    const page = native.pageBytes();
    const rounded = Math.ceil(region.bytes / page) * page;
    const buffer = guarded(this.#context("mmap"), () =>
      this.#native.mmap(region.offset, rounded, region.writable),
    );
    return new MappedMemory(buffer, region.bytes);
  }

  /** Frees the handle; mapped memory stays valid. A second call does nothing. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #copies(all: Uint8Array, start: number): readonly Uint8Array[] {
    const step = Math.ceil(this.valueSize / 8) * 8;
    return Array.from({ length: this.#info.valueCopies }, (_, cpu) =>
      all.subarray(start + cpu * step, start + cpu * step + this.valueSize),
    );
  }

  *#pairs(slabs: NativeSnapshot): Generator<readonly [Uint8Array, Uint8Array], void, void> {
    const { count, keys, values } = slabs;
    const size = this.keySize;
    const step = this.#transferBytes;
    for (let index = 0; index < count; index++) {
      yield [
        keys.subarray(index * size, (index + 1) * size),
        values.subarray(index * step, (index + 1) * step),
      ];
    }
  }

  #snapshot(): NativeSnapshot {
    return guarded(this.#context("iterate"), () => this.#native.snapshot());
  }

  #context(operation: string): { readonly code: "MAP"; readonly operation: string } {
    return { code: "MAP", operation: `${operation} map "${this.name}"` };
  }
}
