// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_SERVER_ADDRESS,
} from "@opentelemetry/semantic-conventions";
import {
  ATTR_DB_NAME,
  ATTR_DB_SYSTEM,
  ATTR_HTTP_METHOD,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_SYSTEM,
  ATTR_NET_PEER_NAME,
  ATTR_PEER_SERVICE,
  ATTR_RPC_SYSTEM,
  ATTR_RPC_SYSTEM_NAME,
} from "@opentelemetry/semantic-conventions/incubating";
import type { SpanView } from "../pdata/span-view.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";

const ATTRIBUTES_FIELD = 9;
const encoder = new TextEncoder();

/** What an attribute tells of the other end; later names are older ones of the same. */
const KEYS = {
  dbSystem: [ATTR_DB_SYSTEM_NAME, ATTR_DB_SYSTEM],
  dbNamespace: [ATTR_DB_NAMESPACE, ATTR_DB_NAME],
  messagingSystem: [ATTR_MESSAGING_SYSTEM],
  destination: [ATTR_MESSAGING_DESTINATION_NAME],
  rpcSystem: [ATTR_RPC_SYSTEM_NAME, ATTR_RPC_SYSTEM],
  httpMethod: [ATTR_HTTP_REQUEST_METHOD, ATTR_HTTP_METHOD],
  address: [ATTR_PEER_SERVICE, ATTR_SERVER_ADDRESS, ATTR_NET_PEER_NAME],
} as const;
type Role = keyof typeof KEYS;

/** Where a text stands; `start` -1 when it is absent. */
export interface Place {
  start: number;
  stop: number;
}

/** Begins the attributes that name what a translated address was before. */
const REWRITTEN_PREFIX = encoder.encode("network.original.");

interface KnownKey {
  readonly utf8: Uint8Array;
  readonly role: Role;
}

function isRole(name: string): name is Role {
  return name in KEYS;
}

const BY_LENGTH = new Map<number, KnownKey[]>();
for (const [role, names] of Object.entries(KEYS)) {
  for (const name of names) {
    const utf8 = encoder.encode(name);
    const same = BY_LENGTH.get(utf8.length) ?? [];
    if (isRole(role)) BY_LENGTH.set(utf8.length, [...same, { utf8, role }]);
  }
}

/** Finds in a span what names the other end of its call; makes nothing but numbers. */
export class PeerReader {
  readonly dbSystem: Place = absent();
  readonly dbNamespace: Place = absent();
  readonly messagingSystem: Place = absent();
  readonly destination: Place = absent();
  readonly rpcSystem: Place = absent();
  readonly httpMethod: Place = absent();
  readonly address: Place = absent();
  isRewritten = false;
  readonly #attributes = new FieldReader();
  readonly #pair = new FieldReader();
  readonly #value = new FieldReader();
  readonly #places: readonly Place[] = [
    this.dbSystem,
    this.dbNamespace,
    this.messagingSystem,
    this.destination,
    this.rpcSystem,
    this.httpMethod,
    this.address,
  ];

  read({ bytes, start, end }: SpanView): void {
    for (const place of this.#places) place.start = -1;
    this.isRewritten = false;
    const attributes = this.#attributes.reset(bytes, start, end);
    while (attributes.next()) {
      if (attributes.field !== ATTRIBUTES_FIELD || attributes.wireType !== WIRE_BYTES) continue;
      this.#readPair(bytes, attributes.start, attributes.stop);
    }
  }

  #readPair(bytes: Uint8Array, start: number, stop: number): void {
    const pair = this.#pair.reset(bytes, start, stop);
    let place: Place | undefined;
    while (pair.next()) {
      if (pair.wireType !== WIRE_BYTES) continue;
      if (pair.field === 1) {
        place = this.#placeOf(bytes, pair.start, pair.stop);
        if (place === undefined) return;
      } else if (pair.field === 2 && place !== undefined) {
        const value = this.#value.reset(bytes, pair.start, pair.stop);
        if (!value.next() || value.field !== 1 || value.wireType !== WIRE_BYTES) return;
        place.start = value.start;
        place.stop = value.stop;
      }
    }
  }

  #placeOf(bytes: Uint8Array, start: number, stop: number): Place | undefined {
    const length = stop - start;
    if (length > REWRITTEN_PREFIX.length && bytes[start] === 0x6e) {
      if (startsWith(bytes, start, REWRITTEN_PREFIX)) this.isRewritten = true;
    }
    const known = BY_LENGTH.get(length);
    if (known === undefined) return undefined;
    for (const { utf8, role } of known) {
      if (startsWith(bytes, start, utf8)) return this[role];
    }
    return undefined;
  }
}

function startsWith(bytes: Uint8Array, start: number, prefix: Uint8Array): boolean {
  for (let at = 0; at < prefix.length; at++) {
    if (bytes[start + at] !== prefix[at]) return false;
  }
  return true;
}

function absent(): Place {
  return { start: -1, stop: -1 };
}
