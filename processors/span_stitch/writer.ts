// SPDX-License-Identifier: Apache-2.0
import type { Batch } from "../../src/model/batch.ts";
import {
  ROLE_SERVER,
  STITCH_CONFIDENCE,
  STITCH_EVIDENCE,
  STITCH_PEER,
} from "../../src/model/stitch-key.ts";
import { putVarint, varintBytes } from "../../src/pdata/wire.ts";
import { EVIDENCE, EVIDENCE_NONE, UNKNOWN_NAME } from "./evidence/judge.ts";
import type { Group, Groups } from "./groups.ts";
import { idWord, KEY_FIELD_BYTES, roleOf } from "./key.ts";
import { evidenceOf, percentOf } from "./nodes.ts";
import type { Tables } from "./settler.ts";

const ITEMS_MAX = 512;
const BYTES_MAX = 1_048_576;
/** Tag, length and value of trace_id, span_id and parent_span_id. */
const TRACE_ID_BYTES = 18;
const SPAN_ID_BYTES = 10;
const RESOURCE_SPANS_TAG = 0x0a;
const SCOPE_SPANS_TAG = 0x12;
const SPAN_TAG = 0x12;
const ATTRIBUTE_TAG = 0x4a;
/** A call of `set` costs as much as a loop over so many bytes. */
const LOOP_BYTES_MAX = 40;
const NO_BYTES = new Uint8Array(0);

const encoder = new TextEncoder();

/** `attributes { key value { <tag> <value> } }`; everything shorter than 128 bytes. */
function attribute(key: string, tag: number, value: Uint8Array): Uint8Array {
  const name = encoder.encode(key);
  const any = [tag, ...value];
  const field = [0x0a, name.length, ...name, 0x12, any.length, ...any];
  return Uint8Array.from([ATTRIBUTE_TAG, field.length, ...field]);
}

/** The attribute of a peer's id, up to its digits. */
const PEER = attribute(STITCH_PEER, 0x0a, Uint8Array.from([16, ...new Uint8Array(16)]));
const PEER_DIGITS = 16;
const DIGITS = encoder.encode("0123456789abcdef");

export function evidenceAttributes(name: string, confidence: number): Uint8Array {
  const text = encoder.encode(name);
  const double = new DataView(new ArrayBuffer(8));
  double.setFloat64(0, confidence, true);
  return Uint8Array.from([
    ...attribute(STITCH_EVIDENCE, 0x0a, Uint8Array.from([text.length, ...text])),
    ...attribute(STITCH_CONFIDENCE, 0x21, new Uint8Array(double.buffer)),
  ]);
}

function putHex(to: Uint8Array, at: number, word: number): number {
  for (let byte = 0; byte < 4; byte++) {
    to[at + byte * 2] = DIGITS[(word >>> (byte * 8 + 4)) & 15] ?? 0;
    to[at + byte * 2 + 1] = DIGITS[(word >>> (byte * 8)) & 15] ?? 0;
  }
  return at + 8;
}

function copy(to: Uint8Array, at: number, from: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length > LOOP_BYTES_MAX) to.set(from.subarray(start, end), at);
  else for (let i = 0; i < length; i++) to[at + i] = from[start + i] ?? 0;
  return at + length;
}

function putWord(to: Uint8Array, at: number, word: number): number {
  to[at] = word;
  to[at + 1] = word >>> 8;
  to[at + 2] = word >>> 16;
  to[at + 3] = word >>> 24;
  return at + 4;
}

/** Words 2 and 3 of a key are the id of the span at the other end. */
function putPeer(to: Uint8Array, start: number, bytes: Uint8Array, keyAt: number): number {
  const at = copy(to, start, PEER, 0, PEER.length - PEER_DIGITS);
  return putHex(to, putHex(to, at, idWord(bytes, keyAt, 2)), idWord(bytes, keyAt, 3));
}

/** Bytes of a field with a length: tag, length, content. */
function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

/**
 * Collects settled rows and encodes them as OTLP, grouped by resource and scope: new ids, then
 * the span's own bytes without its key, then evidence. A batch holds at most 512 spans or 1 MiB.
 */
export class Writer {
  readonly #tables: Tables;
  readonly #groups: Groups;
  readonly #rows: Int32Array = new Int32Array(ITEMS_MAX);
  readonly #lengths: Int32Array = new Int32Array(ITEMS_MAX);
  readonly #next: Int32Array = new Int32Array(ITEMS_MAX);
  /** By proof. */
  readonly #attributes: (Uint8Array | undefined)[] = [];
  #open: Group[] = [];
  #count = 0;
  #bytes = 0;
  #batches: Batch[] = [];

  readonly #peerIds: boolean;

  /** `peerIds`: say on server spans without a parent what the id of their client span is. */
  constructor(tables: Tables, groups: Groups, peerIds: boolean) {
    this.#tables = tables;
    this.#groups = groups;
    this.#peerIds = peerIds;
  }

  /** Takes over the row's references to its source and group. */
  add(row: number): void {
    const { nodes } = this.#tables;
    const rest = (nodes.bodyEnd[row] ?? 0) - (nodes.bodyAt[row] ?? 0) - KEY_FIELD_BYTES;
    const parent = this.#hasParent(row) ? SPAN_ID_BYTES : 0;
    const added = this.#attributesOf(row).length + (this.#needsPeer(row) ? PEER.length : 0);
    const length = TRACE_ID_BYTES + SPAN_ID_BYTES + parent + rest + added;
    const whole = fieldBytes(length);
    if (this.#count === ITEMS_MAX || (this.#count > 0 && this.#bytes + whole > BYTES_MAX)) {
      this.flush();
    }
    const group = this.#groups.get(nodes.group[row] ?? 0);
    const at = this.#count++;
    this.#rows[at] = row;
    this.#lengths[at] = length;
    this.#next[at] = -1;
    this.#bytes += whole;
    if (group.last < 0) {
      group.first = at;
      this.#open.push(group);
    } else this.#next[group.last] = at;
    group.last = at;
    group.spanBytes += whole;
  }

  /** What has been encoded since the last call. */
  takeBatches(): Batch[] {
    const batches = this.#batches;
    if (batches.length > 0) this.#batches = [];
    return batches;
  }

  /** Encodes what was collected; afterwards no row is in use. */
  flush(): void {
    if (this.#count === 0) return;
    let size = 0;
    for (const group of this.#open) size += fieldBytes(this.#resourceSpansBytes(group));
    const to = new Uint8Array(size);
    let at = 0;
    for (const group of this.#open) at = this.#putGroup(to, at, group);
    this.#batches.push({ signal: "traces", chunks: [to], items: this.#count, bytes: size });
    for (const group of this.#open) {
      group.first = -1;
      group.last = -1;
      group.spanBytes = 0;
    }
    const { nodes, sources } = this.#tables;
    for (let i = 0; i < this.#count; i++) {
      const row = this.#rows[i] ?? 0;
      sources.release(nodes.source[row] ?? 0);
      this.#groups.release(nodes.group[row] ?? 0);
      nodes.source[row] = 0;
    }
    this.#open = [];
    this.#count = 0;
    this.#bytes = 0;
  }

  #resourceSpansBytes(group: Group): number {
    return group.resource.length + fieldBytes(group.scope.length + group.spanBytes);
  }

  #putGroup(to: Uint8Array, start: number, group: Group): number {
    let at = start;
    to[at++] = RESOURCE_SPANS_TAG;
    at = putVarint(to, at, this.#resourceSpansBytes(group));
    at = copy(to, at, group.resource, 0, group.resource.length);
    to[at++] = SCOPE_SPANS_TAG;
    at = putVarint(to, at, group.scope.length + group.spanBytes);
    at = copy(to, at, group.scope, 0, group.scope.length);
    for (let i = group.first; i >= 0; i = this.#next[i] ?? -1) at = this.#putSpan(to, at, i);
    return at;
  }

  #putSpan(to: Uint8Array, start: number, index: number): number {
    const { nodes, traces, sources } = this.#tables;
    const row = this.#rows[index] ?? 0;
    let at = start;
    to[at++] = SPAN_TAG;
    at = putVarint(to, at, this.#lengths[index] ?? 0);
    to[at++] = 0x0a;
    to[at++] = 16;
    const words = nodes.trace[row] ?? 0;
    for (let i = 0; i < 4; i++) at = putWord(to, at, traces.words[words + i] ?? 0);
    to[at++] = 0x12;
    to[at++] = 8;
    at = putWord(to, at, nodes.idLow[row] ?? 0);
    at = putWord(to, at, nodes.idHigh[row] ?? 0);
    if (this.#hasParent(row)) {
      to[at++] = 0x22;
      to[at++] = 8;
      at = putWord(to, at, nodes.parentLow[row] ?? 0);
      at = putWord(to, at, nodes.parentHigh[row] ?? 0);
    }
    const bytes = sources.bytes(nodes.source[row] ?? 0);
    const keyAt = nodes.keyAt[row] ?? 0;
    at = copy(to, at, bytes, nodes.bodyAt[row] ?? 0, keyAt);
    at = copy(to, at, bytes, keyAt + KEY_FIELD_BYTES, nodes.bodyEnd[row] ?? 0);
    const attributes = this.#attributesOf(row);
    at = copy(to, at, attributes, 0, attributes.length);
    return this.#needsPeer(row) ? putPeer(to, at, bytes, keyAt) : at;
  }

  #needsPeer(row: number): boolean {
    if (!this.#peerIds || this.#hasParent(row)) return false;
    const { nodes, sources } = this.#tables;
    const bytes = sources.bytes(nodes.source[row] ?? 0);
    return roleOf(bytes, nodes.keyAt[row] ?? 0) === ROLE_SERVER;
  }

  #hasParent(row: number): boolean {
    const { nodes } = this.#tables;
    return nodes.parentLow[row] !== 0 || nodes.parentHigh[row] !== 0;
  }

  #attributesOf(row: number): Uint8Array {
    const { nodes } = this.#tables;
    const proof = nodes.proof[row] ?? 0;
    const evidence = evidenceOf(proof);
    if (evidence === EVIDENCE_NONE) return NO_BYTES;
    const known = this.#attributes[proof];
    if (known !== undefined) return known;
    const made = evidenceAttributes(
      EVIDENCE[evidence - 1]?.name ?? UNKNOWN_NAME,
      percentOf(proof) / 100,
    );
    this.#attributes[proof] = made;
    return made;
  }
}
