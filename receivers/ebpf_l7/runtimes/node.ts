// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { ElfFile } from "libbpf-ts";
import { RUNTIME_NODE } from "../../../bpf/generated/wire.ts";
import type { RuntimePlan, RuntimeRefusal } from "./plan.ts";

const MACHINE_X86_64 = 62;
/** Bytes of `uv_default_loop` in which it loads the variable that holds the loop. */
const LOAD_WITHIN = 32;
/** In `uv_loop_t` and `uv_handle_t` of libuv 1, 64 bit. */
const LOOP_HANDLES = 16;
const HANDLE_LOOP = 8;
const HANDLE_QUEUE = 32;
const HANDLES_MAX = 64;
/** The event loop's own handles are part of Node's Environment, as is what is looked for: bytes. */
const NEARBY = 16_384;
const WORD = 8;
/** `async_id_fields`: doubles. */
const IDS = 4;
const NOT_SET = -1;

/** Memory of another process; undefined where there is none. */
type ReadMemory = (address: number, bytes: number) => Buffer | undefined;

/** Where the code of `uv_default_loop` is, by program file: reading its symbols takes long. */
const places = new Map<string, { address: number; firstSegment: number } | undefined>();
const PLACES_MAX = 64;

/**
 * How to follow a Node process: by the ids of its asynchronous resources. Undefined when it is none;
 * a refusal may be one for now only, while it starts.
 */
export function planNode(pid: number): Omit<RuntimePlan, "slot"> | RuntimeRefusal | undefined {
  const path = `/proc/${pid}/exe`;
  const place = placeOf(path);
  if (place === undefined) return undefined;
  const base = /^([0-9a-f]+)-/.exec(readFileSync(`/proc/${pid}/maps`, "utf8"))?.[1];
  const shift = Number.parseInt(base ?? "0", 16) - (place.firstSegment & ~4095);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    const table = findIds((address, bytes) => read(memory, address, bytes), place.address + shift);
    if (table === undefined) return { refused: "its async ids are not found" };
    return { kind: RUNTIME_NODE, version: "node", path, probes: [], table: BigInt(table) };
  } finally {
    closeSync(memory);
  }
}

function placeOf(path: string): { address: number; firstSegment: number } | undefined {
  const { dev, ino, mtimeMs } = statSync(path);
  const key = `${dev} ${ino} ${mtimeMs}`;
  if (places.has(key)) return places.get(key);
  if (places.size >= PLACES_MAX) places.clear();
  const file = ElfFile.open(path);
  try {
    const [loop] = file.machine === MACHINE_X86_64 ? file.functionsNamed("uv_default_loop") : [];
    const firstSegment = file.segments[0]?.address ?? 0;
    const place = loop === undefined ? undefined : { address: loop.address, firstSegment };
    places.set(key, place);
    return place;
  } finally {
    file.close();
  }
}

/**
 * From the code of `uv_default_loop` to its variable, the loop, the handles that are part of Node's
 * Environment, and there to the one array of four doubles that can be async ids.
 */
function findIds(memory: ReadMemory, codeAddress: number): number | undefined {
  const code = memory(codeAddress, LOAD_WITHIN + WORD);
  const variable = code === undefined ? undefined : loadedFrom(code, codeAddress);
  const loop = variable === undefined ? undefined : readWord(memory, variable);
  if (loop === undefined || loop === 0) return undefined;
  const found = new Set<number>();
  let at = readWord(memory, loop + LOOP_HANDLES);
  for (let count = 0; count < HANDLES_MAX; count++) {
    if (at === undefined || at === loop + LOOP_HANDLES) break;
    const handle = at - HANDLE_QUEUE;
    if (readWord(memory, handle + HANDLE_LOOP) !== loop) break;
    for (const ids of idsNear(memory, handle)) found.add(ids);
    at = readWord(memory, at);
  }
  return found.size === 1 ? [...found][0] : undefined;
}

/** The variable in `mov REGISTER, [rip + DISTANCE]`, the first such instruction. */
export function loadedFrom(code: Buffer, address: number): number | undefined {
  for (let at = 0; at + 7 <= code.length && at < LOAD_WITHIN; at++) {
    const isWide = code[at] === 0x48 || code[at] === 0x4c;
    if (!isWide || code[at + 1] !== 0x8b || ((code[at + 2] ?? 0) & 0xc7) !== 0x05) continue;
    return address + at + 7 + code.readInt32LE(at + 3);
  }
  return undefined;
}

/** An AliasedBuffer's fields one after the other: count 4, offset 0, address. */
function* idsNear(memory: ReadMemory, handle: number): Generator<number> {
  for (let page = handle - NEARBY; page < handle + NEARBY; page += 4096) {
    const words = memory(page, 4096 + 2 * WORD);
    if (words === undefined) continue;
    for (let at = 0; at < 4096; at += WORD) {
      if (word(words, at) !== IDS || word(words, at + WORD) !== 0) continue;
      const address = word(words, at + 2 * WORD);
      if (address >= 4096 && address < 2 ** 47 && address % WORD === 0) {
        if (areIds(memory(address, IDS * WORD))) yield address;
      }
    }
  }
}

/** What runs, what began it, the newest, and what overrides the second: -1 for not. */
function areIds(bytes: Buffer | undefined): boolean {
  if (bytes === undefined) return false;
  const [runs, began, newest, other] = [0, 1, 2, 3].map((index) => bytes.readDoubleLE(8 * index));
  if (runs === undefined || began === undefined) return false;
  if (newest === undefined || other === undefined) return false;
  const isId = (id: number): boolean => Number.isInteger(id) && id >= 0 && id <= newest;
  return newest >= 1 && isId(runs) && isId(began) && (other === NOT_SET || isId(other));
}

function readWord(memory: ReadMemory, address: number): number | undefined {
  const bytes = memory(address, WORD);
  return bytes === undefined ? undefined : word(bytes, 0);
}

/** Addresses and counts; what is larger is neither. */
function word(bytes: Buffer, at: number): number {
  if (at + WORD > bytes.length) return Number.POSITIVE_INFINITY;
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

function read(memory: number, address: number, bytes: number): Buffer | undefined {
  const buffer = Buffer.alloc(bytes);
  try {
    return readSync(memory, buffer, 0, bytes, address) === bytes ? buffer : undefined;
  } catch {
    return undefined;
  }
}
