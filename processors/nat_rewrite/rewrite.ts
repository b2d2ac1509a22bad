// SPDX-License-Identifier: Apache-2.0
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { Rewriter, type Visitor } from "../../src/attributes/rewriter.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import { IPPROTO_TCP, IPPROTO_UDP, isSameAddress } from "../../src/conntrack/nat-entry.ts";
import { Lookup, type NatTable, type Resolution } from "../../src/conntrack/nat-table.ts";
import type { ServiceEndpoints } from "../../src/kubernetes/service-endpoints.ts";
import { itemPath } from "../../src/pdata/levels.ts";
import type { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import type { Counts } from "./counts.ts";
import { EncodedValues, encodedText } from "./encoded-values.ts";
import { CLIENT, Facts, LOCAL, PEER, SERVER, SPAN_ATTRIBUTES } from "./facts.ts";
import {
  CLIENT_ADDRESS,
  CLIENT_PORT,
  NAT_EVIDENCE,
  PEER_ADDRESS,
  PEER_PORT,
  type RewrittenKey,
  SERVER_ADDRESS,
  SERVER_PORT,
} from "./keys.ts";
import type { Pairs } from "./pairs.ts";

const BY_CONNTRACK = encodedText("conntrack");
const BY_NAME = encodedText("byte_name");
const BY_KUBERNETES = encodedText("kubernetes");

export interface SpanRewriterParts {
  readonly table: NatTable | undefined;
  readonly pairs: Pairs | undefined;
  readonly services?: ServiceEndpoints | undefined;
  readonly counts: Counts;
}

/** Puts the real addresses into spans, and what stood there beside them. */
export function createSpanRewriter(parts: SpanRewriterParts): Rewriter {
  return new Rewriter({ path: itemPath("traces"), visitor: new SpanVisitor(parts) });
}

/** Reads what spans say of their connections, and changes nothing. */
export function createSpanReader(pairs: Pairs): Rewriter {
  const facts = new Facts();
  const visitor: Visitor = {
    enter: () => true,
    visit: (bytes, start, stop) => {
      facts.readSpan(bytes, start, stop);
      if (!facts.isMalformed) pairs.learn(facts);
      return false;
    },
    write: () => {},
  };
  return new Rewriter({ path: itemPath("traces"), visitor });
}

class SpanVisitor implements Visitor {
  readonly #table: NatTable | undefined;
  readonly #pairs: Pairs | undefined;
  readonly #services: ServiceEndpoints | undefined;
  readonly #counts: Counts;
  readonly #facts = new Facts();
  readonly #lookup = new Lookup();
  readonly #list = new AttributeList();
  readonly #changes = new Changes(this.#list);

  constructor({ table, pairs, services, counts }: SpanRewriterParts) {
    this.#table = table;
    this.#services = services;
    this.#pairs = pairs;
    this.#counts = counts;
  }

  enter(): boolean {
    return true;
  }

  visit(bytes: Uint8Array, start: number, stop: number): boolean {
    const facts = this.#facts;
    facts.readSpan(bytes, start, stop);
    if (facts.isMalformed || !facts.hasPeer || facts.peerPort === 0) return false;
    const evidence = this.#resolve();
    if (evidence === undefined || this.#isAsIs()) return false;
    this.#list.read(bytes, start, stop, SPAN_ATTRIBUTES);
    this.#change();
    if (!this.#list.isChanged) return false;
    this.#list.put(NAT_EVIDENCE.utf8, evidence);
    this.#counterOf(evidence).add(1);
    return true;
  }

  write(out: ProtoWriter): void {
    this.#list.writeTo(out);
  }

  #counterOf(evidence: Uint8Array): Counter {
    if (evidence === BY_NAME) return this.#counts.byName;
    return evidence === BY_CONNTRACK ? this.#counts.byConntrack : this.#counts.byKubernetes;
  }

  /** The other end's own word first: it holds where tables are not read, too. */
  #resolve(): Uint8Array | undefined {
    if (this.#pairs?.resolve(this.#facts, this.#lookup) === true) return BY_NAME;
    const tracked = this.#resolveTracked();
    if (tracked === "found") return BY_CONNTRACK;
    const served = tracked === "none" ? this.#resolveServed() : "none";
    if (served === "found") return BY_KUBERNETES;
    if (tracked === "ambiguous" || served === "ambiguous") this.#counts.ambiguous.add(1);
    return undefined;
  }

  #resolveTracked(): Resolution {
    const facts = this.#facts;
    const lookup = this.#lookup;
    if (this.#table === undefined || !facts.hasLocal || facts.localPort === 0) return "none";
    for (let index = 0; index < 8; index++) lookup.words[index] = facts.words[LOCAL + index] ?? 0;
    lookup.localPort = facts.localPort;
    lookup.peerPort = facts.peerPort;
    lookup.startNs = facts.startNs;
    return resolveIn(this.#table, lookup, facts.protocol);
  }

  /** Who stands behind the service that a client asked. */
  #resolveServed(): Resolution {
    const { isServer, words, peerPort, startNs, protocol } = this.#facts;
    if (this.#services === undefined || isServer) return "none";
    const lookup = this.#lookup;
    lookup.startNs = startNs;
    lookup.protocol = protocol === 0 ? IPPROTO_TCP : protocol;
    const first = this.#services.resolve(words, PEER, peerPort, lookup);
    if (first !== "none" || protocol !== 0) return first;
    lookup.protocol = IPPROTO_UDP;
    return this.#services.resolve(words, PEER, peerPort, lookup);
  }

  #isAsIs(): boolean {
    const facts = this.#facts;
    const { real, realPort, ours, oursPort } = this.#lookup;
    if (facts.peerPort !== realPort || !isSameAddress(real, 0, facts.words, PEER)) return false;
    return (
      !facts.isServer ||
      (oursPort === facts.localPort && isSameAddress(ours, 0, facts.words, LOCAL))
    );
  }

  #change(): void {
    const facts = this.#facts;
    const changes = this.#changes;
    const { words, peerPort } = facts;
    const { real, realPort, ours, oursPort } = this.#lookup;
    if (facts.isServer) {
      if (facts.hasClient && isSameAddress(words, CLIENT, words, PEER)) {
        changes.address(CLIENT_ADDRESS, { from: words, fromAt: CLIENT, to: real, toAt: 0 });
        if (facts.clientPort === peerPort) changes.port(CLIENT_PORT, peerPort, realPort);
      }
      // The service's address, as clients ask for it.
      if (facts.hasServer && isSameAddress(words, SERVER, ours, 0)) {
        changes.address(SERVER_ADDRESS, { from: words, fromAt: SERVER, to: words, toAt: LOCAL });
        if (facts.serverPort === oursPort) changes.port(SERVER_PORT, oursPort, facts.localPort);
      }
    } else if (facts.hasServer && isSameAddress(words, SERVER, words, PEER)) {
      changes.address(SERVER_ADDRESS, { from: words, fromAt: SERVER, to: real, toAt: 0 });
      if (facts.serverPort === peerPort) changes.port(SERVER_PORT, peerPort, realPort);
    }
    changes.address(PEER_ADDRESS, { from: words, fromAt: PEER, to: real, toAt: 0 });
    changes.port(PEER_PORT, peerPort, realPort);
  }
}

/** Where the span does not say it is TCP or UDP (0), the one that gives an answer, if only one does. */
function resolveIn(table: NatTable, lookup: Lookup, protocol: number): Resolution {
  lookup.protocol = protocol === 0 ? IPPROTO_UDP : protocol;
  const first = table.resolve(lookup);
  if (protocol !== 0) return first;
  lookup.protocol = IPPROTO_TCP;
  if (first === "none") return table.resolve(lookup);
  if (table.resolve(lookup) !== "none") return "ambiguous";
  return first;
}

export interface AddressChange {
  readonly from: Int32Array;
  readonly fromAt: number;
  readonly to: Int32Array;
  readonly toAt: number;
}

/** Replaces attributes; the first original stays, also when another agent rewrote before. */
export class Changes {
  readonly #list: AttributeList;
  readonly #values = new EncodedValues();

  constructor(list: AttributeList) {
    this.#list = list;
  }

  address(key: RewrittenKey, { from, fromAt, to, toAt }: AddressChange): void {
    if (isSameAddress(from, fromAt, to, toAt)) return;
    this.#replace(key, this.#values.address(from, fromAt), this.#values.address(to, toAt));
  }

  port(key: RewrittenKey, from: number, to: number): void {
    if (from === to) return;
    this.#replace(key, this.#values.port(from), this.#values.port(to));
  }

  #replace({ own, original }: RewrittenKey, from: Uint8Array, to: Uint8Array): void {
    const list = this.#list;
    const index = list.find(own.utf8);
    if (index < 0) return;
    list.replace(index, to);
    if (list.find(original.utf8) < 0) list.add(original.utf8, from);
  }
}
