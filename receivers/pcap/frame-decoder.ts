// SPDX-License-Identifier: Apache-2.0
import { FragmentTable } from "./fragments.ts";
import {
  ERSPAN_2,
  ERSPAN_3,
  ETHERNET,
  IPV4,
  IPV6,
  Layer,
  MPLS,
  MPLS_UPSTREAM,
  OLD_PROVIDER_VLAN,
  OTHER,
  PPP,
  PPPOE,
  PROVIDER_VLAN,
  readEthernet,
  readLink,
  readMpls,
  readPpp,
  VLAN,
} from "./link.ts";
import type { Packet } from "./packet.ts";
import { ADDRESS_WORDS, Segment, TCP, UDP, u16, u32 } from "./segment.ts";

/** Why a packet gave no segment; `skip_` ones are not about data and no loss. */
export type Refusal = "not_ip" | "other_transport" | "fragment" | "cut" | "malformed" | "too_deep";

/** Headers inside headers; more is an attack. */
const LAYERS_MAX = 24;

/** IP protocol numbers. */
const HOP_BY_HOP = 0;
const IPV4_IN_IP = 4;
const IPV6_IN_IP = 41;
const ROUTING = 43;
const FRAGMENT = 44;
const GRE = 47;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;
const MPLS_IN_IP = 137;
const HIP = 139;
const SHIM6 = 140;

/** Registered, and what Linux used before. */
const VXLAN_PORTS: ReadonlySet<number> = new Set([4789, 8472]);
const GENEVE_PORT = 6081;
const TEREDO_PORT = 3544;
const TUNNEL_PORTS: ReadonlySet<number> = new Set([...VXLAN_PORTS, GENEVE_PORT, TEREDO_PORT]);

const MAPPED_IPV4 = 0xffff;

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const TCP_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;
/** What of a tunnel's header is needed to know it. */
const TUNNEL_HEADER_BYTES = 8;

/** From a captured packet to its innermost segment: links, tags, tunnels, IP, fragments. */
export class FrameDecoder {
  readonly segment: Segment = new Segment();
  readonly fragments: FragmentTable = new FragmentTable();
  readonly #layer = new Layer();
  #bytes: Uint8Array = new Uint8Array(0);
  /** Where what was captured ends, and where the innermost length so far says the packet ends. */
  #end = 0;
  #wireEnd = 0;
  #timeNs = 0;

  /** `undefined`: `segment` holds what the packet carries. */
  decode(packet: Packet): Refusal | undefined {
    this.#bytes = packet.bytes;
    this.#end = packet.end;
    this.#wireEnd = packet.start + packet.wireLength;
    this.#timeNs = packet.timeNs;
    const layer = this.#layer;
    readLink(layer, packet.linkType, packet.bytes, packet);
    for (let depth = 0; depth < LAYERS_MAX; depth++) {
      if (layer.at > this.#end) return "cut";
      switch (layer.type) {
        case IPV4:
        case IPV6: {
          const result = layer.type === IPV4 ? this.#ipv4() : this.#ipv6();
          if (result !== "inside") return result;
          break;
        }
        case OTHER:
          return "not_ip";
        default:
          if (!this.#below()) return "not_ip";
      }
    }
    return "too_deep";
  }

  /** Steps over a layer below IP; false when it is none that is known. */
  #below(): boolean {
    const layer = this.#layer;
    const bytes = this.#bytes;
    switch (layer.type) {
      case ETHERNET:
        readEthernet(layer, bytes);
        return true;
      case VLAN:
      case PROVIDER_VLAN:
      case OLD_PROVIDER_VLAN:
        return this.#go(u16(bytes, layer.at + 2), layer.at + 4);
      case MPLS:
      case MPLS_UPSTREAM:
        readMpls(layer, bytes, this.#end);
        return true;
      case PPPOE:
        readPpp(layer, bytes, layer.at + 6);
        return true;
      case PPP:
        readPpp(layer, bytes, u16(bytes, layer.at) === 0xff03 ? layer.at + 2 : layer.at);
        return true;
      case ERSPAN_2:
        return this.#go(ETHERNET, layer.at + 8);
      case ERSPAN_3:
        // The last bit says that a platform's own eight bytes follow.
        return this.#go(ETHERNET, layer.at + ((bytes[layer.at + 11] ?? 0) % 2 === 1 ? 20 : 12));
      default:
        return false;
    }
  }

  #go(type: number, at: number): true {
    this.#layer.type = type;
    this.#layer.at = at;
    return true;
  }

  #ipv4(): Refusal | "inside" | undefined {
    const bytes = this.#bytes;
    const { at } = this.#layer;
    if (at + IPV4_HEADER_BYTES > this.#end) return "cut";
    const headerBytes = ((bytes[at] ?? 0) & 15) * 4;
    // 0: the card cuts the segment later, the length is that of the frame.
    const total = u16(bytes, at + 2) || this.#wireEnd - at;
    if ((bytes[at] ?? 0) >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES || total < headerBytes) {
      return "malformed";
    }
    this.#wireEnd = Math.min(this.#wireEnd, at + total);
    const { segment } = this;
    segment.family = 4;
    mapIpv4(segment.addresses, 0, u32(bytes, at + 12));
    mapIpv4(segment.addresses, ADDRESS_WORDS, u32(bytes, at + 16));
    const fragmentation = u16(bytes, at + 6);
    const protocol = bytes[at + 9] ?? 0;
    const next = at + headerBytes;
    if ((fragmentation & 0x3fff) === 0) return this.#transport(protocol, next);
    return this.#fragment({
      protocol,
      at: next,
      identification: u16(bytes, at + 4),
      offset: (fragmentation & 0x1fff) * 8,
      isLast: (fragmentation & 0x2000) === 0,
    });
  }

  #ipv6(): Refusal | "inside" | undefined {
    const bytes = this.#bytes;
    const { at } = this.#layer;
    if (at + IPV6_HEADER_BYTES > this.#end) return "cut";
    if ((bytes[at] ?? 0) >>> 4 !== 6) return "malformed";
    const payload = u16(bytes, at + 4);
    const { segment } = this;
    segment.family = 6;
    for (let word = 0; word < 2 * ADDRESS_WORDS; word++) {
      segment.addresses[word] = u32(bytes, at + 8 + 4 * word);
    }
    let next = at + IPV6_HEADER_BYTES;
    // 0: a jumbogram, or a segment that the card cuts later.
    if (payload !== 0) this.#wireEnd = Math.min(this.#wireEnd, next + payload);
    let protocol = bytes[at + 6] ?? 0;
    for (let headers = 0; isExtension(protocol); headers++) {
      if (headers >= LAYERS_MAX) return "too_deep";
      if (next + 8 > this.#end) return "cut";
      const own = protocol;
      protocol = bytes[next] ?? 0;
      if (own === FRAGMENT) {
        const field = u16(bytes, next + 2);
        const isWhole = (field & 0xfff9) === 0;
        if (!isWhole) {
          return this.#fragment({
            protocol,
            at: next + 8,
            identification: u32(bytes, next + 4),
            offset: field & 0xfff8,
            isLast: (field & 1) === 0,
          });
        }
        next += 8;
      } else {
        const units = bytes[next + 1] ?? 0;
        next += own === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8;
      }
    }
    return this.#transport(protocol, next);
  }

  #fragment(fragment: {
    readonly protocol: number;
    readonly at: number;
    readonly identification: number;
    readonly offset: number;
    readonly isLast: boolean;
  }): Refusal | "inside" | undefined {
    const { at, protocol } = fragment;
    if (this.#wireEnd > this.#end || at > this.#wireEnd) {
      this.fragments.dropped++;
      return "cut";
    }
    const whole = this.fragments.add({
      ...fragment,
      addresses: this.segment.addresses,
      bytes: this.#bytes.subarray(at, this.#wireEnd),
      timeNs: this.#timeNs,
    });
    if (whole === undefined) return "fragment";
    this.#bytes = whole;
    this.#end = whole.length;
    this.#wireEnd = whole.length;
    return this.#transport(protocol, 0);
  }

  #transport(protocol: number, at: number): Refusal | "inside" | undefined {
    switch (protocol) {
      case TCP:
        return this.#tcp(at);
      case UDP:
        return this.#udp(at);
      case IPV4_IN_IP:
        return this.#inside(IPV4, at);
      case IPV6_IN_IP:
        return this.#inside(IPV6, at);
      case MPLS_IN_IP:
        return this.#inside(MPLS, at);
      case GRE:
        return this.#gre(at);
      case AUTHENTICATION: {
        if (at + 8 > this.#end) return "cut";
        const next = at + ((this.#bytes[at + 1] ?? 0) + 2) * 4;
        const inner = this.#bytes[at] ?? 0;
        return inner === AUTHENTICATION ? "malformed" : this.#transport(inner, next);
      }
      default:
        return "other_transport";
    }
  }

  #inside(type: number, at: number): "inside" {
    this.#go(type, at);
    return "inside";
  }

  /** RFC 2784, 2890; version 1 of RFC 2637 carries PPP. */
  #gre(at: number): Refusal | "inside" {
    const bytes = this.#bytes;
    if (at + 4 > this.#end) return "cut";
    const flags = u16(bytes, at);
    const version = flags & 7;
    const type = u16(bytes, at + 2);
    const isSequenced = (flags & 0x1000) !== 0;
    let next = at + 4;
    if ((flags & 0x8000) !== 0) next += 4;
    if ((flags & 0x2000) !== 0 || version === 1) next += 4;
    if (isSequenced) next += 4;
    if (version === 1 && (flags & 0x0080) !== 0) next += 4;
    // Source routes (RFC 1701) are long obsolete.
    if (version > 1 || (flags & 0x4000) !== 0) return "malformed";
    // ERSPAN type I has neither sequence numbers nor a header of its own.
    if (type === ERSPAN_2 && !isSequenced) return this.#inside(ETHERNET, next);
    return this.#inside(type, next);
  }

  #tcp(at: number): Refusal | undefined {
    const bytes = this.#bytes;
    if (at + TCP_HEADER_BYTES > this.#end) return "cut";
    const { segment } = this;
    const headerBytes = ((bytes[at + 12] ?? 0) >>> 4) * 4;
    if (headerBytes < TCP_HEADER_BYTES || at + headerBytes > this.#wireEnd) return "malformed";
    segment.protocol = TCP;
    segment.sourcePort = u16(bytes, at);
    segment.destinationPort = u16(bytes, at + 2);
    segment.sequence = u32(bytes, at + 4);
    segment.acknowledged = u32(bytes, at + 8);
    segment.flags = bytes[at + 13] ?? 0;
    this.#payload(at + headerBytes);
    return undefined;
  }

  #udp(at: number): Refusal | "inside" | undefined {
    const bytes = this.#bytes;
    if (at + UDP_HEADER_BYTES > this.#end) return "cut";
    const { segment } = this;
    const length = u16(bytes, at + 4);
    // 0: a jumbogram.
    if (length !== 0 && length < UDP_HEADER_BYTES) return "malformed";
    if (length !== 0) this.#wireEnd = Math.min(this.#wireEnd, at + length);
    segment.protocol = UDP;
    segment.sourcePort = u16(bytes, at);
    segment.destinationPort = u16(bytes, at + 2);
    segment.sequence = 0;
    segment.acknowledged = 0;
    segment.flags = 0;
    const payload = at + UDP_HEADER_BYTES;
    const isCut = this.#end < this.#wireEnd && payload + TUNNEL_HEADER_BYTES > this.#end;
    if (isCut && TUNNEL_PORTS.has(segment.destinationPort)) return "cut";
    if (this.#tunnel(payload)) return "inside";
    this.#payload(payload);
    return undefined;
  }

  /** VXLAN (RFC 7348) and Geneve (RFC 8926), by destination port and a header that can be one. */
  #tunnel(at: number): boolean {
    const bytes = this.#bytes;
    const port = this.segment.destinationPort;
    if (at + TUNNEL_HEADER_BYTES > this.#end) return false;
    if (VXLAN_PORTS.has(port) && (bytes[at] ?? 0) === 0x08 && bytes[at + 7] === 0) {
      return this.#go(ETHERNET, at + 8);
    }
    if (port === GENEVE_PORT && (bytes[at] ?? 0) >>> 6 === 0) {
      return this.#go(u16(bytes, at + 2), at + 8 + ((bytes[at] ?? 0) & 0x3f) * 4);
    }
    const isTeredo = port === TEREDO_PORT && (bytes[at] ?? 0) >>> 4 === 6;
    return isTeredo && this.#go(IPV6, at);
  }

  #payload(at: number): void {
    const { segment } = this;
    segment.bytes = this.#bytes;
    segment.start = at;
    segment.length = Math.max(0, this.#wireEnd - at);
    segment.captured = Math.max(0, Math.min(this.#end - at, segment.length));
    segment.timeNs = this.#timeNs;
  }
}

function mapIpv4(addresses: Uint32Array, at: number, address: number): void {
  addresses[at] = 0;
  addresses[at + 1] = 0;
  addresses[at + 2] = MAPPED_IPV4;
  addresses[at + 3] = address;
}

function isExtension(protocol: number): boolean {
  switch (protocol) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
    case MOBILITY:
    case HIP:
    case SHIM6:
      return true;
    default:
      return false;
  }
}
