// SPDX-License-Identifier: Apache-2.0
import { gzipSync } from "node:zlib";
import { ProtoWriter } from "../../src/pdata/proto-writer.ts";

/** A function at a line, and what it is called from. */
export interface Frame {
  readonly name: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** Values of one stack, its innermost frame first. */
export interface Sample {
  readonly stack: readonly Frame[];
  readonly values: readonly number[];
}

export interface Profile {
  /** What each value is: type and unit. */
  readonly types: readonly (readonly [string, string])[];
  readonly samples: Iterable<Sample>;
  readonly timeMs: number;
  readonly durationMs: number;
  /** Of the sampling: type, unit, and so much of it between two samples. */
  readonly period: readonly [string, string, number];
}

const NS_PER_MS = 1_000_000n;
/** Tags of the messages of google/pprof, profile.proto. */
const PROFILE = {
  sampleType: 0x0a,
  sample: 0x12,
  location: 0x22,
  function: 0x2a,
  string: 0x32,
  timeNanos: 0x48,
  durationNanos: 0x50,
  periodType: 0x5a,
  period: 0x60,
} as const;
const VALUE_TYPE = { type: 0x08, unit: 0x10 } as const;
const SAMPLE = { location: 0x08, value: 0x10 } as const;
const LOCATION = { id: 0x08, line: 0x22 } as const;
const LINE = { function: 0x08, line: 0x10 } as const;
const FUNCTION = { id: 0x08, name: 0x10, systemName: 0x18, file: 0x20 } as const;

/** A profile as `go tool pprof` and others read it: gzip of a `perftools.profiles.Profile`. */
export function encodeProfile(profile: Profile): Buffer {
  return new Encoder(profile).encode();
}

class Encoder {
  readonly #profile: Profile;
  readonly #out = new ProtoWriter();
  readonly #strings = new Map<string, number>([["", 0]]);
  readonly #functions = new Map<string, number>();
  readonly #locations = new Map<string, number>();

  constructor(profile: Profile) {
    this.#profile = profile;
  }

  encode(): Buffer {
    const out = this.#out;
    const { types, samples, timeMs, durationMs, period } = this.#profile;
    for (const [type, unit] of types) this.#valueType(PROFILE.sampleType, type, unit);
    for (const sample of samples) this.#sample(sample);
    this.#nanos(PROFILE.timeNanos, timeMs);
    this.#nanos(PROFILE.durationNanos, durationMs);
    this.#valueType(PROFILE.periodType, period[0], period[1]);
    this.#number(PROFILE.period, Math.round(period[2]));
    for (const value of this.#strings.keys()) out.stringField(PROFILE.string, value);
    return gzipSync(out.take());
  }

  #valueType(tag: number, type: string, unit: string): void {
    const start = this.#out.beginMessage(tag);
    this.#number(VALUE_TYPE.type, this.#string(type));
    this.#number(VALUE_TYPE.unit, this.#string(unit));
    this.#out.endMessage(start);
  }

  #sample({ stack, values }: Sample): void {
    // Locations are written before, as a message cannot be written within another.
    const ids = stack.map((frame) => this.#location(frame));
    const start = this.#out.beginMessage(PROFILE.sample);
    for (const id of ids) this.#number(SAMPLE.location, id);
    for (const value of values) this.#number(SAMPLE.value, Math.round(value));
    this.#out.endMessage(start);
  }

  #location(frame: Frame): number {
    const key = `${frame.name}\0${frame.file}\0${frame.line}`;
    const known = this.#locations.get(key);
    if (known !== undefined) return known;
    const id = this.#locations.size + 1;
    this.#locations.set(key, id);
    const functionId = this.#function(frame);
    const start = this.#out.beginMessage(PROFILE.location);
    this.#number(LOCATION.id, id);
    const line = this.#out.beginMessage(LOCATION.line);
    this.#number(LINE.function, functionId);
    this.#number(LINE.line, Math.max(0, frame.line));
    this.#out.endMessage(line);
    this.#out.endMessage(start);
    return id;
  }

  #function({ name, file }: Frame): number {
    const key = `${name}\0${file}`;
    const known = this.#functions.get(key);
    if (known !== undefined) return known;
    const id = this.#functions.size + 1;
    this.#functions.set(key, id);
    const start = this.#out.beginMessage(PROFILE.function);
    this.#number(FUNCTION.id, id);
    this.#number(FUNCTION.name, this.#string(name));
    this.#number(FUNCTION.systemName, this.#string(name));
    this.#number(FUNCTION.file, this.#string(file));
    this.#out.endMessage(start);
    return id;
  }

  #string(value: string): number {
    const known = this.#strings.get(value);
    if (known !== undefined) return known;
    this.#strings.set(value, this.#strings.size);
    return this.#strings.size - 1;
  }

  #number(tag: number, value: number): void {
    this.#out.reserve(11);
    this.#out.byte(tag);
    this.#out.varint(value);
  }

  /** Nanoseconds since 1970 are more than a number holds exactly. */
  #nanos(tag: number, timeMs: number): void {
    this.#out.reserve(11);
    this.#out.byte(tag);
    let rest = BigInt(Math.round(timeMs)) * NS_PER_MS;
    for (; rest > 0x7fn; rest >>= 7n) this.#out.byte(Number(rest & 0x7fn) | 0x80);
    this.#out.byte(Number(rest));
  }
}
