// SPDX-License-Identifier: Apache-2.0

/** A JSON value that does not fit its field. */
export class JsonMismatch extends Error {}

export function toText(value: unknown): string {
  if (typeof value !== "string") throw new JsonMismatch("expected a string");
  return value;
}

/** Hex of exactly `bytes` bytes, or nothing. */
export function unhex(value: unknown, bytes: number): Uint8Array {
  const text = toText(value);
  if (text === "") return new Uint8Array(0);
  if (text.length !== bytes * 2 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new JsonMismatch(`expected ${bytes * 2} hex digits`);
  }
  return Buffer.from(text, "hex");
}

const NAMED_DOUBLES: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

const DECIMAL = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** A double: a number, its text, or `NaN`, `Infinity`, `-Infinity` as protobuf's JSON mapping. */
export function toNumber(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") {
    const named = NAMED_DOUBLES[value];
    if (named !== undefined) return named;
    if (DECIMAL.test(value)) return Number(value);
  }
  throw new JsonMismatch("expected a number");
}

export interface IntegerRange {
  readonly min: bigint;
  readonly max: bigint;
}

/** An integer as a number or as decimal text. */
export function toInteger(value: unknown, range: IntegerRange): bigint {
  let integer: bigint;
  if (typeof value === "number" && Number.isInteger(value)) integer = BigInt(value);
  else if (typeof value === "string" && /^-?\d{1,20}$/.test(value)) integer = BigInt(value);
  else throw new JsonMismatch("expected an integer");
  if (integer < range.min || integer > range.max) {
    throw new JsonMismatch(`out of range: expected ${range.min} to ${range.max}`);
  }
  return integer;
}
