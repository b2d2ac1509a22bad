// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { ElfFile, FunctionIndex } from "libbpf-ts";
import { RUNTIME_PYTHON } from "../../../bpf/generated/wire.ts";
import type { RuntimePlan, RuntimeRefusal } from "./plan.ts";

/** By minor version of Python 3, from the headers of CPython, 64 bit. */
interface Layout {
  /** autoTSSkey in `_PyRuntimeState`. */
  readonly threadKey: number;
  /** context in `PyThreadState`. */
  readonly context: number;
}

const LAYOUTS: ReadonlyMap<number, Layout> = new Map([
  [8, { threadKey: 1392, context: 240 }],
  [9, { threadKey: 584, context: 240 }],
  [10, { threadKey: 584, context: 240 }],
  [11, { threadKey: 592, context: 224 }],
  [12, { threadKey: 1544, context: 208 }],
  [13, { threadKey: 2160, context: 208 }],
]);
/** struct pthread of glibc on x86_64: specific_1stblock, of 32 pairs of a number and a value. */
const GLIBC_FIRST_BLOCK = 0x310;
const GLIBC_FIRST_KEYS = 32;
const MACHINE_X86_64 = 62;
const SYMBOL_BYTES = 24;

interface Mapping {
  readonly start: number;
  readonly offset: number;
  readonly path: string;
}

/** How to follow a CPython process; undefined when it is none. */
export function planPython(pid: number): RuntimePlan | RuntimeRefusal | undefined {
  const mappings = mappingsOf(pid);
  const library = mappings.find(
    ({ path, offset }) => offset === 0 && /\/libpython3\.\d+[a-z]*\.so[^/]*$/.test(path),
  );
  const exe = readlinkSync(`/proc/${pid}/exe`);
  const program = library ?? mappings.find(({ path, offset }) => offset === 0 && path === exe);
  const minor = minorOf(library?.path ?? exe) ?? minorOf(mappings.map((one) => one.path).join(" "));
  if (program === undefined || minor === undefined) return undefined;
  const version = `3.${minor}`;
  const layout = LAYOUTS.get(minor);
  if (layout === undefined) return { refused: `Python ${version}: its layouts are not known` };
  if (mappings.some(({ path }) => path.includes("/ld-musl-"))) {
    return { refused: "its C library is musl, whose threads are laid out in another way" };
  }
  const path = library === undefined ? `/proc/${pid}/exe` : `/proc/${pid}/root${library.path}`;
  const file = ElfFile.open(path);
  try {
    if (file.machine !== MACHINE_X86_64) return { refused: "only x86_64 is known" };
    const runtime = dataSymbol(file, "_PyRuntime");
    if (runtime === undefined) return { refused: "it does not export _PyRuntime" };
    const base = program.start - pageOf(file.segments[0]?.address ?? 0);
    const key = threadKey(pid, base + runtime + layout.threadKey);
    if (key === undefined) return { refused: `Python ${version}: its thread key is not found` };
    using index = FunctionIndex.open(path);
    const [copied] = index.find("PyContext_CopyCurrent");
    if (copied === undefined) return { refused: "it does not export PyContext_CopyCurrent" };
    return {
      ...{ kind: RUNTIME_PYTHON, version, path },
      probes: [{ program: "python_copied", offset: copied.offset }],
      threadState: GLIBC_FIRST_BLOCK + key * 16 + 8,
      context: layout.context,
    };
  } finally {
    file.close();
  }
}

function minorOf(text: string): number | undefined {
  const found = /python3\.(\d+)/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

function pageOf(address: number): number {
  return address - (address % 4096);
}

function mappingsOf(pid: number): readonly Mapping[] {
  const found: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
    const match = /^([0-9a-f]+)-\S+ \S+ ([0-9a-f]+) \S+ \d+ +(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, start = "", offset = "", path = ""] = match;
    found.push({ start: Number.parseInt(start, 16), offset: Number.parseInt(offset, 16), path });
  }
  return found;
}

/** Address of a variable as in the file; what programs may link to is also in a stripped one. */
function dataSymbol(file: ElfFile, name: string): number | undefined {
  const table = file.section(".dynsym");
  const text = table === undefined ? undefined : file.sections[table.link];
  if (table === undefined || text === undefined) return undefined;
  const names = Buffer.from(file.readSection(text));
  const symbols = Buffer.from(file.readSection(table));
  const wanted = Buffer.from(`\0${name}\0`);
  const nameAt = names.indexOf(wanted) + 1;
  if (nameAt === 0) return undefined;
  for (let at = 0; at + SYMBOL_BYTES <= symbols.length; at += SYMBOL_BYTES) {
    if (symbols.readUInt32LE(at) === nameAt) return Number(symbols.readBigUInt64LE(at + 8));
  }
  return undefined;
}

/** The POSIX thread key under which each thread keeps its PyThreadState (Py_tss_t). */
function threadKey(pid: number, address: number): number | undefined {
  const bytes = Buffer.alloc(8);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    if (readSync(memory, bytes, 0, 8, address) !== 8) return undefined;
  } finally {
    closeSync(memory);
  }
  const key = bytes.readUInt32LE(4);
  return bytes.readInt32LE(0) === 1 && key < GLIBC_FIRST_KEYS ? key : undefined;
}
