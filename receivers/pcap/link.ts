// SPDX-License-Identifier: Apache-2.0
import { LINK } from "./packet.ts";
import { u16, u32 } from "./segment.ts";

/** EtherTypes (IEEE 802 numbers) that are looked into; also used for layers that have none. */
export const IPV4 = 0x0800;
export const IPV6 = 0x86dd;
export const ETHERNET = 0x6558;
export const VLAN = 0x8100;
export const PROVIDER_VLAN = 0x88a8;
export const OLD_PROVIDER_VLAN = 0x9100;
export const MPLS = 0x8847;
export const MPLS_UPSTREAM = 0x8848;
export const PPPOE = 0x8864;
export const PPP = 0x880b;
export const ERSPAN_2 = 0x88be;
export const ERSPAN_3 = 0x22eb;
/** Nothing that carries IP. */
export const OTHER = 0;

/** What stands where: an EtherType and the offset of its bytes. */
export class Layer {
  type: number = OTHER;
  at = 0;
}

const PPP_IPV4 = 0x0021;
const PPP_IPV6 = 0x0057;
const PPP_MPLS = 0x0281;
/** Above it a length field is an EtherType (IEEE 802.3). */
const LENGTH_MAX = 1500;
const SNAP = 0xaaaa;
const NFLOG_PAYLOAD = 9;
/** BSD's AF_INET and the numbers that its descendants have for AF_INET6. */
const AF_INET = 2;
const AF_INET6: ReadonlySet<number> = new Set([10, 24, 28, 30]);

/** Steps over the link layer of a packet; leaves `OTHER` where no IP can follow. */
export function readLink(
  layer: Layer,
  linkType: number,
  bytes: Uint8Array,
  range: { readonly start: number; readonly end: number },
): void {
  const { start } = range;
  layer.at = start;
  layer.type = OTHER;
  switch (linkType) {
    case LINK.ethernet:
      layer.type = ETHERNET;
      return;
    case LINK.linuxSll:
      set(layer, u16(bytes, start + 14), start + 16);
      return;
    case LINK.linuxSll2:
      set(layer, u16(bytes, start), start + 20);
      return;
    case LINK.raw:
    case LINK.rawBsd:
    case LINK.rawOpenBsd:
    case LINK.ipv4:
    case LINK.ipv6:
      readVersion(layer, bytes, start);
      return;
    case LINK.null:
    case LINK.loop:
      readLoopback(layer, bytes, start);
      return;
    case LINK.ppp:
    case LINK.pppHdlc:
      readPpp(layer, bytes, u16(bytes, start) === 0xff03 ? start + 2 : start);
      return;
    case LINK.ciscoHdlc:
      set(layer, u16(bytes, start + 2), start + 4);
      return;
    case LINK.nflog:
      readNflog(layer, bytes, range);
      return;
    default:
  }
}

/** Ethernet's header, with 802.3 frames that carry SNAP. */
export function readEthernet(layer: Layer, bytes: Uint8Array): void {
  const type = u16(bytes, layer.at + 12);
  if (type > LENGTH_MAX) {
    set(layer, type, layer.at + 14);
    return;
  }
  const isSnap = u16(bytes, layer.at + 14) === SNAP;
  if (isSnap) set(layer, u16(bytes, layer.at + 20), layer.at + 22);
  else layer.type = OTHER;
}

/** PPP with its protocol field in one byte or two (RFC 1661, section 6.5). */
export function readPpp(layer: Layer, bytes: Uint8Array, at: number): void {
  const isShort = ((bytes[at] ?? 0) & 1) === 1;
  const protocol = isShort ? (bytes[at] ?? 0) : u16(bytes, at);
  const next = at + (isShort ? 1 : 2);
  if (protocol === PPP_IPV4) set(layer, IPV4, next);
  else if (protocol === PPP_IPV6) set(layer, IPV6, next);
  else if (protocol === PPP_MPLS) set(layer, MPLS, next);
  else layer.type = OTHER;
}

/** To the bottom of the label stack; what follows is IP by its version, or a pseudowire's frame. */
export function readMpls(layer: Layer, bytes: Uint8Array, end: number): void {
  let at = layer.at;
  while (at + 4 <= end) {
    const isBottom = ((bytes[at + 2] ?? 0) & 1) === 1;
    at += 4;
    if (!isBottom) continue;
    readVersion(layer, bytes, at);
    // RFC 4385: a control word starts with four zero bits.
    if (layer.type === OTHER && (bytes[at] ?? 0) >>> 4 === 0) set(layer, ETHERNET, at + 4);
    return;
  }
  layer.type = OTHER;
}

/** IP without a header before it: the version is in the first four bits. */
function readVersion(layer: Layer, bytes: Uint8Array, at: number): void {
  const version = (bytes[at] ?? 0) >>> 4;
  set(layer, version === 4 ? IPV4 : version === 6 ? IPV6 : OTHER, at);
}

/** The address family in the byte order of the machine that captured. */
function readLoopback(layer: Layer, bytes: Uint8Array, start: number): void {
  const big = u32(bytes, start);
  const family = big > 0xffff ? (bytes[start] ?? 0) : big;
  if (family === AF_INET) set(layer, IPV4, start + 4);
  else if (AF_INET6.has(family)) set(layer, IPV6, start + 4);
}

/** Netlink attributes in the machine's byte order; little endian in practice. */
function readNflog(
  layer: Layer,
  bytes: Uint8Array,
  { start, end }: { readonly start: number; readonly end: number },
): void {
  let at = start + 4;
  while (at + 4 <= end) {
    const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    const type = (bytes[at + 2] ?? 0) | (((bytes[at + 3] ?? 0) & 0x7f) << 8);
    if (length < 4) return;
    if (type === NFLOG_PAYLOAD) {
      readVersion(layer, bytes, at + 4);
      return;
    }
    at += (length + 3) & ~3;
  }
}

function set(layer: Layer, type: number, at: number): void {
  layer.type = type;
  layer.at = at;
}
