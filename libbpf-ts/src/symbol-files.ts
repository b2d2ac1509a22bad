// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";

import { ElfFile } from "./elf.ts";
import { guarded, toBpfError } from "./failure.ts";
import { GoFunctionTable } from "./go-pclntab.ts";
import type { NativeSymbol, NativeSymbolizer } from "./native.ts";
import type { ProcessMapping } from "./process-memory.ts";

/** A program or library that is held open: it can be read when its process and path are gone. */
export interface SymbolFile {
  readonly elf: ElfFile;
  readonly buildId: string | undefined;
  readonly path: string;
  readonly go: GoFunctionTable | undefined;
}

interface Held extends SymbolFile {
  readonly descriptor: number;
}

function openMapping(pid: number, mapping: ProcessMapping): number | undefined {
  const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  // The first names exactly the mapped file, in any mount namespace and when it is deleted.
  for (const path of [`/proc/${pid}/map_files/${range}`, `/proc/${pid}/root${mapping.path}`]) {
    try {
      return openSync(path, "r");
    } catch {
      // The other way may work.
    }
  }
  return undefined;
}

/** Open files by device and inode, the ones not used for longest closed first. */
export class SymbolFiles {
  readonly #native: NativeSymbolizer;
  readonly #filesMax: number;
  readonly #files = new Map<string, Held | undefined>();

  constructor(symbolizer: NativeSymbolizer, filesMax: number) {
    this.#native = symbolizer;
    this.#filesMax = filesMax;
  }

  /** Undefined when it cannot be opened or is not ELF, which is remembered. */
  ofMapping(pid: number, mapping: ProcessMapping): SymbolFile | undefined {
    const known = this.#files.get(mapping.fileId);
    const isKnown = this.#files.delete(mapping.fileId);
    const file = isKnown ? known : this.#open(pid, mapping);
    this.#files.set(mapping.fileId, file);
    const [oldest] = this.#files.entries();
    if (this.#files.size > this.#filesMax && oldest !== undefined) {
      this.#files.delete(oldest[0]);
      if (oldest[1] !== undefined) {
        closeSync(oldest[1].descriptor);
      }
    }
    return file;
  }

  /** One answer an address; what fails for the file is the reason of each. */
  symbols(file: SymbolFile, addresses: readonly bigint[]): readonly NativeSymbol[] {
    let found: readonly NativeSymbol[];
    try {
      found = this.#native.file(file.path, BigUint64Array.from(addresses), true);
    } catch (cause) {
      const reason = toBpfError({ code: "KERNEL", operation: "read symbols" }, cause).message;
      found = addresses.map(() => ({ name: "", address: 0, offset: 0, reason, inlined: [] }));
    }
    return withGo(file.go, addresses, found);
  }

  atPath(path: string, addresses: readonly bigint[]): readonly NativeSymbol[] {
    const wanted = BigUint64Array.from(addresses);
    using elf = ElfFile.open(path);
    const found = guarded({ code: "OPEN", operation: `read symbols of ${path}` }, () =>
      this.#native.file(path, wanted, true),
    );
    return withGo(GoFunctionTable.read(elf), addresses, found);
  }

  close(): void {
    for (const file of this.#files.values()) {
      if (file !== undefined) {
        closeSync(file.descriptor);
      }
    }
    this.#files.clear();
  }

  #open(pid: number, mapping: ProcessMapping): Held | undefined {
    const descriptor = openMapping(pid, mapping);
    if (descriptor === undefined) {
      return undefined;
    }
    const path = `/proc/self/fd/${descriptor}`;
    try {
      const elf = ElfFile.over(mapping.path, descriptor);
      const { buildId } = elf;
      return { descriptor, path, elf, buildId, go: GoFunctionTable.read(elf) };
    } catch {
      closeSync(descriptor);
      return undefined;
    }
  }
}

/** Go's own table names what the symbol table does not. */
function withGo(
  go: GoFunctionTable | undefined,
  addresses: readonly bigint[],
  found: readonly NativeSymbol[],
): readonly NativeSymbol[] {
  if (go === undefined) {
    return found;
  }
  return found.map((symbol, index) => {
    const address = Number(addresses[index] ?? 0n);
    const known = symbol.name === "" ? go.find(address) : undefined;
    if (known === undefined) {
      return symbol;
    }
    const { name, address: start } = known;
    return { name, address: start, offset: address - start, inlined: [], ...go.line(address) };
  });
}
