// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BpfError, type BpfObject, decodeValue, openObject } from "../src/index.ts";
import { buildObjects, objectPath } from "./support.ts";

buildObjects();

const MUTANTS = Number(process.env["LIBBPF_TS_MUTANTS"] ?? 1500);

/** xorshift32: the same mutants for the same seed. */
function randomFrom(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e37_79b1) | 1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

function mutate(whole: Uint8Array, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const bytes = Uint8Array.from(whole);
  const changes = 1 + (random() % 8);
  for (let change = 0; change < changes; change++) {
    const at = random() % bytes.length;
    const choices = [0, 0xff, (bytes[at] ?? 0) ^ (1 << (random() & 7)), random() & 0xff];
    bytes[at] = choices[random() % choices.length] ?? 0;
  }
  return bytes;
}

function openAndRead(bytes: Uint8Array): void {
  using object = openObject(bytes);
  for (const globals of [object.rodata, object.data, object.bss]) {
    for (const { name } of globals.variables) {
      globals.get(name);
    }
  }
  readTypes(object);
}

/** Every type of the object laid out, and a value of it read from zeros. */
function readTypes(object: BpfObject): void {
  if (!object.types.isPresent) {
    return;
  }
  const { btf } = object.types;
  for (let id = 1; id < btf.typeCount; id++) {
    const layout = object.types.layout(id);
    if (layout.bytes < 4096) {
      decodeValue(layout, new DataView(new ArrayBuffer(layout.bytes)), 0);
    }
  }
}

test(`${MUTANTS} damaged objects open, or are refused with a typed error`, () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  for (const name of ["ring", "iter", "maps"]) {
    const whole = readFileSync(objectPath(name));
    for (let mutant = 0; mutant < MUTANTS; mutant++) {
      try {
        openAndRead(mutate(whole, seed + mutant));
      } catch (error) {
        const isTyped = error instanceof BpfError && error.code !== "INTERNAL";
        assert.ok(isTyped, `SEED=${seed + mutant} ${name}: ${String(error)}`);
      }
    }
  }
});
