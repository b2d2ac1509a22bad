// SPDX-License-Identifier: Apache-2.0
import { guarded } from "./failure.ts";
import { type NativeSymbol, type NativeSymbolizer, native } from "./native.ts";
import { hasFile, type ProcessMapping, ProcessMemory } from "./process-memory.ts";
import { SymbolFiles } from "./symbol-files.ts";

/** A function that was inlined at an address. */
export interface InlinedFrame {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

/** What an address is. Without a name, `reason` says why. */
export interface SymbolFrame {
  readonly address: bigint;
  /** Demangled; undefined when nothing names it. */
  readonly name: string | undefined;
  /** The program or library as the process sees it, `[kernel]`, or `[jit]`. */
  readonly module: string | undefined;
  /** Bytes from the start of the function. */
  readonly offset: number;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly buildId?: string | undefined;
  /** Outermost first: what the function called that became part of it. */
  readonly inlined: readonly InlinedFrame[];
  readonly reason?: string | undefined;
}

export interface SymbolizerOptions {
  /** Lines, columns and inlined functions from debug information; true if not given. */
  readonly codeInfo?: boolean;
  /** Where separate debug files lie; `/usr/lib/debug` and the like if not given. */
  readonly debugFolders?: readonly string[];
  /** Programs and libraries that are kept open; 256 if not given. */
  readonly filesMax?: number;
  /** Processes whose mappings are kept, ended ones included; 1,024 if not given. */
  readonly processesMax?: number;
}

export interface SymbolizeOptions {
  /**
   * The addresses are a stack, innermost first: all but the first are return addresses, and the
   * call is before them.
   */
  readonly isStack?: boolean;
}

interface Wanted {
  readonly index: number;
  readonly address: bigint;
  /** Address in the process, a byte earlier for a caller. */
  readonly lookUp: number;
}

function unknown(address: bigint, module: string | undefined, reason: string): SymbolFrame {
  return { address, name: undefined, module, offset: 0, inlined: [], reason };
}

/**
 * Names for addresses of processes, files and the kernel. Reads ELF symbols and DWARF by blazesym,
 * Go's own table in stripped Go programs, and perf maps of runtimes. Keeps the files open that it
 * has seen, so that it names the stacks of processes that have ended since, and reaches those in
 * other mount namespaces.
 */
export class Symbolizer {
  readonly #native: NativeSymbolizer;
  readonly #files: SymbolFiles;
  readonly #processes = new Map<number, ProcessMemory>();
  readonly #processesMax: number;

  constructor(options: SymbolizerOptions = {}) {
    const { codeInfo = true, debugFolders, filesMax = 256, processesMax = 1024 } = options;
    this.#native = native.NativeSymbolizer.create(
      codeInfo,
      debugFolders === undefined ? undefined : [...debugFolders],
    );
    this.#files = new SymbolFiles(this.#native, filesMax);
    this.#processesMax = processesMax;
  }

  /** One answer each, in order. Never throws for an address; the frame says why it has no name. */
  process(
    pid: number,
    addresses: Iterable<bigint>,
    options: SymbolizeOptions = {},
  ): readonly SymbolFrame[] {
    const wanted = toWanted(addresses, options);
    const frames: SymbolFrame[] = wanted.map(({ address }) =>
      unknown(address, undefined, "unmapped"),
    );
    const memory = this.#memory(pid);
    const byFile = new Map<string, { mapping: ProcessMapping; wanted: Wanted[] }>();
    for (const each of wanted) {
      const mapping = memory.find(each.lookUp);
      if (mapping !== undefined && hasFile(mapping)) {
        const group = byFile.get(mapping.fileId) ?? { mapping, wanted: [] };
        group.wanted.push(each);
        byFile.set(mapping.fileId, group);
      } else {
        frames[each.index] = runtimeFrame(memory, each, mapping);
      }
    }
    for (const { mapping, wanted: group } of byFile.values()) {
      this.#symbolizeFile({ memory, mapping, wanted: group, frames });
    }
    return frames;
  }

  /** Addresses as in the file (`p_vaddr`), of a program that need not run. */
  file(path: string, addresses: Iterable<bigint>): readonly SymbolFrame[] {
    const wanted = [...addresses];
    const symbols = this.#files.atPath(path, wanted);
    return wanted.map((address, index) => toFrame(address, path, symbols[index]));
  }

  /** Needs CAP_SYSLOG or `kernel.kptr_restrict=0`, else the kernel hides its addresses. */
  kernel(addresses: Iterable<bigint>): readonly SymbolFrame[] {
    const wanted = BigUint64Array.from(addresses);
    const symbols = guarded({ code: "KERNEL", operation: "read kernel symbols" }, () =>
      this.#native.kernel(wanted),
    );
    return [...wanted].map((address, index) => toFrame(address, "[kernel]", symbols[index]));
  }

  /** Drops what is known of a process. */
  forget(pid: number): void {
    this.#processes.delete(pid);
  }

  /** Closes the files. A second call does nothing. */
  close(): void {
    this.#files.close();
    this.#processes.clear();
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #memory(pid: number): ProcessMemory {
    const known = this.#processes.get(pid);
    if (known !== undefined && !known.isEmpty && !known.isReplaced) {
      // Used last: the one that was not used for longest goes first.
      this.#processes.delete(pid);
      this.#processes.set(pid, known);
      return known;
    }
    const memory = new ProcessMemory(pid);
    this.#processes.set(pid, memory);
    const [oldest] = this.#processes.keys();
    if (this.#processes.size > this.#processesMax && oldest !== undefined) {
      this.#processes.delete(oldest);
    }
    return memory;
  }

  #symbolizeFile(parts: {
    readonly memory: ProcessMemory;
    readonly mapping: ProcessMapping;
    readonly wanted: readonly Wanted[];
    readonly frames: SymbolFrame[];
  }): void {
    const { memory, wanted, frames } = parts;
    const file = this.#files.ofMapping(memory.pid, parts.mapping);
    const { path } = parts.mapping;
    if (file === undefined) {
      for (const { index, address } of wanted) {
        frames[index] = unknown(address, path, "the file cannot be read");
      }
      return;
    }
    const places = wanted.map(({ lookUp }) => {
      const mapping = memory.find(lookUp) ?? parts.mapping;
      return BigInt(file.elf.virtualAddress(lookUp - mapping.start + mapping.offset) ?? 0);
    });
    const symbols = this.#files.symbols(file, places);
    for (const [position, { index, address }] of wanted.entries()) {
      const frame = toFrame(address, path, symbols[position]);
      frames[index] = { ...frame, buildId: file.buildId };
    }
  }
}

function toWanted(addresses: Iterable<bigint>, options: SymbolizeOptions): readonly Wanted[] {
  return [...addresses].map((address, index) => ({
    index,
    address,
    lookUp: Number(address) - (options.isStack === true && index > 0 ? 1 : 0),
  }));
}

function runtimeFrame(
  memory: ProcessMemory,
  { address, lookUp }: Wanted,
  mapping: ProcessMapping | undefined,
): SymbolFrame {
  const found = memory.runtimeFunction(lookUp);
  if (found === undefined) {
    const module = mapping?.path || undefined;
    return unknown(address, module, mapping === undefined ? "unmapped" : "no perf map names it");
  }
  const offset = Number(address) - found.start;
  return { address, name: found.name, module: "[jit]", offset, inlined: [] };
}

function toFrame(address: bigint, module: string, symbol: NativeSymbol | undefined): SymbolFrame {
  if (symbol === undefined || symbol.name === "") {
    return unknown(address, module, symbol?.reason ?? "not found");
  }
  const { name, offset, file, line, column, inlined } = symbol;
  return { address, name, module, offset, file, line, column, inlined };
}
