// SPDX-License-Identifier: Apache-2.0
import { Btf } from "./btf.ts";
import { ElfFile } from "./elf.ts";
import { BpfError } from "./errors.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { unknownName } from "./nearest.ts";

/** The types of an object file, read when they are first asked for. */
export class ObjectTypes {
  readonly #section: Uint8Array | undefined;
  #btf: Btf | undefined;

  /** Keeps the file's types and nothing else of it. */
  constructor(file: Uint8Array) {
    this.#section = typesSection(file);
  }

  get isPresent(): boolean {
    return this.#section !== undefined;
  }

  /** @throws BpfError `OPEN` when the object was compiled without `-g`, or is damaged. */
  get btf(): Btf {
    if (this.#section === undefined) {
      throw new BpfError({
        code: "OPEN",
        message: "types: the object has no BTF. Compile it with -g.",
      });
    }
    this.#btf ??= Btf.parse(this.#section);
    return this.#btf;
  }

  /** The layout of a type by its id. */
  layout(typeId: number): Layout {
    return layoutOf(this.btf, typeId);
  }

  /** The layout of a struct, union, enum or typedef by name. */
  layoutNamed(name: string): Layout {
    const id = this.btf.find(name);
    if (id === undefined) {
      throw unknownName("type", name, this.btf.names());
    }
    return this.layout(id);
  }
}

function typesSection(file: Uint8Array): Uint8Array | undefined {
  try {
    using elf = ElfFile.over("object", file);
    const section = elf.section(".BTF");
    return section === undefined ? undefined : elf.readSection(section).slice();
  } catch {
    // libbpf reads damaged files that this reader does not; they have no types then.
    return undefined;
  }
}
