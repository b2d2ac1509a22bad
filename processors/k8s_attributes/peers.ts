// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_PEER_SERVICE,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
} from "@opentelemetry/semantic-conventions/incubating";
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import type { Visitor } from "../../src/attributes/rewriter.ts";
import type { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64 } from "../../src/pdata/wire.ts";
import type { Cluster } from "./cluster.ts";
import type { K8sAttributesConfig } from "./config.ts";
import { Extraction, type Found } from "./extraction.ts";

const SPAN_ATTRIBUTES = 9;
const KEY = 1;
const VALUE = 2;
const STRING_VALUE = 1;
const ADDRESS = Buffer.from(ATTR_NETWORK_PEER_ADDRESS);
const NAME = Buffer.from(ATTR_SERVICE_PEER_NAME);
const ADDRESSES_MAX = 8_192;
const START_TIME = 7;
const NS_PER_MS = 1e6;

/** What the other end's own resource would have as `k8s.…`. */
const PREFIX = "peer.";

interface Peer {
  readonly address: Uint8Array;
  /** Several pods had it: it depends on the time. */
  readonly isShared: boolean;
  /** Key and AnyValue; none: nobody has this address. */
  readonly attributes: readonly (readonly [Uint8Array, Uint8Array])[];
}

/**
 * Names the remote end of each span: the pod that has `network.peer.address`, or the service
 * whose virtual address it is. Looked up once an address and change, by the address's bytes.
 */
export class PeerVisitor implements Visitor {
  readonly #cluster: Cluster;
  readonly #extraction: Extraction;
  readonly #list = new AttributeList();
  readonly #fields = new FieldReader();
  readonly #inner = new FieldReader();
  readonly #value = new FieldReader();
  readonly #peers = new Map<number, Peer>();
  #generation = -1;
  #addressStart = 0;
  #addressStop = 0;

  constructor(config: K8sAttributesConfig, cluster: Cluster) {
    this.#cluster = cluster;
    const metadata = config.extract.metadata.filter((name) => name.startsWith("k8s."));
    const extract = { ...config.extract, metadata, labels: [], annotations: [] };
    this.#extraction = new Extraction({ ...extract, otel_annotations: false }, cluster);
  }

  enter(): boolean {
    return true;
  }

  visit(bytes: Uint8Array, start: number, stop: number): boolean {
    if (!this.#findAddress(bytes, start, stop)) return false;
    const { attributes } = this.#peer(bytes, start, stop);
    if (attributes.length === 0) return false;
    const list = this.#list;
    list.read(bytes, start, stop, SPAN_ATTRIBUTES);
    if (list.find(NAME) !== -1) return false;
    for (const [key, value] of attributes) if (list.find(key) === -1) list.add(key, value);
    return list.isChanged;
  }

  write(out: ProtoWriter): void {
    this.#list.writeTo(out);
  }

  #findAddress(bytes: Uint8Array, start: number, stop: number): boolean {
    const fields = this.#fields.reset(bytes, start, stop);
    while (fields.next()) {
      if (fields.field !== SPAN_ATTRIBUTES || fields.wireType !== WIRE_BYTES) continue;
      if (this.#isAddress(fields)) return true;
    }
    return false;
  }

  #isAddress(attribute: FieldReader): boolean {
    const inner = this.#inner.reset(attribute.bytes, attribute.start, attribute.stop);
    let isNamed = false;
    while (inner.next()) {
      if (inner.wireType !== WIRE_BYTES) continue;
      if (inner.field === KEY) isNamed = isSame(inner, ADDRESS);
      if (inner.field !== VALUE || !isNamed) continue;
      const value = this.#value.reset(inner.bytes, inner.start, inner.stop);
      if (!value.next() || value.field !== STRING_VALUE || value.wireType !== WIRE_BYTES) continue;
      this.#addressStart = value.start;
      this.#addressStop = value.stop;
      return true;
    }
    return false;
  }

  #peer(bytes: Uint8Array, spanStart: number, spanStop: number): Peer {
    const [start, stop] = [this.#addressStart, this.#addressStop];
    if (this.#generation !== this.#cluster.generation || this.#peers.size > ADDRESSES_MAX) {
      this.#peers.clear();
      this.#generation = this.#cluster.generation;
    }
    let hash = 0x811c9dc5;
    for (let at = start; at < stop; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    const known = this.#peers.get(hash);
    const isKnown =
      known !== undefined && Buffer.compare(known.address, bytes.subarray(start, stop)) === 0;
    if (isKnown && !known.isShared) return known;
    const address = bytes.slice(start, stop);
    const ip = Buffer.from(address)
      .toString("latin1")
      .replace(/^::ffff:/, "");
    const isShared = this.#cluster.pods.isShared(ip);
    const atMs = isShared ? this.#startMs(bytes, spanStart, spanStop) : undefined;
    const attributes = [...this.#describe(ip, atMs)].map(
      ([name, value]) => [Buffer.from(name), encodeAnyValue(value)] as const,
    );
    const peer = { address, isShared, attributes };
    this.#peers.set(hash, peer);
    return peer;
  }

  #startMs(bytes: Uint8Array, start: number, stop: number): number | undefined {
    const fields = this.#fields.reset(bytes, start, stop);
    while (fields.next()) {
      if (fields.field !== START_TIME || fields.wireType !== WIRE_FIXED64) continue;
      const high = readFixed32(bytes, fields.start + 4);
      return (high * 2 ** 32 + readFixed32(bytes, fields.start)) / NS_PER_MS;
    }
    return undefined;
  }

  #describe(ip: string, atMs: number | undefined): Found {
    const found: Found = new Map();
    const pod = this.#cluster.pods.byIp(ip, atMs);
    if (pod !== undefined) {
      putName(found, this.#extraction.serviceName(pod));
      found.set(ATTR_SERVICE_PEER_NAMESPACE, pod.namespace);
      for (const [name, value] of this.#extraction.ofPod(pod)) found.set(PREFIX + name, value);
      return found;
    }
    const service = this.#cluster.serviceByIp(ip);
    if (service === undefined) return found;
    putName(found, service.name);
    found.set(ATTR_SERVICE_PEER_NAMESPACE, service.namespace);
    found.set(`${PREFIX}k8s.service.name`, service.name);
    found.set(`${PREFIX}k8s.namespace.name`, service.namespace);
    return found;
  }
}

/** `peer.service` is the older name, which most backends still draw their maps by. */
function putName(found: Found, name: string): void {
  found.set(ATTR_SERVICE_PEER_NAME, name);
  found.set(ATTR_PEER_SERVICE, name);
}

function isSame(reader: FieldReader, wanted: Uint8Array): boolean {
  if (reader.stop - reader.start !== wanted.length) return false;
  for (let at = 0; at < wanted.length; at++) {
    if (reader.bytes[reader.start + at] !== wanted[at]) return false;
  }
  return true;
}
