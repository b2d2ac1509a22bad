// SPDX-License-Identifier: Apache-2.0
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { Rewriter, type Visitor } from "../../src/attributes/rewriter.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../../src/conntrack/nat-entry.ts";
import { itemPath } from "../../src/pdata/levels.ts";
import type { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import type { Counts } from "./counts.ts";
import type { Destinations } from "./destinations.ts";
import { encodedText } from "./encoded-values.ts";
import { Facts, PEER, SERVER } from "./facts.ts";
import {
  NAT_EVIDENCE,
  PEER_ADDRESS,
  PEER_PORT,
  type RewrittenKey,
  SERVER_ADDRESS,
  SERVER_PORT,
} from "./keys.ts";
import { Changes } from "./rewrite.ts";

/** Attributes of a data point, by the field of the metric that it stands in (metrics.proto). */
const POINT_ATTRIBUTES: Readonly<Record<number, number>> = { 5: 7, 7: 7, 9: 9, 10: 1, 11: 7 };
const BY_CONNTRACK = encodedText("conntrack");

/** Puts the real addresses into data points, where there is only one. */
export function createPointRewriter(destinations: Destinations, counts: Counts): Rewriter {
  return new Rewriter({
    path: itemPath("metrics"),
    visitor: new PointVisitor(destinations, counts),
  });
}

interface End {
  readonly at: number;
  readonly port: number;
  readonly address: RewrittenKey;
  readonly portKey: RewrittenKey;
}

class PointVisitor implements Visitor {
  readonly #destinations: Destinations;
  readonly #counts: Counts;
  readonly #facts = new Facts();
  readonly #list = new AttributeList();
  readonly #changes = new Changes(this.#list);

  constructor(destinations: Destinations, counts: Counts) {
    this.#destinations = destinations;
    this.#counts = counts;
  }

  enter(): boolean {
    return true;
  }

  visit(bytes: Uint8Array, start: number, stop: number, parentField: number): boolean {
    const field = POINT_ATTRIBUTES[parentField] ?? 7;
    const facts = this.#facts;
    facts.readPoint(bytes, start, stop, field);
    if (facts.isMalformed || (!facts.hasServer && !facts.hasPeer)) return false;
    this.#list.read(bytes, start, stop, field);
    if (facts.hasServer) {
      const keys = { address: SERVER_ADDRESS, portKey: SERVER_PORT };
      this.#change({ at: SERVER, port: facts.serverPort, ...keys });
    }
    if (facts.hasPeer) {
      this.#change({ at: PEER, port: facts.peerPort, address: PEER_ADDRESS, portKey: PEER_PORT });
    }
    if (!this.#list.isChanged) return false;
    this.#list.put(NAT_EVIDENCE.utf8, BY_CONNTRACK);
    this.#counts.byConntrack.add(1);
    return true;
  }

  write(out: ProtoWriter): void {
    this.#list.writeTo(out);
  }

  #change({ at, port, address, portKey }: End): void {
    const { words, protocol } = this.#facts;
    if (port === 0) return;
    const tcp =
      protocol === IPPROTO_UDP ? undefined : this.#destinations.find(words, at, port, IPPROTO_TCP);
    const udp =
      protocol === IPPROTO_TCP ? undefined : this.#destinations.find(words, at, port, IPPROTO_UDP);
    const real = tcp ?? udp;
    if (real === undefined) return;
    if (real.isAmbiguous || (tcp !== undefined && udp !== undefined)) {
      this.#counts.ambiguous.add(1);
      return;
    }
    this.#changes.address(address, { from: words, fromAt: at, to: real.words, toAt: 0 });
    this.#changes.port(portKey, port, real.port);
  }
}
