// SPDX-License-Identifier: Apache-2.0
import {
  ENTRY_ID,
  ENTRY_WORDS,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ORIGIN,
  ORIGINAL_DESTINATION,
  ORIGINAL_PORTS,
  ORIGINAL_SOURCE,
  putIpv4,
  REPLY_PORTS,
  REPLY_SOURCE,
} from "./nat-entry.ts";

/** linux/netlink.h */
export const NETLINK_NETFILTER = 12;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST_DUMP = 0x301;
const NLM_F_DUMP_INTR = 0x10;
const HEADER_BYTES = 16;
/** linux/netfilter/nfnetlink.h: `struct nfgenmsg` follows the header. */
const GENERIC_BYTES = 4;
const SUBSYSTEM_CONNTRACK = 1 << 8;
/** linux/netfilter/nfnetlink_conntrack.h */
const MESSAGE_NEW = SUBSYSTEM_CONNTRACK;
const MESSAGE_GET = SUBSYSTEM_CONNTRACK | 1;
const MESSAGE_DELETE = SUBSYSTEM_CONNTRACK | 2;
/** Groups NEW (1) and DESTROY (3). Not UPDATE: the tuples of a connection never change. */
export const CONNTRACK_GROUPS: number = (1 << 0) | (1 << 2);

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_TIMESTAMP = 20;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const CTA_TIMESTAMP_START = 1;
const TYPE_MASK = 0x3fff;
const AF_UNSPEC = 0;

export type MessageKind = "new" | "destroy" | "done" | "error" | "interrupted" | "other";

/** A request for the whole table, all families. */
export function dumpRequest(sequence: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + GENERIC_BYTES));
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, MESSAGE_GET, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  view.setUint32(8, sequence, true);
  view.setUint8(16, AF_UNSPEC);
  return new Uint8Array(view.buffer);
}

/**
 * Walks messages of connection tracking without an object a message: after `next`, `entry`,
 * `startNs` and `errno` describe the one that was read. Never reads outside the bytes given; a
 * message that is cut off or makes no sense ends the walk.
 */
export class ConntrackMessages {
  /** Of the message read last, see `nat-entry.ts`; its origin holds the protocol only. */
  readonly entry: Int32Array = new Int32Array(ENTRY_WORDS);
  /** When the connection was first seen, ns of the epoch; 0 when the kernel does not say. */
  startNs = 0;
  errno = 0;
  /** True when the last message made no sense. */
  isMalformed = false;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #end = 0;

  reset(bytes: Uint8Array, end: number): void {
    if (this.#view.buffer !== bytes.buffer || this.#view.byteOffset !== bytes.byteOffset) {
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    this.#at = 0;
    this.#end = Math.min(end, bytes.length);
    this.isMalformed = false;
  }

  /** Undefined at the end. `other`: nothing to do with TCP or UDP connections. */
  next(): MessageKind | undefined {
    const at = this.#at;
    if (at + HEADER_BYTES > this.#end) return undefined;
    const length = this.#view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > this.#end) {
      this.isMalformed = true;
      this.#at = this.#end;
      return undefined;
    }
    this.#at = at + ((length + 3) & ~3);
    const type = this.#view.getUint16(at + 4, true);
    const flags = this.#view.getUint16(at + 6, true);
    if (type === NLMSG_DONE || type === NLMSG_ERROR) {
      this.errno = length >= HEADER_BYTES + 4 ? -this.#view.getInt32(at + HEADER_BYTES, true) : 0;
      if (this.errno !== 0) return "error";
      return (flags & NLM_F_DUMP_INTR) === 0 ? "done" : "interrupted";
    }
    if (type !== MESSAGE_NEW && type !== MESSAGE_DELETE) return "other";
    if (!this.#connection(at + HEADER_BYTES + GENERIC_BYTES, at + length)) return "other";
    return type === MESSAGE_NEW ? "new" : "destroy";
  }

  #connection(start: number, end: number): boolean {
    const { entry } = this;
    const view = this.#view;
    this.startNs = 0;
    entry[ORIGIN] = 0;
    entry[ENTRY_ID] = 0;
    let tuples = 0;
    for (let at = start; at + 4 <= end; ) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) return false;
      const type = view.getUint16(at + 2, true) & TYPE_MASK;
      const stop = at + length;
      if (type === CTA_TUPLE_ORIG) {
        tuples += this.#tuple(at + 4, stop, ORIGINAL_SOURCE, ORIGINAL_PORTS);
      } else if (type === CTA_TUPLE_REPLY) {
        tuples += this.#tuple(at + 4, stop, REPLY_SOURCE, REPLY_PORTS);
      } else if (type === CTA_ID && length >= 8) entry[ENTRY_ID] = view.getInt32(at + 4);
      else if (type === CTA_TIMESTAMP) this.#timestamp(at + 4, stop);
      at += (length + 3) & ~3;
    }
    const protocol = entry[ORIGIN] ?? 0;
    return tuples === 2 && (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP);
  }

  /** 1 when source and destination were read. */
  #tuple(start: number, end: number, addresses: number, portsAt: number): number {
    const view = this.#view;
    let isComplete = 0;
    for (let at = start; at + 4 <= end; ) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) return 0;
      const type = view.getUint16(at + 2, true) & TYPE_MASK;
      if (type === CTA_TUPLE_IP) isComplete = this.#addresses(at + 4, at + length, addresses);
      else if (type === CTA_TUPLE_PROTO) this.#protocol(at + 4, at + length, portsAt);
      at += (length + 3) & ~3;
    }
    return isComplete;
  }

  /** CTA_IP_V4_SRC, V4_DST, V6_SRC, V6_DST are 1 to 4. */
  #addresses(start: number, end: number, to: number): number {
    const { entry } = this;
    const view = this.#view;
    let count = 0;
    for (let at = start; at + 4 <= end; ) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) return 0;
      const type = view.getUint16(at + 2, true) & TYPE_MASK;
      const word = to + (type % 2 === 1 ? 0 : ORIGINAL_DESTINATION - ORIGINAL_SOURCE);
      if (type <= 2 && length >= 8) {
        putIpv4(entry, word, view.getInt32(at + 4));
        count++;
      } else if (type <= 4 && length >= 20) {
        for (let index = 0; index < 4; index++) {
          entry[word + index] = view.getInt32(at + 4 + index * 4);
        }
        count++;
      }
      at += (length + 3) & ~3;
    }
    return count === 2 ? 1 : 0;
  }

  #protocol(start: number, end: number, portsAt: number): void {
    const view = this.#view;
    let source = 0;
    let destination = 0;
    for (let at = start; at + 5 <= end; ) {
      const length = view.getUint16(at, true);
      if (length < 5 || at + length > end) break;
      const type = view.getUint16(at + 2, true) & TYPE_MASK;
      if (type === CTA_PROTO_NUM) this.entry[ORIGIN] = view.getUint8(at + 4);
      else if (length >= 6 && type === CTA_PROTO_SRC_PORT) source = view.getUint16(at + 4);
      else if (length >= 6 && type === CTA_PROTO_DST_PORT) destination = view.getUint16(at + 4);
      at += (length + 3) & ~3;
    }
    this.entry[portsAt] = (source << 16) | destination;
  }

  #timestamp(start: number, end: number): void {
    const view = this.#view;
    for (let at = start; at + 12 <= end; ) {
      const length = view.getUint16(at, true);
      if (length < 4) return;
      if ((view.getUint16(at + 2, true) & TYPE_MASK) === CTA_TIMESTAMP_START && length >= 12) {
        this.startNs = view.getUint32(at + 4) * 2 ** 32 + view.getUint32(at + 8);
      }
      at += (length + 3) & ~3;
    }
  }
}
