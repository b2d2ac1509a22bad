// SPDX-License-Identifier: Apache-2.0
import {
  CONNECTION_ACCEPTER,
  CONNECTION_DATAGRAMS,
  CONNECTION_OPENER,
  DATA_SEND,
  DATA_SHED,
  DATA_SLEPT,
  DATA_TLS,
  DATA_TRIGGER_CONNECT,
  DATA_UNDETERMINED,
  DATA_WAITED,
  WIRE_CLOSE_ERROR,
  WIRE_CLOSE_RECEIVED,
  WIRE_CLOSE_SENT,
  WIRE_CLOSE_SOCKET,
  WIRE_CONNECTION_FAMILY,
  WIRE_CONNECTION_FLAGS,
  WIRE_CONNECTION_LOCAL_ADDRESS,
  WIRE_CONNECTION_LOCAL_PORT,
  WIRE_CONNECTION_LOCAL_START,
  WIRE_CONNECTION_PROTOCOL,
  WIRE_CONNECTION_REMOTE_ADDRESS,
  WIRE_CONNECTION_REMOTE_PORT,
  WIRE_CONNECTION_REMOTE_START,
  WIRE_CONNECTION_SOCKET,
  WIRE_CONNECTION_TGID,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_LINEAGE,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TAIL,
  WIRE_DATA_TGID,
  WIRE_DATA_TID,
  WIRE_DATA_TRIGGER_POSITION,
  WIRE_DATA_TRIGGER_SOCKET,
  WIRE_HEADER_TIME_NS,
  WIRE_PEER_ADDRESS,
  WIRE_PEER_FAMILY,
  WIRE_PEER_PORT,
} from "../../bpf/generated/wire.ts";
import { type DataRecord, type Direction, RECEIVED, SENT } from "../../src/model/protocol.ts";

const TWO_TO_32 = 0x1_0000_0000;

/** A ring's data pages, as `RingReader` maps them: three views of the same bytes. */
export interface RingMemory {
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
}

/** Both halves of a u64 as a double: exact up to 2^53. `offset` is a multiple of 8. */
export function readU64(u32: Uint32Array, offset: number): number {
  const index = offset >>> 2;
  return (u32[index] ?? 0) + (u32[index + 1] ?? 0) * TWO_TO_32;
}

/** What the kernel says of a connection, once. */
export interface ConnectionRecord {
  readonly socket: number;
  readonly pid: number;
  /** Sequence numbers of the first byte of either stream, u32; see `side`. */
  readonly localStart: number;
  readonly remoteStart: number;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly remotePort: number;
  readonly family: 4 | 6;
  /** Who opened the connection; unknown: `localStart` may be one too low (wire.h). */
  readonly side: "opener" | "accepter" | "unknown";
  readonly protocol: number;
  /** A UDP socket: without names of bytes, and with many other ends unless it is connected. */
  readonly isDatagram: boolean;
}

/** The other end of a datagram. */
export interface Peer {
  /** Empty: not known. */
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

export interface CloseRecord {
  readonly timeNs: number;
  readonly socket: number;
  readonly sent: number;
  readonly received: number;
  readonly error: number;
}

/** `offset`: where the record starts in the ring's memory. */
export function decodeConnection(memory: RingMemory, offset: number): ConnectionRecord {
  const { view, u32 } = memory;
  const flags = view.getUint8(offset + WIRE_CONNECTION_FLAGS);
  const family = view.getUint8(offset + WIRE_CONNECTION_FAMILY) === 6 ? 6 : 4;
  return {
    socket: readU64(u32, offset + WIRE_CONNECTION_SOCKET),
    pid: view.getUint32(offset + WIRE_CONNECTION_TGID, true),
    localStart: view.getUint32(offset + WIRE_CONNECTION_LOCAL_START, true),
    remoteStart: view.getUint32(offset + WIRE_CONNECTION_REMOTE_START, true),
    localAddress: addressText(view, offset + WIRE_CONNECTION_LOCAL_ADDRESS, family),
    remoteAddress: addressText(view, offset + WIRE_CONNECTION_REMOTE_ADDRESS, family),
    localPort: view.getUint16(offset + WIRE_CONNECTION_LOCAL_PORT, true),
    remotePort: view.getUint16(offset + WIRE_CONNECTION_REMOTE_PORT, true),
    family,
    side: sideOf(flags),
    protocol: view.getUint16(offset + WIRE_CONNECTION_PROTOCOL, true),
    isDatagram: (flags & CONNECTION_DATAGRAMS) !== 0,
  };
}

/** `offset`: of a `struct wire_peer`, at any alignment. */
export function decodePeer({ view }: RingMemory, offset: number): Peer {
  const known = view.getUint8(offset + WIRE_PEER_FAMILY);
  const family = known === 6 ? 6 : 4;
  return {
    address: known === 0 ? "" : addressText(view, offset + WIRE_PEER_ADDRESS, family),
    port: view.getUint16(offset + WIRE_PEER_PORT, true),
    family,
  };
}

function sideOf(flags: number): ConnectionRecord["side"] {
  if ((flags & CONNECTION_OPENER) !== 0) return "opener";
  return (flags & CONNECTION_ACCEPTER) === 0 ? "unknown" : "accepter";
}

export function decodeClose(memory: RingMemory, offset: number): CloseRecord {
  const { u32, view } = memory;
  return {
    timeNs: readU64(u32, offset + WIRE_HEADER_TIME_NS),
    socket: readU64(u32, offset + WIRE_CLOSE_SOCKET),
    sent: readU64(u32, offset + WIRE_CLOSE_SENT),
    received: readU64(u32, offset + WIRE_CLOSE_RECEIVED),
    error: view.getUint32(offset + WIRE_CLOSE_ERROR, true),
  };
}

function addressText(view: DataView, offset: number, family: 4 | 6): string {
  if (family === 4) {
    return [0, 1, 2, 3].map((index) => view.getUint8(offset + index)).join(".");
  }
  const groups = [0, 2, 4, 6, 8, 10, 12, 14].map((index) => view.getUint16(offset + index));
  return compressIpv6(groups);
}

/** The text form of RFC 5952: the longest run of two or more zero groups becomes `::`. */
export function compressIpv6(groups: readonly number[]): string {
  let bestStart = -1;
  let bestLength = 1;
  let start = -1;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) {
      start = -1;
      continue;
    }
    if (start < 0) start = index;
    if (index - start + 1 > bestLength) {
      bestStart = start;
      bestLength = index - start + 1;
    }
  }
  const hex = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(":");
  if (bestStart < 0) return hex(groups);
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}

/** What a record says of the call that wrote it, besides its bytes; see `DataCursor`. */
export interface CallFacts {
  readonly pid: number;
  readonly tid: number;
  readonly slept: boolean;
  readonly waited: boolean;
  readonly triggeredAtConnect: boolean;
  readonly triggerSocket: number;
  readonly triggerPosition: number;
  /** LINEAGE_: whether the runtime names the trigger. */
  readonly lineage: number;
}

/**
 * One WIRE_DATA record, read in place: `moveTo` the next one, and nothing of the last is valid
 * any more. Allocates nothing.
 */
export class DataCursor implements DataRecord, CallFacts {
  readonly #u32: Uint32Array;
  readonly bytes: Uint8Array;
  direction: Direction = RECEIVED;
  timeNs = 0;
  position = 0;
  length = 0;
  start = 0;
  captured = 0;
  tailStart = -1;
  pid = 0;
  tid = 0;
  /** Socket cookie. */
  socket = 0;
  isShed = false;
  /** Clear text of a TLS session; positions count clear text. */
  isTls = false;
  /** The kernel did not know a verdict on its connection. */
  isUndetermined = false;
  slept = false;
  /** It slept for events or for a time to pass, not only for a lock. */
  waited = false;
  triggeredAtConnect = false;
  /** Socket cookie of what the thread read last before this send; 0 when nothing is known. */
  triggerSocket = 0;
  /** One past the last byte of that read. */
  triggerPosition = 0;
  /** LINEAGE_: whether the runtime names the trigger; see wire.h. */
  lineage = 0;

  constructor(memory: RingMemory) {
    this.#u32 = memory.u32;
    this.bytes = memory.bytes;
  }

  moveTo(offset: number): void {
    const u32 = this.#u32;
    const index = offset >>> 2;
    const sizes = u32[index + WIRE_DATA_CAPTURED / 4] ?? 0;
    const flags = (sizes >>> (8 * (WIRE_DATA_FLAGS - WIRE_DATA_CAPTURED))) & 0xff;
    const tail = index + WIRE_DATA_TAIL / 4;
    this.lineage = sizes >>> (8 * (WIRE_DATA_LINEAGE - WIRE_DATA_CAPTURED));
    this.direction = (flags & DATA_SEND) === 0 ? RECEIVED : SENT;
    this.isShed = (flags & DATA_SHED) !== 0;
    this.isTls = (flags & DATA_TLS) !== 0;
    this.isUndetermined = (flags & DATA_UNDETERMINED) !== 0;
    this.slept = (flags & DATA_SLEPT) !== 0;
    this.waited = (flags & DATA_WAITED) !== 0;
    this.triggeredAtConnect = (flags & DATA_TRIGGER_CONNECT) !== 0;
    this.timeNs = readU64(u32, offset + WIRE_HEADER_TIME_NS);
    this.socket = readU64(u32, offset + WIRE_DATA_SOCKET);
    this.position = readU64(u32, offset + WIRE_DATA_POSITION);
    this.length = u32[index + WIRE_DATA_LENGTH / 4] ?? 0;
    this.captured = sizes & 0xffff;
    this.start = offset + WIRE_DATA_BYTES;
    this.pid = u32[index + WIRE_DATA_TGID / 4] ?? 0;
    this.tid = u32[index + WIRE_DATA_TID / 4] ?? 0;
    this.triggerSocket = readU64(u32, offset + WIRE_DATA_TRIGGER_SOCKET);
    this.triggerPosition = readU64(u32, offset + WIRE_DATA_TRIGGER_POSITION);
    this.tailStart = ((u32[tail] ?? 0) | (u32[tail + 1] ?? 0)) === 0 ? -1 : offset + WIRE_DATA_TAIL;
  }
  facts(): CallFacts {
    const { pid, tid, slept, waited, triggeredAtConnect, triggerSocket, triggerPosition } = this;
    const { lineage } = this;
    return { pid, tid, slept, waited, triggeredAtConnect, triggerSocket, triggerPosition, lineage };
  }

  /** Says of another call what it said then; its bytes stay where they are. */
  recall(facts: CallFacts): void {
    this.pid = facts.pid;
    this.tid = facts.tid;
    this.slept = facts.slept;
    this.waited = facts.waited;
    this.triggeredAtConnect = facts.triggeredAtConnect;
    this.triggerSocket = facts.triggerSocket;
    this.triggerPosition = facts.triggerPosition;
    this.lineage = facts.lineage;
  }
}
