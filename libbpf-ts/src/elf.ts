// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

import { BpfError } from "./errors.ts";

/** `SHT_*`, `PT_*`, `STT_*` of `elf.h`, as far as they are read here. */
const SECTION_SYMTAB = 2;
const SECTION_NOTE = 7;
const SECTION_NOBITS = 8;
const SECTION_DYNSYM = 11;
const SEGMENT_LOAD = 1;
const SYMBOL_FUNCTION = 2;
const SYMBOL_INDIRECT_FUNCTION = 10;
const NOTE_BUILD_ID = 3;
const SYMBOL_BYTES = 24;
/** A section larger than this is damage, not a program. */
const SECTION_BYTES_MAX = 1 << 30;
const SECTIONS_MAX = 65_536;

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly address: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly link: number;
}

/** A part of the file that is loaded into memory. */
export interface ElfSegment {
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

export interface ElfSymbol {
  /** As in the symbol table: not demangled. */
  readonly name: string;
  /** Virtual address as in the file. */
  readonly address: number;
  readonly bytes: number;
  /** Its address is a resolver that runs once (`STT_GNU_IFUNC`), not the function. */
  readonly isIndirect: boolean;
}

function damaged(path: string, what: string): BpfError {
  return new BpfError({
    code: "OPEN",
    message: `${path}: not a usable ELF file: ${what}. Give a 64 bit little-endian program or library.`,
  });
}

/** Reads an ELF file piece by piece: symbols, notes and sections, as they are asked for. */
export class ElfFile {
  readonly path: string;
  readonly sections: readonly ElfSection[];
  readonly segments: readonly ElfSegment[];
  /** `EM_*`. */
  readonly machine: number;
  readonly #source: number | Uint8Array;
  readonly #fileBytes: number;
  readonly #ownsDescriptor: boolean;
  #isOpen = true;

  private constructor(path: string, source: number | Uint8Array, ownsDescriptor: boolean) {
    this.path = path;
    this.#source = source;
    this.#ownsDescriptor = ownsDescriptor;
    this.#fileBytes = typeof source === "number" ? fstatSync(source).size : source.length;
    const header = this.#read(0, 64);
    if (header.getUint32(0) !== 0x7f454c46) {
      throw damaged(path, "it does not begin as one");
    }
    if (header.getUint8(4) !== 2 || header.getUint8(5) !== 1) {
      throw damaged(path, "it is not 64 bit little-endian");
    }
    this.machine = header.getUint16(18, true);
    this.segments = this.#readSegments(header);
    this.sections = this.#readSections(header);
  }

  /** @throws BpfError `OPEN` when it cannot be read or is not ELF. */
  static open(path: string): ElfFile {
    let descriptor: number;
    try {
      descriptor = openSync(path, "r");
    } catch (cause) {
      const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
      throw new BpfError({ code: "OPEN", message: `open ${path}: ${reason}.`, cause });
    }
    try {
      return new ElfFile(path, descriptor, true);
    } catch (cause) {
      closeSync(descriptor);
      throw cause instanceof BpfError ? cause : damaged(path, String(cause));
    }
  }

  /** Over bytes in memory, or a descriptor that stays the caller's. */
  static over(path: string, source: number | Uint8Array): ElfFile {
    try {
      return new ElfFile(path, source, false);
    } catch (cause) {
      throw cause instanceof BpfError ? cause : damaged(path, String(cause));
    }
  }

  section(name: string): ElfSection | undefined {
    return this.sections.find((each) => each.name === name);
  }

  /** The bytes of a section; empty for one without any in the file (`.bss`). */
  readSection(section: ElfSection): Uint8Array {
    if (section.type === SECTION_NOBITS) {
      return new Uint8Array(0);
    }
    const view = this.#read(section.offset, section.bytes);
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  }

  /** Where a virtual address of the file lies in the file; undefined when it is not in it. */
  fileOffset(address: number): number | undefined {
    const found = this.segments.find(
      (each) => address >= each.address && address < each.address + each.bytes,
    );
    return found === undefined ? undefined : address - found.address + found.offset;
  }

  /** The virtual address of a place in the file; undefined when it is not loaded. */
  virtualAddress(fileOffset: number): number | undefined {
    const found = this.segments.find(
      (each) => fileOffset >= each.offset && fileOffset < each.offset + each.bytes,
    );
    return found === undefined ? undefined : fileOffset - found.offset + found.address;
  }

  /** The GNU build id in hexadecimal; undefined when the file has none. */
  get buildId(): string | undefined {
    for (const section of this.sections) {
      if (section.type !== SECTION_NOTE) {
        continue;
      }
      const notes = Buffer.from(this.readSection(section));
      for (let at = 0; at + 12 <= notes.length; ) {
        const nameBytes = notes.readUInt32LE(at);
        const descriptionBytes = notes.readUInt32LE(at + 4);
        const name = notes.toString("latin1", at + 12, at + 12 + nameBytes);
        const start = at + 12 + Math.ceil(nameBytes / 4) * 4;
        if (notes.readUInt32LE(at + 8) === NOTE_BUILD_ID && name === "GNU\0") {
          return notes.toString("hex", start, start + descriptionBytes);
        }
        at = start + Math.ceil(descriptionBytes / 4) * 4;
      }
    }
    return undefined;
  }

  get hasSymbolTable(): boolean {
    return this.sections.some((each) => each.type === SECTION_SYMTAB);
  }

  /** The defined functions of `.symtab` and `.dynsym`; one that is in both comes twice. */
  *functions(): Generator<ElfSymbol, void, void> {
    for (const { symbols, names } of this.#symbolTables()) {
      for (let at = 0; at + SYMBOL_BYTES <= symbols.byteLength; at += SYMBOL_BYTES) {
        if (isDefinedFunction(symbols, at)) {
          const start = symbols.getUint32(at, true);
          const end = names.indexOf(0, start);
          const name = names.toString("utf8", start, end < 0 ? names.length : end);
          yield toSymbol(symbols, at, name);
        }
      }
    }
  }

  /** The functions of exactly that name, without making a string of every other. */
  functionsNamed(name: string): readonly ElfSymbol[] {
    const found: ElfSymbol[] = [];
    const wanted = Buffer.from(`${name}\0`);
    for (const { symbols, names } of this.#symbolTables()) {
      const starts = new Set<number>();
      for (let at = names.indexOf(wanted); at >= 0; at = names.indexOf(wanted, at + 1)) {
        starts.add(at);
      }
      for (let at = 0; at + SYMBOL_BYTES <= symbols.byteLength && starts.size > 0; ) {
        if (starts.has(symbols.getUint32(at, true)) && isDefinedFunction(symbols, at)) {
          found.push(toSymbol(symbols, at, name));
        }
        at += SYMBOL_BYTES;
      }
    }
    return found;
  }

  /** A second call does nothing. */
  close(): void {
    if (this.#isOpen && this.#ownsDescriptor && typeof this.#source === "number") {
      closeSync(this.#source);
    }
    this.#isOpen = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  *#symbolTables(): Generator<{ readonly symbols: DataView; readonly names: Buffer }, void, void> {
    for (const section of this.sections) {
      const names = this.sections[section.link];
      if ((section.type === SECTION_SYMTAB || section.type === SECTION_DYNSYM) && names) {
        const strings = this.#read(names.offset, names.bytes);
        yield {
          symbols: this.#read(section.offset, section.bytes),
          names: Buffer.from(strings.buffer, strings.byteOffset, strings.byteLength),
        };
      }
    }
  }

  #readSegments(header: DataView): readonly ElfSegment[] {
    const count = header.getUint16(56, true);
    const step = header.getUint16(54, true);
    if (count === 0 || step < 56) {
      return [];
    }
    const table = this.#read(Number(header.getBigUint64(32, true)), count * step);
    const all: ElfSegment[] = [];
    for (let at = 0; at < count * step; at += step) {
      if (table.getUint32(at, true) === SEGMENT_LOAD) {
        all.push({
          offset: Number(table.getBigUint64(at + 8, true)),
          address: Number(table.getBigUint64(at + 16, true)),
          bytes: Number(table.getBigUint64(at + 32, true)),
        });
      }
    }
    return all;
  }

  #readSections(header: DataView): readonly ElfSection[] {
    const start = Number(header.getBigUint64(40, true));
    const step = header.getUint16(58, true);
    const count = header.getUint16(60, true);
    if (start === 0 || count === 0 || step < 64 || count > SECTIONS_MAX) {
      return [];
    }
    const table = this.#read(start, count * step);
    const word = (at: number): number => Number(table.getBigUint64(at, true));
    const at = (index: number): number => index * step;
    const namesAt = at(header.getUint16(62, true));
    if (namesAt + step > table.byteLength) {
      throw damaged(this.path, "its section names are missing");
    }
    const strings = this.#read(word(namesAt + 24), word(namesAt + 32));
    const names = Buffer.from(strings.buffer, strings.byteOffset, strings.byteLength);
    return Array.from({ length: count }, (_, index) => {
      const start = table.getUint32(at(index), true);
      const end = names.indexOf(0, start);
      return {
        name: names.toString("latin1", start, end < 0 ? names.length : end),
        type: table.getUint32(at(index) + 4, true),
        address: word(at(index) + 16),
        offset: word(at(index) + 24),
        bytes: word(at(index) + 32),
        link: table.getUint32(at(index) + 40, true),
      };
    });
  }

  #read(offset: number, bytes: number): DataView {
    if (!this.#isOpen) {
      throw new BpfError({ code: "CLOSED", message: `${this.path}: the file is closed.` });
    }
    if (bytes > SECTION_BYTES_MAX || offset + bytes > this.#fileBytes) {
      throw damaged(this.path, "a part of it lies outside of the file");
    }
    if (typeof this.#source !== "number") {
      return new DataView(this.#source.buffer, this.#source.byteOffset + offset, bytes);
    }
    const out = new Uint8Array(bytes);
    for (let done = 0; done < bytes; ) {
      const got = readSync(this.#source, out, done, bytes - done, offset + done);
      if (got === 0) {
        throw damaged(this.path, "it ends too early");
      }
      done += got;
    }
    return new DataView(out.buffer);
  }
}

function isDefinedFunction(symbols: DataView, at: number): boolean {
  const type = symbols.getUint8(at + 4) & 0xf;
  const isFunction = type === SYMBOL_FUNCTION || type === SYMBOL_INDIRECT_FUNCTION;
  return isFunction && symbols.getUint16(at + 6, true) !== 0;
}

function toSymbol(symbols: DataView, at: number, name: string): ElfSymbol {
  return {
    name,
    address: Number(symbols.getBigUint64(at + 8, true)),
    bytes: Number(symbols.getBigUint64(at + 16, true)),
    isIndirect: (symbols.getUint8(at + 4) & 0xf) === SYMBOL_INDIRECT_FUNCTION,
  };
}
