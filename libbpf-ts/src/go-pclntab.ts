// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "./elf.ts";

/** The magic numbers of Go 1.16, 1.18 and 1.20 (`internal/abi/symtab.go`). */
const MAGIC_1_16 = 0xfffffffa;
const MAGIC_1_18 = 0xfffffff0;
const MAGIC_1_20 = 0xfffffff1;
const SECTION_NAMES = [".gopclntab", ".data.rel.ro.gopclntab"];
/** Fields of `runtime.moduledata` up to `text`, since Go 1.16: a pointer and six slices before. */
const MODULE_FIND_FUNC = 152;
const MODULE_MIN_PC = 160;
const MODULE_TEXT = 176;
const FUNCTIONS_MAX = 10_000_000;

export interface GoFunction {
  readonly name: string;
  /** Virtual address as in the file. */
  readonly address: number;
  readonly bytes: number;
}

export interface GoLine {
  readonly file: string;
  readonly line: number;
}

/**
 * Function names and lines of a Go program by its runtime's own table, which `strip` cannot remove.
 * Go 1.16 and later, 64 bit.
 */
export class GoFunctionTable {
  readonly #table: Buffer;
  readonly #isOld: boolean;
  readonly #quantum: number;
  readonly #textStart: number;
  readonly #count: number;
  readonly #names: number;
  readonly #units: number;
  readonly #files: number;
  readonly #programCounters: number;
  readonly #functions: number;

  private constructor(table: Buffer, textStartOf: (first: number) => number) {
    const magic = table.readUInt32LE(0);
    const word = (index: number): number => Number(table.readBigUInt64LE(8 + index * 8));
    this.#table = table;
    this.#isOld = magic === MAGIC_1_16;
    this.#quantum = table.readUInt8(6);
    this.#count = Math.min(word(0), FUNCTIONS_MAX);
    const rest = this.#isOld ? 2 : 3;
    this.#names = word(rest);
    this.#units = word(rest + 1);
    this.#files = word(rest + 2);
    this.#programCounters = word(rest + 3);
    this.#functions = word(rest + 4);
    const inHeader = this.#isOld ? 0 : word(2);
    this.#textStart = this.#isOld || inHeader !== 0 ? inHeader : textStartOf(this.#entry(0));
  }

  /** Undefined for a file that is not a Go program, or whose table is of another make. */
  static read(elf: ElfFile): GoFunctionTable | undefined {
    const section = SECTION_NAMES.map((name) => elf.section(name)).find((each) => each);
    if (section === undefined || section.bytes < 80) {
      return undefined;
    }
    const bytes = elf.readSection(section);
    const table = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const magic = table.readUInt32LE(0);
    const isKnown = magic === MAGIC_1_16 || magic === MAGIC_1_18 || magic === MAGIC_1_20;
    if (!isKnown || table.readUInt8(7) !== 8) {
      return undefined;
    }
    const textStart = (first: number): number =>
      moduleText(elf, section.address, first) ?? elf.section(".text")?.address ?? 0;
    return insideTable(() => new GoFunctionTable(table, textStart));
  }

  /** All functions, by rising address. */
  *functions(): Generator<GoFunction, void, void> {
    for (let index = 0; index < this.#count; index++) {
      const found = insideTable(() => this.#function(index));
      if (found !== undefined) {
        yield found;
      }
    }
  }

  /** The function whose code an address is in; undefined when there is none. */
  find(address: number): GoFunction | undefined {
    return insideTable(() => {
      const index = this.#indexOf(address);
      return index === undefined ? undefined : this.#function(index);
    });
  }

  /** The source line of an address; undefined when the table does not say. */
  line(address: number): GoLine | undefined {
    return insideTable(() => {
      const index = this.#indexOf(address);
      if (index === undefined) {
        return undefined;
      }
      const at = this.#record(index);
      const entryBytes = this.#isOld ? 8 : 4;
      const field = (number: number): number =>
        this.#table.readUInt32LE(at + entryBytes + number * 4);
      const entry = this.#entry(index) + this.#textStart;
      const line = this.#valueAt(field(5), entry, address);
      const fileNumber = this.#valueAt(field(4), entry, address);
      if (line === undefined || fileNumber === undefined) {
        return undefined;
      }
      const unit = this.#units + (field(7) + fileNumber) * 4;
      const file = this.#string(this.#files + this.#table.readUInt32LE(unit));
      return { file, line };
    });
  }

  #indexOf(address: number): number | undefined {
    const wanted = address - this.#textStart;
    if (this.#count === 0 || wanted < this.#entry(0) || wanted >= this.#entry(this.#count)) {
      return undefined;
    }
    let low = 0;
    let high = this.#count;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#entry(middle) <= wanted) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #entry(index: number): number {
    const at = this.#functions + index * (this.#isOld ? 16 : 8);
    return this.#isOld ? Number(this.#table.readBigUInt64LE(at)) : this.#table.readUInt32LE(at);
  }

  #record(index: number): number {
    const at = this.#functions + index * (this.#isOld ? 16 : 8);
    const offset = this.#isOld
      ? Number(this.#table.readBigUInt64LE(at + 8))
      : this.#table.readUInt32LE(at + 4);
    return this.#functions + offset;
  }

  #function(index: number): GoFunction {
    const entry = this.#entry(index);
    const nameOffset = this.#table.readInt32LE(this.#record(index) + (this.#isOld ? 8 : 4));
    return {
      name: this.#string(this.#names + nameOffset),
      address: entry + this.#textStart,
      bytes: this.#entry(index + 1) - entry,
    };
  }

  #string(start: number): string {
    const end = this.#table.indexOf(0, start);
    return this.#table.toString("utf8", start, end < 0 ? this.#table.length : end);
  }

  /** Runs a table of value and address deltas (`runtime/symtab.go`, `pcvalue`) up to an address. */
  #valueAt(offset: number, entry: number, address: number): number | undefined {
    if (offset === 0) {
      return undefined;
    }
    let at = this.#programCounters + offset;
    let value = -1;
    let programCounter = entry;
    const varint = (): number => {
      let result = 0;
      for (let shift = 0; shift < 35; shift += 7) {
        const byte = this.#table.readUInt8(at++);
        result |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
          break;
        }
      }
      return result >>> 0;
    };
    for (let isFirst = true; ; isFirst = false) {
      const delta = varint();
      if (delta === 0 && !isFirst) {
        return undefined;
      }
      value += (delta & 1) === 0 ? delta >>> 1 : ~(delta >>> 1);
      programCounter += varint() * this.#quantum;
      if (address < programCounter) {
        return value;
      }
    }
  }
}

/** Undefined where a damaged table points outside of itself. */
function insideTable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof RangeError) {
      return undefined;
    }
    throw cause;
  }
}

/**
 * `runtime.moduledata.text`. Since Go 1.26 the table's header no longer says where the text starts,
 * and with C code linked in it is not where `.text` does. Undefined when the structure is not found,
 * as in a program whose pointers are filled in at load.
 */
function moduleText(elf: ElfFile, tableAddress: number, firstEntry: number): number | undefined {
  const needle = Buffer.alloc(8);
  needle.writeBigUInt64LE(BigInt(tableAddress));
  for (const name of [".go.module", ".noptrdata", ".data", ".data.rel.ro"]) {
    const section = elf.section(name);
    const data = section === undefined ? undefined : Buffer.from(elf.readSection(section));
    for (let at = data?.indexOf(needle) ?? -1; data && at >= 0; at = data.indexOf(needle, at + 8)) {
      if (at + MODULE_TEXT + 8 > data.length) {
        break;
      }
      const text = Number(data.readBigUInt64LE(at + MODULE_TEXT));
      const minimum = Number(data.readBigUInt64LE(at + MODULE_MIN_PC));
      const isPlausible = data.readBigUInt64LE(at + MODULE_FIND_FUNC) !== 0n && text !== 0;
      if (isPlausible && minimum === text + firstEntry) {
        return text;
      }
    }
  }
  return undefined;
}
