// SPDX-License-Identifier: Apache-2.0
import { ElfFile } from "./elf.ts";
import { BpfError } from "./errors.ts";
import { GoFunctionTable } from "./go-pclntab.ts";
import { native } from "./native.ts";
import { unknownName } from "./nearest.ts";

/** A function of a program or library, where a uprobe goes. */
export interface FunctionOffset {
  /** As in the file; demangle it for people. */
  readonly symbol: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

interface Candidate {
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
  readonly isIndirect: boolean;
}

const MANGLED = /^(?:_Z|_R|\?)/;

/** `std::vec<int>::push(int) const` without its arguments: `std::vec<int>::push`. */
function withoutArguments(name: string): string {
  const end = name.lastIndexOf(")");
  let depth = 0;
  for (let at = end; at >= 0; at--) {
    depth += name[at] === ")" ? 1 : name[at] === "(" ? -1 : 0;
    if (depth === 0) {
      return end < 0 ? name : name.slice(0, at);
    }
  }
  return name;
}

function isDemangled(name: string): boolean {
  return name.includes("::") || name.includes("(");
}

/** `*` stands for any characters, `?` for one; everything else for itself. */
function globPattern(glob: string): RegExp {
  const escaped = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
}

/**
 * Finds functions of an ELF file by name: `.dynsym`, `.symtab`, Go's own table in stripped Go
 * programs; C++ and Rust also by their demangled names, with or without arguments.
 */
export class FunctionIndex {
  readonly #elf: ElfFile;
  #goTable: GoFunctionTable | undefined;
  #isGoRead = false;

  private constructor(elf: ElfFile) {
    this.#elf = elf;
  }

  /**
   * @param path For a process in another mount namespace: `/proc/<pid>/root/…` or `/proc/<pid>/exe`.
   * @throws BpfError `OPEN` when it cannot be read or is not ELF.
   */
  static open(path: string): FunctionIndex {
    return new FunctionIndex(ElfFile.open(path));
  }

  get buildId(): string | undefined {
    return this.#elf.buildId;
  }

  /**
   * The places of a function: more than one where overloads share the name, none but an error
   * where there is none.
   *
   * @throws BpfError `UNKNOWN_NAME`, with the nearest name; `ARGUMENT` for an indirect function
   *   (ifunc), whose address is a resolver.
   */
  find(name: string): readonly FunctionOffset[] {
    const found = this.#candidates(name);
    const places = this.#places(found);
    if (places.length > 0) {
      return places;
    }
    if (found.length > 0) {
      throw new BpfError({
        code: "ARGUMENT",
        message:
          `function "${name}" in ${this.#elf.path}: it is chosen at run time (ifunc), so that its ` +
          "symbol is not its code. Probe one of its variants by offset.",
      });
    }
    const names = new Set<string>();
    for (const each of this.#all()) {
      names.add(isDemangled(name) ? native.demangle(each.name) : each.name);
    }
    throw unknownName("function", name, [...names]);
  }

  /** All functions whose name (or demangled name, where the pattern has `::`) fits a glob. */
  matching(glob: string): readonly FunctionOffset[] {
    const pattern = globPattern(glob);
    const readable = isDemangled(glob);
    const found: Candidate[] = [];
    for (const each of this.#all()) {
      const name = readable && MANGLED.test(each.name) ? native.demangle(each.name) : each.name;
      if (pattern.test(name)) {
        found.push(each);
      }
    }
    return this.#places(found);
  }

  /** All functions, each once a name. */
  functions(): readonly FunctionOffset[] {
    return this.#places([...this.#all()]);
  }

  close(): void {
    this.#elf.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #candidates(name: string): readonly Candidate[] {
    const exact = this.#elf.functionsNamed(name);
    if (exact.length > 0) {
      return exact;
    }
    const found: Candidate[] = [];
    if (isDemangled(name)) {
      for (const each of this.#elf.functions()) {
        if (MANGLED.test(each.name)) {
          const readable = native.demangle(each.name);
          if (readable === name || withoutArguments(readable) === name) {
            found.push(each);
          }
        }
      }
    }
    return found.length > 0 ? found : [...this.#goFunctions()].filter((each) => each.name === name);
  }

  *#all(): Generator<Candidate, void, void> {
    yield* this.#elf.functions();
    if (!this.#elf.hasSymbolTable) {
      yield* this.#goFunctions();
    }
  }

  *#goFunctions(): Generator<Candidate, void, void> {
    if (!this.#isGoRead) {
      this.#isGoRead = true;
      this.#goTable = GoFunctionTable.read(this.#elf);
    }
    for (const each of this.#goTable?.functions() ?? []) {
      yield { ...each, isIndirect: false };
    }
  }

  #places(candidates: readonly Candidate[]): readonly FunctionOffset[] {
    const places = new Map<string, FunctionOffset>();
    for (const { name, address, bytes, isIndirect } of candidates) {
      const offset = this.#elf.fileOffset(address);
      if (!isIndirect && offset !== undefined) {
        places.set(`${name} ${offset}`, { symbol: name, offset, bytes });
      }
    }
    return [...places.values()];
  }
}

/** The one place of a function. For several of a file use one {@link FunctionIndex}. */
export function functionOffset(path: string, name: string): FunctionOffset {
  using index = FunctionIndex.open(path);
  const [first, ...others] = index.find(name);
  if (first === undefined || others.some((each) => each.offset !== first.offset)) {
    const places = [first, ...others].map((each) => native.demangle(each?.symbol ?? ""));
    throw new BpfError({
      code: "ARGUMENT",
      message: `function "${name}" in ${path}: ${places.length} have that name: ${places.slice(0, 4).join(", ")}. Give one with its arguments, or an offset.`,
    });
  }
  return first;
}

/** A C++ or Rust name as people write it; any other name as it is. */
export function demangle(name: string): string {
  return native.demangle(name);
}

/** The GNU build id of an ELF file in hexadecimal; undefined when it has none. */
export function buildIdOf(path: string): string | undefined {
  using elf = ElfFile.open(path);
  return elf.buildId;
}
