// SPDX-License-Identifier: Apache-2.0

import { ProtoWriter } from "../pdata/proto-writer.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";
import { malformed } from "./attribute-list.ts";

const RESOURCE_SPANS = 1;
const SCOPE_SPANS = 2;
const SPANS = 2;
const TRACE_ID = 1;
const PARENT_SPAN_ID = 4;
const TRACE_ID_BYTES = 16;

interface Range {
  readonly start: number;
  readonly stop: number;
}

interface Found {
  readonly id: string;
  readonly hasRoot: boolean;
}

interface Group {
  readonly spans: Range[];
  hasRoot: boolean;
}

/** Spans of one trace with their resource and scope, as a request body of its own. */
export interface Piece {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly spans: number;
  readonly hasRoot: boolean;
}

/** Takes request bodies apart by trace. */
export class TraceRegrouper {
  readonly #readers = [
    new FieldReader(),
    new FieldReader(),
    new FieldReader(),
    new FieldReader(),
  ] as const;
  readonly #out = new ProtoWriter(64 * 1024);

  /** Throws on malformed bytes, before the first visit. */
  pieces(chunk: Uint8Array): Piece[] {
    const [requests] = this.#readers;
    const pieces: Piece[] = [];
    requests.reset(chunk, 0, chunk.length);
    while (requests.next()) {
      if (requests.field !== RESOURCE_SPANS || requests.wireType !== WIRE_BYTES) continue;
      this.#resource(chunk, { start: requests.start, stop: requests.stop }, pieces);
    }
    if (requests.errorAt >= 0) throw malformed(requests.errorAt);
    return pieces;
  }

  #resource(bytes: Uint8Array, resource: Range, pieces: Piece[]): void {
    const reader = this.#readers[1].reset(bytes, resource.start, resource.stop);
    const others: Range[] = [];
    const scopes: Range[] = [];
    while (reader.next()) {
      const isScope = reader.field === SCOPE_SPANS && reader.wireType === WIRE_BYTES;
      if (isScope) scopes.push({ start: reader.start, stop: reader.stop });
      else others.push({ start: reader.tagAt, stop: reader.stop });
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
    for (const scope of scopes) this.#scope(bytes, { others, scope }, pieces);
  }

  #scope(
    bytes: Uint8Array,
    { others, scope }: { readonly others: readonly Range[]; readonly scope: Range },
    pieces: Piece[],
  ): void {
    const reader = this.#readers[2].reset(bytes, scope.start, scope.stop);
    const scopeOthers: Range[] = [];
    const groups = new Map<string, Group>();
    while (reader.next()) {
      const range = { start: reader.tagAt, stop: reader.stop };
      if (reader.field !== SPANS || reader.wireType !== WIRE_BYTES) {
        scopeOthers.push(range);
        continue;
      }
      const { id, hasRoot } = this.#identify(bytes, reader.start, reader.stop);
      const group = groups.get(id);
      if (group === undefined) groups.set(id, { spans: [range], hasRoot });
      else {
        group.spans.push(range);
        group.hasRoot ||= hasRoot;
      }
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
    for (const [id, { spans, hasRoot }] of groups) {
      const out = this.#out;
      out.reset();
      const outer = out.beginMessage(0x0a);
      this.#copy(bytes, others);
      const inner = out.beginMessage(0x12);
      this.#copy(bytes, scopeOthers);
      this.#copy(bytes, spans);
      out.endMessage(inner);
      out.endMessage(outer);
      pieces.push({ id, bytes: out.take(), spans: spans.length, hasRoot });
    }
  }

  #copy(bytes: Uint8Array, ranges: readonly Range[]): void {
    for (const { start, stop } of ranges) {
      this.#out.reserve(stop - start);
      this.#out.copy(bytes, start, stop);
    }
  }

  #identify(bytes: Uint8Array, start: number, stop: number): Found {
    const reader = this.#readers[3].reset(bytes, start, stop);
    let id = "";
    let hasRoot = true;
    while (reader.next()) {
      if (reader.wireType !== WIRE_BYTES) continue;
      const length = reader.stop - reader.start;
      if (reader.field === TRACE_ID && length === TRACE_ID_BYTES) {
        id = Buffer.from(bytes.buffer, bytes.byteOffset + reader.start, length).toString("latin1");
      } else if (reader.field === PARENT_SPAN_ID && length > 0) {
        hasRoot = bytes.subarray(reader.start, reader.stop).every((byte) => byte === 0);
      } else if (reader.field > PARENT_SPAN_ID) break;
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
    return { id, hasRoot };
  }
}
