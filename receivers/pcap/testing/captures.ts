// SPDX-License-Identifier: Apache-2.0
/** Capture files as bytes, and TCP conversations as packets, for tests. */
import { type Host, type TcpFields, tcpPacket, WRAPS } from "./frames.ts";

export interface CapturedPacket {
  readonly timeNs: bigint;
  readonly frame: Uint8Array;
  /** Longer than the frame when the snap length cut it. */
  readonly wireLength?: number;
}

export interface FileOptions {
  readonly linkType?: number;
  readonly littleEndian?: boolean;
  /** Nanoseconds of one tick: 1 or 1000. */
  readonly nsPerTick?: 1 | 1000;
}

const NS_PER_SECOND = 1_000_000_000n;

export function pcapFile(packets: readonly CapturedPacket[], options: FileOptions = {}): Buffer {
  const { linkType = 1, littleEndian = true, nsPerTick = 1 } = options;
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, nsPerTick === 1 ? 0xa1b23c4d : 0xa1b2c3d4, littleEndian);
  header.setUint16(4, 2, littleEndian);
  header.setUint16(6, 4, littleEndian);
  header.setUint32(16, 262_144, littleEndian);
  header.setUint32(20, linkType, littleEndian);
  const parts: Buffer[] = [Buffer.from(header.buffer)];
  for (const { timeNs, frame, wireLength } of packets) {
    const record = new DataView(new ArrayBuffer(16));
    record.setUint32(0, Number(timeNs / NS_PER_SECOND), littleEndian);
    record.setUint32(4, Number(timeNs % NS_PER_SECOND) / nsPerTick, littleEndian);
    record.setUint32(8, frame.length, littleEndian);
    record.setUint32(12, wireLength ?? frame.length, littleEndian);
    parts.push(Buffer.from(record.buffer), Buffer.from(frame));
  }
  return Buffer.concat(parts);
}

interface NgBlock {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Blocks of one pcapng section; `littleEndian` as given for all of them. */
export function pcapngFile(blocks: readonly NgBlock[], littleEndian: boolean = true): Buffer {
  return Buffer.concat(blocks.map((block) => ngBlock(block, littleEndian)));
}

function ngBlock({ type, body }: NgBlock, littleEndian: boolean): Buffer {
  const padded = (body.length + 3) & ~3;
  const out = new DataView(new ArrayBuffer(12 + padded));
  out.setUint32(0, type, littleEndian);
  out.setUint32(4, 12 + padded, littleEndian);
  new Uint8Array(out.buffer).set(body, 8);
  out.setUint32(8 + padded, 12 + padded, littleEndian);
  return Buffer.from(out.buffer);
}

export function sectionHeader(littleEndian: boolean = true): NgBlock {
  const body = new DataView(new ArrayBuffer(16));
  body.setUint32(0, 0x1a2b3c4d, littleEndian);
  body.setUint16(4, 1, littleEndian);
  body.setBigInt64(8, -1n, littleEndian);
  return { type: 0x0a0d0d0a, body: new Uint8Array(body.buffer) };
}

export interface NgInterface {
  readonly linkType?: number;
  readonly snapLength?: number;
  /** Value of if_tsresol; absent: microseconds. */
  readonly resolution?: number;
  readonly offsetSeconds?: bigint;
}

export function interfaceBlock(options: NgInterface, littleEndian: boolean = true): NgBlock {
  const head = new DataView(new ArrayBuffer(8));
  head.setUint16(0, options.linkType ?? 1, littleEndian);
  head.setUint32(4, options.snapLength ?? 0, littleEndian);
  const parts: Buffer[] = [Buffer.from(head.buffer)];
  // A name first, with a length that needs padding.
  parts.push(ngOption(2, Buffer.from("eth10"), littleEndian));
  if (options.resolution !== undefined) {
    parts.push(ngOption(9, Buffer.from([options.resolution]), littleEndian));
  }
  if (options.offsetSeconds !== undefined) {
    const value = new DataView(new ArrayBuffer(8));
    value.setBigInt64(0, options.offsetSeconds, littleEndian);
    parts.push(ngOption(14, Buffer.from(value.buffer), littleEndian));
  }
  parts.push(Buffer.alloc(4));
  return { type: 1, body: Buffer.concat(parts) };
}

function ngOption(code: number, value: Buffer, littleEndian: boolean): Buffer {
  const head = new DataView(new ArrayBuffer(4));
  head.setUint16(0, code, littleEndian);
  head.setUint16(2, value.length, littleEndian);
  return Buffer.concat([
    Buffer.from(head.buffer),
    value,
    Buffer.alloc((4 - (value.length % 4)) % 4),
  ]);
}

export function enhancedPacket(
  options: { readonly id?: number; readonly ticks: bigint; readonly frame: Uint8Array },
  littleEndian: boolean = true,
): NgBlock {
  const { id = 0, ticks, frame } = options;
  const head = new DataView(new ArrayBuffer(20));
  head.setUint32(0, id, littleEndian);
  head.setUint32(4, Number(ticks >> 32n), littleEndian);
  head.setUint32(8, Number(ticks & 0xffffffffn), littleEndian);
  head.setUint32(12, frame.length, littleEndian);
  head.setUint32(16, frame.length, littleEndian);
  return { type: 6, body: Buffer.concat([Buffer.from(head.buffer), frame]) };
}

export function simplePacket(frame: Uint8Array, littleEndian: boolean = true): NgBlock {
  const head = new DataView(new ArrayBuffer(4));
  head.setUint32(0, frame.length, littleEndian);
  return { type: 3, body: Buffer.concat([Buffer.from(head.buffer), frame]) };
}

export const CLIENT: Host = { address: "10.0.0.1", port: 40_000 };
export const SERVER: Host = { address: "10.0.0.2", port: 80 };
/** 2023-11-14T22:13:20.123456789Z: not a whole microsecond, and not exact as a double. */
export const START_NS = 1_700_000_000_123_456_789n;
const STEP_NS = 1_000_003n;

/** One TCP connection as packets, one a call, a step of time apart. */
export class TcpTalk {
  readonly packets: CapturedPacket[] = [];
  readonly #hosts: readonly [Host, Host];
  readonly #wrap: (packet: Uint8Array) => Uint8Array;
  /** Next sequence number of the client and of the server. */
  readonly next: [number, number];
  timeNs: bigint = START_NS;

  constructor(
    options: {
      readonly client?: Host;
      readonly server?: Host;
      readonly starts?: readonly [number, number];
      readonly wrap?: (packet: Uint8Array) => Uint8Array;
    } = {},
  ) {
    this.#hosts = [options.client ?? CLIENT, options.server ?? SERVER];
    this.#wrap = options.wrap ?? WRAPS["ethernet"]?.wrap ?? Buffer.from;
    this.next = [options.starts?.[0] ?? 1000, options.starts?.[1] ?? 2000];
  }

  open(): this {
    this.#send(0, "S");
    this.next[0] = (this.next[0] + 1) >>> 0;
    this.#send(1, "SA");
    this.next[1] = (this.next[1] + 1) >>> 0;
    return this.#send(0, "A");
  }

  /** `segmentBytes`: how much a packet carries. */
  request(text: string, segmentBytes?: number): this {
    return this.#data(0, text, segmentBytes);
  }

  response(text: string, segmentBytes?: number): this {
    return this.#data(1, text, segmentBytes);
  }

  /** Bytes that were sent and not captured. */
  lost(side: 0 | 1, count: number): this {
    this.next[side] = (this.next[side] + count) >>> 0;
    return this;
  }

  close(): this {
    for (const side of [0, 1] as const) {
      this.#send(side, "FA");
      this.next[side] = (this.next[side] + 1) >>> 0;
    }
    return this.#send(0, "A");
  }

  reset(): this {
    return this.#send(1, "R");
  }

  wait(ns: bigint): this {
    this.timeNs += ns;
    return this;
  }

  #data(side: 0 | 1, text: string, segmentBytes = 1400): this {
    const bytes = Buffer.from(text, "latin1");
    for (let at = 0; at < bytes.length; at += segmentBytes) {
      const payload = bytes.subarray(at, at + segmentBytes);
      this.#send(side, "PA", payload);
      this.next[side] = (this.next[side] + payload.length) >>> 0;
    }
    return this;
  }

  #send(side: 0 | 1, flags: string, payload?: Uint8Array): this {
    const other = side === 0 ? 1 : 0;
    const fields: TcpFields = {
      from: this.#hosts[side],
      to: this.#hosts[other],
      sequence: this.next[side],
      acknowledged: flags === "S" ? 0 : this.next[other],
      flags,
      ...(payload === undefined ? {} : { payload }),
    };
    this.packets.push({ timeNs: this.timeNs, frame: this.#wrap(tcpPacket(fields)) });
    this.timeNs += STEP_NS;
    return this;
  }
}
