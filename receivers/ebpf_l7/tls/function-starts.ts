// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "libbpf-ts";

/** `DW_EH_PE_pcrel | DW_EH_PE_sdata4`: 32 bits from where they stand. */
const FROM_HERE = 0x1b;
const FUNCTIONS_MAX = 4_000_000;

/**
 * Where functions start, by the records that unwinding needs and `strip` leaves. Linux Standard Base,
 * "Exception Frames": each function's record points back at one that says how addresses are written.
 */
export class FunctionStarts {
  readonly #starts: Float64Array;

  private constructor(starts: Float64Array) {
    this.#starts = starts;
  }

  /** Undefined for a file without such records, or with addresses that are written otherwise. */
  static read(file: ElfFile): FunctionStarts | undefined {
    const section = file.section(".eh_frame");
    if (section === undefined) return undefined;
    const starts = startsIn(Buffer.from(file.readSection(section)), section.address);
    return starts.length === 0
      ? undefined
      : new FunctionStarts(Float64Array.from(starts).sort((one, other) => one - other));
  }

  /** The start of the last function that starts at or before `address`. */
  of(address: number): number | undefined {
    const starts = this.#starts;
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    return starts[low - 1];
  }
}

/** `address`: of the first byte. */
export function startsIn(records: Buffer, address: number): readonly number[] {
  const starts: number[] = [];
  const isUsual = new Map<number, boolean>();
  for (let at = 0; at + 12 <= records.length && starts.length < FUNCTIONS_MAX; ) {
    const bytes = records.readUInt32LE(at);
    // The end of one object file's records; longer ones than 4 GiB are not read.
    if (bytes === 0) {
      at += 4;
      continue;
    }
    if (bytes === 0xffffffff || bytes < 8) break;
    const back = records.readUInt32LE(at + 4);
    if (back === 0) isUsual.set(at, encodingOf(records, at + 8) === FROM_HERE);
    else if (isUsual.get(at + 4 - back) === true) {
      starts.push(address + at + 8 + records.readInt32LE(at + 8));
    }
    at += 4 + bytes;
  }
  return starts;
}

/** How a common record says that addresses are written: behind its text, by the letters of that. */
function encodingOf(records: Buffer, start: number): number | undefined {
  const end = records.indexOf(0, start + 1);
  const letters = records.toString("latin1", start + 1, end);
  if (end < 0 || !letters.startsWith("z")) return undefined;
  let at = end + 1;
  // Alignment of code and of data, the register of the return address, the size of what follows.
  for (let number = 0; number < 4; number++) {
    while ((records[at] ?? 0) >= 0x80) at++;
    at++;
  }
  for (const letter of letters.slice(1)) {
    if (letter === "R") return records[at];
    if (letter === "L") at += 1;
    else if (letter === "P") at += 5;
    else if (letter !== "S" && letter !== "B") return undefined;
  }
  return undefined;
}
