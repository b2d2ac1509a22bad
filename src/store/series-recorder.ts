// SPDX-License-Identifier: Apache-2.0
import type { MessageView, SpanView } from "../pdata/span-view.ts";
import { readFixed32 } from "../pdata/wire.ts";
import type { SpanObserver } from "./block-builder.ts";
import { type CallSlot, CallTable } from "./call-table.ts";
import { type Columns, statusOf } from "./columns.ts";
import { bucketOf, DURATION_BUCKETS } from "./duration-buckets.ts";
import { NAME_OTHER, NameTable } from "./name-table.ts";
import { PeerReader, type Place } from "./peer-reader.ts";
import {
  type EdgeTally,
  type Interval,
  type MapNode,
  NODE_KINDS,
  type OperationTally,
  type Tally,
} from "./series-format.ts";

const OPERATIONS_MAX = 4_096;
const EDGES_MAX = 8_192;
const NODES_MAX = 60_000;
/** Names are numbered anew when so many are known. */
const NAMES_RENEWED = 50_000;
/** Intervals that a caller waits for the other end's span. */
const CALL_ROUNDS = 2;
const TWO_16 = 2 ** 16;
const TWO_32 = 2 ** 32;
const SERVER = 2;
const CLIENT = 3;
const PRODUCER = 4;
const CONSUMER = 5;
const OTHER_NAME = "(other)";
const [SERVICE_NODE, DATABASE_NODE, MESSAGING_NODE, OUTSIDE_NODE] = [0, 1, 2, 3] as const;
const EMPTY = new Uint8Array(0);
const HTTP = new TextEncoder().encode("http");

/** Counts requests, errors and durations by service, operation and edge while spans are stored. */
export class SeriesRecorder implements SpanObserver {
  readonly #peer = new PeerReader();
  readonly #calls = new CallTable({
    met: (caller, node) => this.#edge(caller, caller.node, node),
    alone: (caller) => this.#edge(caller, caller.node, caller.peer),
  });
  #names = new NameTable();
  #nodes = new Map<number, number>();
  #nodeKeys: number[] = [];
  #operations = new Map<number, Tally>();
  #edges = new Map<number, Tally>();
  #service = NAME_OTHER;
  #serviceNode = 0;
  #startMs = 0;

  restart(nowMs: number): void {
    this.#startMs = nowMs;
  }

  resource(name: MessageView | undefined): void {
    const { bytes, start, end } = name ?? { bytes: EMPTY, start: 0, end: 0 };
    this.#service = this.#names.intern(bytes, start, end);
    this.#serviceNode = this.#node(SERVICE_NODE, 0, this.#service);
  }

  observe(span: SpanView, columns: Columns, row: number): void {
    const low = columns.durationLow[row] ?? 0;
    const high = columns.durationHigh[row] ?? 0;
    const isError = statusOf(columns.flags[row] ?? 0) === 2;
    const bucket = bucketOf(low, high);
    const name = this.#names.intern(
      span.bytes,
      Math.max(span.nameStart, 0),
      Math.max(span.nameStop, 0),
    );
    const { kind } = span;
    const key = (this.#service * TWO_16 + name) * 8 + (kind & 7);
    const other = (this.#service * TWO_16 + NAME_OTHER) * 8 + (kind & 7);
    count(tallyOf(this.#operations, { key, other, max: OPERATIONS_MAX }), bucket, isError);
    if (kind >= SERVER && kind <= CONSUMER) this.#observeCall(span, { low, high, isError });
  }

  /** What was counted since, and begins anew. Undefined when nothing was. The last time nobody waits. */
  take(endMs: number, isLast = false): Interval | undefined {
    const isFull = isLast || this.#names.count > NAMES_RENEWED || this.#nodes.size >= NODES_MAX;
    if (isFull) this.#calls.clear();
    else this.#calls.sweep(CALL_ROUNDS);
    const startMs = this.#startMs;
    this.#startMs = endMs;
    const operations = [...this.#operations].map(([key, tally]) => this.#operation(key, tally));
    const edges = [...this.#edges].map(([key, tally]) => this.#edgeTally(key, tally));
    this.#operations = new Map();
    this.#edges = new Map();
    if (isFull) {
      this.#names = new NameTable();
      this.#nodes = new Map();
      this.#nodeKeys = [];
      this.resource(undefined);
    }
    if (operations.length === 0 && edges.length === 0) return undefined;
    return { startMs, endMs, operations, edges };
  }

  #observeCall(
    span: SpanView,
    {
      low,
      high,
      isError,
    }: { readonly low: number; readonly high: number; readonly isError: boolean },
  ): void {
    const { bytes, kind, spanIdStart, parentSpanIdStart } = span;
    if (kind === SERVER && parentSpanIdStart >= 0) {
      const at = parentSpanIdStart;
      this.#calls.callee(readFixed32(bytes, at), readFixed32(bytes, at + 4), this.#serviceNode);
      return;
    }
    const peer = this.#peer;
    peer.read(span);
    const node = this.#serviceNode;
    const call: CallSlot = {
      node,
      peer:
        kind === SERVER
          ? this.#node(OUTSIDE_NODE, 0, this.#intern(bytes, undefined))
          : this.#peerNode(bytes),
      protocol: this.#protocol(bytes),
      low,
      high,
      isError,
      isRewritten: peer.isRewritten,
    };
    if (kind === SERVER || kind === CONSUMER) this.#edge(call, call.peer, node);
    else if (kind === PRODUCER || peer.dbSystem.start >= 0 || spanIdStart < 0) {
      this.#edge(call, node, call.peer);
    } else if (kind === CLIENT) {
      const at = spanIdStart;
      this.#calls.caller(readFixed32(bytes, at), readFixed32(bytes, at + 4), call);
    }
  }

  #peerNode(bytes: Uint8Array): number {
    const { dbSystem, dbNamespace, messagingSystem, destination, address } = this.#peer;
    if (dbSystem.start >= 0) {
      const name = dbNamespace.start >= 0 ? dbNamespace : address;
      return this.#node(DATABASE_NODE, this.#intern(bytes, dbSystem), this.#intern(bytes, name));
    }
    if (messagingSystem.start >= 0) {
      const system = this.#intern(bytes, messagingSystem);
      return this.#node(MESSAGING_NODE, system, this.#intern(bytes, destination));
    }
    return this.#node(OUTSIDE_NODE, 0, this.#intern(bytes, address));
  }

  #protocol(bytes: Uint8Array): number {
    const { dbSystem, messagingSystem, rpcSystem, httpMethod } = this.#peer;
    for (const place of [dbSystem, messagingSystem, rpcSystem]) {
      if (place.start >= 0) return this.#intern(bytes, place);
    }
    return httpMethod.start >= 0
      ? this.#names.intern(HTTP, 0, HTTP.length)
      : this.#intern(bytes, undefined);
  }

  #intern(bytes: Uint8Array, place: Place | undefined): number {
    if (place === undefined || place.start < 0) return this.#names.intern(EMPTY, 0, 0);
    return this.#names.intern(bytes, place.start, place.stop);
  }

  /** A small number for a node; past the bound all are node 0. */
  #node(kind: number, system: number, name: number): number {
    const key = kind * TWO_32 + system * TWO_16 + name;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    if (this.#nodes.size >= NODES_MAX) return 0;
    const node = this.#nodes.size;
    this.#nodes.set(key, node);
    this.#nodeKeys.push(key);
    return node;
  }

  #edge(call: CallSlot, from: number, to: number): void {
    const key = (from * TWO_16 + to) * TWO_16 + call.protocol;
    const tally = tallyOf(this.#edges, { key, other: 0, max: EDGES_MAX });
    count(tally, bucketOf(call.low, call.high), call.isError);
    if (call.isRewritten) tally.rewritten++;
  }

  #operation(key: number, tally: Tally): OperationTally {
    const names = Math.floor(key / 8);
    return {
      service: this.#name(Math.floor(names / TWO_16)),
      operation: this.#name(names % TWO_16),
      kind: key % 8,
      ...tally,
    };
  }

  #edgeTally(key: number, tally: Tally): EdgeTally {
    const ends = Math.floor(key / TWO_16);
    return {
      from: this.#mapNode(Math.floor(ends / TWO_16)),
      to: this.#mapNode(ends % TWO_16),
      protocol: this.#name(key % TWO_16),
      ...tally,
    };
  }

  #mapNode(node: number): MapNode {
    const key = this.#nodeKeys[node] ?? OUTSIDE_NODE * TWO_32;
    const kind = Math.floor(key / TWO_32);
    const system = Math.floor((key % TWO_32) / TWO_16);
    return {
      kind: NODE_KINDS[kind] ?? "outside",
      system: kind === DATABASE_NODE || kind === MESSAGING_NODE ? this.#name(system) : "",
      name: this.#name(key % TWO_16),
    };
  }

  #name(id: number): string {
    return id === NAME_OTHER ? OTHER_NAME : this.#names.name(id);
  }
}

/** Past the bound all are counted under `other`. */
function tallyOf(
  tallies: Map<number, Tally>,
  { key, other, max }: { readonly key: number; readonly other: number; readonly max: number },
): Tally {
  const known = tallies.get(key) ?? (tallies.size < max ? undefined : tallies.get(other));
  if (known !== undefined) return known;
  const tally = {
    requests: 0,
    errors: 0,
    rewritten: 0,
    buckets: new Uint32Array(DURATION_BUCKETS),
  };
  tallies.set(tallies.size < max ? key : other, tally);
  return tally;
}

function count(tally: Tally, bucket: number, isError: boolean): void {
  tally.requests++;
  if (isError) tally.errors++;
  tally.buckets[bucket] = (tally.buckets[bucket] ?? 0) + 1;
}
