// SPDX-License-Identifier: Apache-2.0
/** Packets as bytes, for tests: what RFC 791, 8200, 9293, 768 and the tunnels' documents say. */

export interface Host {
  /** Dotted, or eight full groups. */
  readonly address: string;
  readonly port: number;
}

export interface TcpFields {
  readonly from: Host;
  readonly to: Host;
  readonly sequence: number;
  readonly acknowledged?: number;
  /** `S`, `F`, `R`, `A`, `P` */
  readonly flags?: string;
  readonly payload?: Uint8Array;
}

const FLAGS = { F: 1, S: 2, R: 4, P: 8, A: 16 } as const;

function u16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}

function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value)];
}

function isV6(address: string): boolean {
  return address.includes(":");
}

function addressBytes(address: string): number[] {
  if (!isV6(address)) return address.split(".").map(Number);
  return address.split(":").flatMap((group) => u16(Number.parseInt(group, 16)));
}

export function tcpSegment(fields: TcpFields): Buffer {
  const flags = [...(fields.flags ?? "A")].reduce(
    (sum, flag) => sum | (Object.entries(FLAGS).find(([name]) => name === flag)?.[1] ?? 0),
    0,
  );
  return Buffer.from([
    ...u16(fields.from.port),
    ...u16(fields.to.port),
    ...u32(fields.sequence),
    ...u32(fields.acknowledged ?? 0),
    0x80,
    flags,
    ...[0xff, 0xff, 0, 0, 0, 0],
    // Three times "no operation" and "end": twelve bytes of options.
    ...[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1],
    ...(fields.payload ?? []),
  ]);
}

export function udpDatagram(from: Host, to: Host, payload: Uint8Array): Buffer {
  const ports = [...u16(from.port), ...u16(to.port)];
  return Buffer.from([...ports, ...u16(8 + payload.length), 0, 0, ...payload]);
}

export interface IpFields {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly identification?: number;
  /** Offset in bytes, and whether more come. */
  readonly fragment?: { readonly offset: number; readonly more: boolean };
}

/** IPv4 or IPv6 by the addresses. */
export function ipPacket(fields: IpFields): Buffer {
  return isV6(fields.from) ? ipv6Packet(fields) : ipv4Packet(fields);
}

function ipv4Packet({
  from,
  to,
  protocol,
  payload,
  identification = 1,
  fragment,
}: IpFields): Buffer {
  const field = fragment === undefined ? 0 : (fragment.more ? 0x2000 : 0) | (fragment.offset >> 3);
  return Buffer.from([
    ...[0x45, 0, ...u16(20 + payload.length), ...u16(identification), ...u16(field)],
    ...[64, protocol, 0, 0, ...addressBytes(from), ...addressBytes(to), ...payload],
  ]);
}

function ipv6Packet({
  from,
  to,
  protocol,
  payload,
  identification = 1,
  fragment,
}: IpFields): Buffer {
  const header =
    fragment === undefined
      ? []
      : [protocol, 0, ...u16(fragment.offset | (fragment.more ? 1 : 0)), ...u32(identification)];
  const next = fragment === undefined ? protocol : 44;
  return Buffer.from([
    ...[0x60, 0, 0, 0, ...u16(header.length + payload.length), next, 64],
    ...[...addressBytes(from), ...addressBytes(to), ...header, ...payload],
  ]);
}

const MACS = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

export function ethernet(etherType: number, payload: Uint8Array): Buffer {
  return Buffer.from([...MACS, ...u16(etherType), ...payload]);
}

export function etherTypeOf(packet: Uint8Array): number {
  return (packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800;
}

export function tcpPacket(fields: TcpFields): Buffer {
  const payload = tcpSegment(fields);
  return ipPacket({ from: fields.from.address, to: fields.to.address, protocol: 6, payload });
}

export function udpPacket(from: Host, to: Host, payload: Uint8Array): Buffer {
  const datagram = udpDatagram(from, to, payload);
  return ipPacket({ from: from.address, to: to.address, protocol: 17, payload: datagram });
}

/** The frame that carries an IP packet, plainly or through a tunnel. */
export type Wrap = (packet: Uint8Array) => Buffer;

const OUTER = { from: "192.0.2.1", to: "192.0.2.2" };

function outer(protocol: number, payload: Uint8Array): Buffer {
  return ethernet(0x0800, ipPacket({ ...OUTER, protocol, payload }));
}

function outerUdp(port: number, payload: Uint8Array): Buffer {
  const from = { address: OUTER.from, port: 55_555 };
  return ethernet(0x0800, udpPacket(from, { address: OUTER.to, port }, payload));
}

const inEthernet: Wrap = (packet) => ethernet(etherTypeOf(packet), packet);

/** By link type and name: each must give the same segments. */
export const WRAPS: Readonly<Record<string, { readonly linkType: number; readonly wrap: Wrap }>> = {
  ethernet: { linkType: 1, wrap: inEthernet },
  "ethernet with padding": {
    linkType: 1,
    wrap: (packet) => Buffer.concat([inEthernet(packet), Buffer.alloc(6)]),
  },
  vlan: {
    linkType: 1,
    wrap: (packet) => ethernet(0x8100, Buffer.from([0, 7, ...u16(etherTypeOf(packet)), ...packet])),
  },
  QinQ: {
    linkType: 1,
    wrap: (packet) =>
      ethernet(0x88a8, Buffer.from([0, 7, 0x81, 0, 0, 8, ...u16(etherTypeOf(packet)), ...packet])),
  },
  "MPLS with two labels": {
    linkType: 1,
    wrap: (packet) => ethernet(0x8847, Buffer.from([0, 1, 0, 64, 0, 2, 1, 64, ...packet])),
  },
  "MPLS with a pseudowire": {
    linkType: 1,
    wrap: (packet) =>
      ethernet(0x8847, Buffer.from([0, 1, 1, 64, 0, 0, 0, 0, ...inEthernet(packet)])),
  },
  PPPoE: {
    linkType: 1,
    wrap: (packet) => {
      const protocol = etherTypeOf(packet) === 0x0800 ? 0x0021 : 0x0057;
      const head = [0x11, 0, 0, 9, ...u16(packet.length + 2), ...u16(protocol)];
      return ethernet(0x8864, Buffer.from([...head, ...packet]));
    },
  },
  VXLAN: {
    linkType: 1,
    wrap: (packet) => outerUdp(4789, Buffer.from([8, 0, 0, 0, 0, 0, 9, 0, ...inEthernet(packet)])),
  },
  "Geneve with options": {
    linkType: 1,
    wrap: (packet) =>
      outerUdp(
        6081,
        Buffer.from([1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 4, ...inEthernet(packet)]),
      ),
  },
  GRE: {
    linkType: 1,
    wrap: (packet) => outer(47, Buffer.from([0, 0, ...u16(etherTypeOf(packet)), ...packet])),
  },
  "GRE with checksum, key and sequence, bridging": {
    linkType: 1,
    wrap: (packet) => {
      const head = [0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1];
      return outer(47, Buffer.from([...head, ...inEthernet(packet)]));
    },
  },
  "ERSPAN II": {
    linkType: 1,
    wrap: (packet) => {
      const head = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 2, 0, 0, 0, 0];
      return outer(47, Buffer.from([...head, ...inEthernet(packet)]));
    },
  },
  "ERSPAN III": {
    linkType: 1,
    wrap: (packet) => {
      const head = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
      return outer(47, Buffer.from([...head, ...inEthernet(packet)]));
    },
  },
  "IP in IP, or 6in4": {
    linkType: 1,
    wrap: (packet) => outer(etherTypeOf(packet) === 0x0800 ? 4 : 41, packet),
  },
  "Linux cooked": {
    linkType: 113,
    wrap: (packet) => {
      const head = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
      return Buffer.from([...head, ...u16(etherTypeOf(packet)), ...packet]);
    },
  },
  "Linux cooked, version 2": {
    linkType: 276,
    wrap: (packet) => {
      const rest = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
      return Buffer.from([...u16(etherTypeOf(packet)), ...rest, ...packet]);
    },
  },
  "raw IP": { linkType: 101, wrap: (packet) => Buffer.from(packet) },
  "BSD loopback": {
    linkType: 0,
    wrap: (packet) => Buffer.from([etherTypeOf(packet) === 0x0800 ? 2 : 30, 0, 0, 0, ...packet]),
  },
  "OpenBSD loopback": {
    linkType: 108,
    wrap: (packet) => Buffer.from([0, 0, 0, etherTypeOf(packet) === 0x0800 ? 2 : 24, ...packet]),
  },
};

/** A packet cut into fragments of `bytes` bytes (a multiple of 8) of payload. */
export function fragmentsOf(fields: IpFields, bytes: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let offset = 0; offset < fields.payload.length; offset += bytes) {
    const payload = fields.payload.subarray(offset, offset + bytes);
    const more = offset + bytes < fields.payload.length;
    pieces.push(ipPacket({ ...fields, payload, fragment: { offset, more } }));
  }
  return pieces;
}
