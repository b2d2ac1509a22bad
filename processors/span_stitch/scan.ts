// SPDX-License-Identifier: Apache-2.0
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64 } from "../../src/pdata/wire.ts";
import { keyKind } from "./key.ts";

// Field numbers of opentelemetry/proto/trace/v1/trace.proto and its collector service.
const RESOURCE_SPANS = 1;
const SCOPE_SPANS = 2;
const SPANS = 2;
const TRACE_ID = 1;
const SPAN_ID = 2;
const PARENT_SPAN_ID = 4;
const START_TIME = 7;
const END_TIME = 8;
const ATTRIBUTES = 9;

const ROWS_FIRST = 512;
const TWO_32 = 2 ** 32;

/** Gives a group for what a ScopeSpans says beside its spans; see `Groups.intern`. */
export type InternGroup = (resource: Uint8Array, scope: Uint8Array) => number;

/** Is the field an id that the processor writes itself? */
export function isIdField(field: number): boolean {
  return field === TRACE_ID || field === SPAN_ID || field === PARENT_SPAN_ID;
}

/** Bytes collected from ranges, in one array that is used again. */
class Scratch {
  #bytes: Uint8Array = new Uint8Array(1024);
  #length = 0;

  clear(): void {
    this.#length = 0;
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length = length;
  }

  get view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * Finds our spans in one chunk without an object a span: after `scan`, the first `count` rows of
 * the columns describe them. Nothing is changed, so a chunk that turns out malformed at its end
 * can still be passed on whole.
 */
export class Scanner {
  /** Our spans. */
  count = 0;
  /** Spans that are not ours, those with a broken key among them. */
  others = 0;
  /** Spans with a `stitch.key` that could not be used. */
  brokenKeys = 0;
  bodyAt: Int32Array = new Int32Array(ROWS_FIRST);
  keyAt: Int32Array = new Int32Array(ROWS_FIRST);
  bodyEnd: Int32Array = new Int32Array(ROWS_FIRST);
  group: Int32Array = new Int32Array(ROWS_FIRST);
  /** 1 where an id field stands behind other fields. */
  isScattered: Uint8Array = new Uint8Array(ROWS_FIRST);
  startNs: Float64Array = new Float64Array(ROWS_FIRST);
  endNs: Float64Array = new Float64Array(ROWS_FIRST);

  readonly #intern: InternGroup;
  readonly #request = new FieldReader();
  readonly #resourceSpans = new FieldReader();
  readonly #scopeSpans = new FieldReader();
  readonly #span = new FieldReader();
  readonly #resource = new Scratch();
  readonly #scope = new Scratch();

  constructor(intern: InternGroup) {
    this.#intern = intern;
  }

  /** False: malformed above the spans; nothing of the chunk may be used. */
  scan(bytes: Uint8Array): boolean {
    this.count = 0;
    this.others = 0;
    this.brokenKeys = 0;
    const request = this.#request.reset(bytes, 0, bytes.length);
    while (request.next()) {
      if (request.field !== RESOURCE_SPANS || request.wireType !== WIRE_BYTES) continue;
      if (!this.#scanResource(bytes, request.start, request.stop)) return false;
    }
    return request.errorAt < 0;
  }

  #scanResource(bytes: Uint8Array, start: number, stop: number): boolean {
    const reader = this.#resourceSpans;
    const resource = this.#resource;
    resource.clear();
    let scopes = 0;
    reader.reset(bytes, start, stop);
    while (reader.next()) {
      if (reader.field === SCOPE_SPANS && reader.wireType === WIRE_BYTES) scopes++;
      else resource.add(bytes, reader.tagAt, reader.position);
    }
    if (reader.errorAt >= 0) return false;
    if (scopes === 0) return true;
    reader.reset(bytes, start, stop);
    while (reader.next()) {
      if (reader.field !== SCOPE_SPANS || reader.wireType !== WIRE_BYTES) continue;
      if (!this.#scanScope(bytes, reader.start, reader.stop)) return false;
    }
    return true;
  }

  #scanScope(bytes: Uint8Array, start: number, stop: number): boolean {
    const reader = this.#scopeSpans.reset(bytes, start, stop);
    const scope = this.#scope;
    scope.clear();
    const first = this.count;
    while (reader.next()) {
      if (reader.field === SPANS && reader.wireType === WIRE_BYTES) {
        this.#scanSpan(bytes, reader.start, reader.stop);
      } else {
        scope.add(bytes, reader.tagAt, reader.position);
      }
    }
    if (reader.errorAt >= 0) return false;
    if (this.count > first) {
      this.group.fill(this.#intern(this.#resource.view, scope.view), first, this.count);
    }
    return true;
  }

  /** Adds a row when the span's first attribute is a key; else stops reading there. */
  #scanSpan(bytes: Uint8Array, start: number, stop: number): void {
    const reader = this.#span.reset(bytes, start, stop);
    let bodyAt = start;
    let keyAt = -1;
    let scattered = 0;
    let startNs = 0;
    let endNs = 0;
    while (reader.next()) {
      const field = reader.field;
      if (field === ATTRIBUTES) {
        if (keyAt >= 0) continue;
        const kind = keyKind(bytes, reader.tagAt, reader.position);
        if (kind !== "key") {
          this.others++;
          if (kind === "malformed") this.brokenKeys++;
          return;
        }
        keyAt = reader.tagAt;
      } else if (isIdField(field)) {
        if (bodyAt === reader.tagAt) bodyAt = reader.position;
        else scattered = 1;
      } else if (field === START_TIME && reader.wireType === WIRE_FIXED64) {
        startNs = readFixed64(bytes, reader.start);
      } else if (field === END_TIME && reader.wireType === WIRE_FIXED64) {
        endNs = readFixed64(bytes, reader.start);
      }
    }
    if (keyAt < 0 || reader.errorAt >= 0) {
      this.others++;
      if (keyAt >= 0) this.brokenKeys++;
      return;
    }
    if (this.count === this.bodyAt.length) this.#grow();
    const row = this.count++;
    this.bodyAt[row] = bodyAt;
    this.keyAt[row] = keyAt;
    this.bodyEnd[row] = stop;
    this.isScattered[row] = scattered;
    this.startNs[row] = startNs;
    this.endNs[row] = endNs;
  }

  #grow(): void {
    const rows = this.bodyAt.length * 2;
    const larger = (from: Int32Array): Int32Array => {
      const to = new Int32Array(rows);
      to.set(from);
      return to;
    };
    this.bodyAt = larger(this.bodyAt);
    this.keyAt = larger(this.keyAt);
    this.bodyEnd = larger(this.bodyEnd);
    this.group = larger(this.group);
    const scattered = new Uint8Array(rows);
    scattered.set(this.isScattered);
    this.isScattered = scattered;
    const starts = new Float64Array(rows);
    starts.set(this.startNs);
    this.startNs = starts;
    const ends = new Float64Array(rows);
    ends.set(this.endNs);
    this.endNs = ends;
  }
}

/** Unix nanoseconds as a double: exact to 256 ns in this century. */
function readFixed64(bytes: Uint8Array, at: number): number {
  return readFixed32(bytes, at + 4) * TWO_32 + readFixed32(bytes, at);
}
