// SPDX-License-Identifier: Apache-2.0
import type { Batch, Signal } from "../model/batch.ts";
import { countBelow, countItems } from "./count.ts";
import { inMask, itemPath } from "./levels.ts";
import { varintBytes } from "./proto-writer.ts";
import { FieldReader, putVarint, WIRE_BYTES } from "./wire.ts";

/** Some of a batch's items: bodies of the request message again. */
export interface Part {
  readonly chunks: readonly Uint8Array[];
  readonly items: number;
  readonly bytes: number;
}

/**
 * Cuts chunks into parts of `itemsMax` items, the last of what is left. Whole chunks and whole
 * resources stay the bytes they are; only a container that the cut goes through is written anew,
 * with its other fields (resource, scope, schema URL, a metric's name) in each part.
 * The chunks must be well-formed (`validateRequest`).
 */
export function splitItems(
  signal: Signal,
  chunks: readonly Uint8Array[],
  itemsMax: number,
): Part[] {
  const parts: Part[] = [];
  let open: Uint8Array[] = [];
  let openItems = 0;
  const close = (): void => {
    if (open.length > 0) parts.push(partOf(open, openItems));
    open = [];
    openItems = 0;
  };
  for (const chunk of chunks) {
    const items = Math.max(countItems(signal, chunk), 0);
    let from = 0;
    while (openItems + items - from > itemsMax) {
      const to = from + itemsMax - openItems;
      open.push(itemRange(signal, chunk, { from, to }));
      openItems = itemsMax;
      close();
      from = to;
    }
    if (from > 0) open.push(itemRange(signal, chunk, { from, to: items }));
    else open.push(chunk);
    openItems += items - from;
    if (openItems === itemsMax) close();
  }
  close();
  return parts;
}

/**
 * The first `items` items of a batch, and the rest (undefined when nothing is left). Only the
 * chunk that the cut goes through is written anew. Neither has the receipt.
 */
export function splitBatch(batch: Batch, items: number): readonly [Batch, Batch | undefined] {
  const { signal, chunks } = batch;
  const head: Uint8Array[] = [];
  let taken = 0;
  for (const [index, chunk] of chunks.entries()) {
    const inside = Math.max(countItems(signal, chunk), 0);
    if (taken + inside <= items) {
      head.push(chunk);
      taken += inside;
      continue;
    }
    const to = items - taken;
    const rest = chunks.slice(index + 1);
    if (to > 0) head.push(itemRange(signal, chunk, { from: 0, to }));
    rest.unshift(to > 0 ? itemRange(signal, chunk, { from: to, to: inside }) : chunk);
    return [
      { signal, ...partOf(head, items) },
      { signal, ...partOf(rest, batch.items - items) },
    ];
  }
  return [batch, undefined];
}

function partOf(chunks: readonly Uint8Array[], items: number): Part {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return { chunks, items, bytes };
}

/** Items by index; `to` is exclusive. */
export interface ItemRange {
  readonly from: number;
  readonly to: number;
}

/** The chunk with only those items, and without the containers that have none of them. */
export function itemRange(signal: Signal, chunk: Uint8Array, range: ItemRange): Uint8Array {
  const cut: Cut = { bytes: chunk, path: itemPath(signal), pieces: [], next: 0, ...range };
  const length = take(cut, 0, 0, chunk.length);
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of cut.pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** Each resource with all that is below it, as a request body of its own: views, not copies. */
export function splitResources(chunk: Uint8Array): Uint8Array[] {
  const reader = new FieldReader().reset(chunk, 0, chunk.length);
  const resources: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 1) resources.push(chunk.subarray(reader.tagAt, reader.stop));
  }
  return resources;
}

interface Cut extends ItemRange {
  readonly bytes: Uint8Array;
  readonly path: readonly number[];
  /** What the result is made of, in order. */
  readonly pieces: Uint8Array[];
  /** Index of the next item that the walk meets. */
  next: number;
}

/** Appends the pieces of one container's body and returns their length. */
function take(cut: Cut, level: number, start: number, end: number): number {
  const reader = new FieldReader().reset(cut.bytes, start, end);
  const mask = cut.path[level] ?? 0;
  const isLast = level === cut.path.length - 1;
  let length = 0;
  let keptFrom = -1;
  const keep = (): void => {
    if (keptFrom < 0) keptFrom = reader.tagAt;
  };
  const flush = (to: number): void => {
    if (keptFrom < 0) return;
    cut.pieces.push(cut.bytes.subarray(keptFrom, to));
    length += to - keptFrom;
    keptFrom = -1;
  };
  while (reader.next()) {
    const isContainer = inMask(mask, reader.field) && reader.wireType === WIRE_BYTES;
    if (!isContainer) {
      keep();
      continue;
    }
    const items = isLast ? 1 : countInside(cut, level + 1, reader);
    const first = cut.next;
    if (items > 0 && first >= cut.from && first + items <= cut.to) {
      cut.next += items;
      keep();
      continue;
    }
    flush(reader.tagAt);
    if (first + items <= cut.from || first >= cut.to) cut.next += items;
    else length += takeInside(cut, level + 1, reader);
  }
  flush(reader.position);
  return length;
}

function countInside(cut: Cut, level: number, reader: FieldReader): number {
  return Math.max(countBelow(cut, level, reader.start, reader.stop), 0);
}

/** A container that the range's end goes through: tag and length are written anew. */
function takeInside(cut: Cut, level: number, reader: FieldReader): number {
  const header = cut.pieces.length;
  cut.pieces.push(EMPTY);
  const length = take(cut, level, reader.start, reader.stop);
  const tag = reader.field * 8 + WIRE_BYTES;
  const bytes = new Uint8Array(varintBytes(tag) + varintBytes(length));
  putVarint(bytes, putVarint(bytes, 0, tag), length);
  cut.pieces[header] = bytes;
  return bytes.length + length;
}

const EMPTY = new Uint8Array(0);
