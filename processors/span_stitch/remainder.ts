// SPDX-License-Identifier: Apache-2.0
import { FieldReader, putVarint, varintBytes, WIRE_BYTES } from "../../src/pdata/wire.ts";
import { isIdField, type Scanner } from "./scan.ts";

/** Joins pieces of `bytes` and arrays that were made. */
function join(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

function field(tag: number, content: Uint8Array): Uint8Array {
  const head = new Uint8Array(1 + varintBytes(content.length));
  head[0] = tag;
  putVarint(head, 1, content.length);
  return join([head, content]);
}

/**
 * The chunk without our spans, in the same order; every other span's bytes are unchanged. A
 * scope and a resource of which nothing is left are left out, too. For chunks that hold both
 * kinds, which no receiver of ours makes.
 */
export function withoutOurs(bytes: Uint8Array, scanner: Scanner): Uint8Array {
  const request = new FieldReader().reset(bytes, 0, bytes.length);
  const pieces: Uint8Array[] = [];
  let row = 0;
  const keep = (reader: FieldReader): Uint8Array => bytes.subarray(reader.tagAt, reader.position);
  const scopeOf = (start: number, stop: number): Uint8Array | undefined => {
    const reader = new FieldReader().reset(bytes, start, stop);
    const kept: Uint8Array[] = [];
    let others = 0;
    const before = row;
    while (reader.next()) {
      const isSpan = reader.field === 2 && reader.wireType === WIRE_BYTES;
      if (isSpan && row < scanner.count && scanner.bodyEnd[row] === reader.stop) row++;
      else {
        if (isSpan) others++;
        kept.push(keep(reader));
      }
    }
    return row > before && others === 0 ? undefined : join(kept);
  };
  const resourceOf = (start: number, stop: number): Uint8Array | undefined => {
    const reader = new FieldReader().reset(bytes, start, stop);
    const kept: Uint8Array[] = [];
    let scopes = 0;
    const before = row;
    while (reader.next()) {
      if (reader.field !== 2 || reader.wireType !== WIRE_BYTES) {
        kept.push(keep(reader));
        continue;
      }
      const scope = scopeOf(reader.start, reader.stop);
      if (scope === undefined) continue;
      scopes++;
      kept.push(field(0x12, scope));
    }
    return row > before && scopes === 0 ? undefined : join(kept);
  };
  while (request.next()) {
    if (request.field !== 1 || request.wireType !== WIRE_BYTES) {
      pieces.push(keep(request));
      continue;
    }
    const resource = resourceOf(request.start, request.stop);
    if (resource !== undefined) pieces.push(field(0x0a, resource));
  }
  return join(pieces);
}

/** The span's body without ids behind other fields; the key keeps its place as far as it can. */
export function withoutIds(bytes: Uint8Array, start: number, stop: number): Uint8Array {
  const reader = new FieldReader().reset(bytes, start, stop);
  const kept: Uint8Array[] = [];
  while (reader.next()) {
    if (!isIdField(reader.field)) kept.push(bytes.subarray(reader.tagAt, reader.position));
  }
  return join(kept);
}
