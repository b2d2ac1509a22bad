// SPDX-License-Identifier: Apache-2.0
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { Rewriter, type Visitor } from "../../src/attributes/rewriter.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../../src/conntrack/nat-entry.ts";
import { Lookup } from "../../src/conntrack/nat-table.ts";
import type { ServiceEndpoints } from "../../src/kubernetes/service-endpoints.ts";
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
const BY_KUBERNETES = encodedText("kubernetes");
const NS_PER_MS = 1e6;

export interface PointRewriterParts {
  readonly destinations: Destinations | undefined;
  readonly services?: ServiceEndpoints | undefined;
  readonly counts: Counts;
  readonly nowMs: () => number;
}

/** Puts the real addresses into data points, where there is only one. */
export function createPointRewriter(parts: PointRewriterParts): Rewriter {
  return new Rewriter({ path: itemPath("metrics"), visitor: new PointVisitor(parts) });
}

interface End {
  readonly at: number;
  readonly port: number;
  readonly address: RewrittenKey;
  readonly portKey: RewrittenKey;
}

class PointVisitor implements Visitor {
  readonly #parts: PointRewriterParts;
  readonly #lookup = new Lookup();
  #isTracked = false;
  readonly #facts = new Facts();
  readonly #list = new AttributeList();
  readonly #changes = new Changes(this.#list);

  constructor(parts: PointRewriterParts) {
    this.#parts = parts;
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
    this.#isTracked = false;
    if (facts.hasServer) {
      const keys = { address: SERVER_ADDRESS, portKey: SERVER_PORT };
      this.#change({ at: SERVER, port: facts.serverPort, ...keys });
    }
    if (facts.hasPeer) {
      this.#change({ at: PEER, port: facts.peerPort, address: PEER_ADDRESS, portKey: PEER_PORT });
    }
    if (!this.#list.isChanged) return false;
    const { counts } = this.#parts;
    this.#list.put(NAT_EVIDENCE.utf8, this.#isTracked ? BY_CONNTRACK : BY_KUBERNETES);
    (this.#isTracked ? counts.byConntrack : counts.byKubernetes).add(1);
    return true;
  }

  write(out: ProtoWriter): void {
    this.#list.writeTo(out);
  }

  #change(end: End): void {
    const { at, port } = end;
    const { words, protocol } = this.#facts;
    const { destinations, counts } = this.#parts;
    if (port === 0) return;
    const find = (wanted: number) =>
      protocol === 0 || protocol === wanted
        ? destinations?.find(words, at, port, wanted)
        : undefined;
    const [tcp, udp] = [find(IPPROTO_TCP), find(IPPROTO_UDP)];
    const real = tcp ?? udp;
    if (real === undefined) this.#changeServed(end);
    else if (real.isAmbiguous || (tcp !== undefined && udp !== undefined)) counts.ambiguous.add(1);
    else {
      this.#isTracked = true;
      this.#put(end, real.words, real.port);
    }
  }

  /** Where connections are not tracked: who has stood behind the service lately. */
  #changeServed(end: End): void {
    const { services, counts, nowMs } = this.#parts;
    if (services === undefined) return;
    const { words, protocol } = this.#facts;
    const lookup = this.#lookup;
    lookup.startNs = nowMs() * NS_PER_MS;
    lookup.protocol = protocol === 0 ? IPPROTO_TCP : protocol;
    const resolution = services.resolve(words, end.at, end.port, lookup);
    if (resolution === "ambiguous") counts.ambiguous.add(1);
    else if (resolution === "found") this.#put(end, lookup.real, lookup.realPort);
  }

  #put({ at, port, address, portKey }: End, real: Int32Array, realPort: number): void {
    const { words } = this.#facts;
    this.#changes.address(address, { from: words, fromAt: at, to: real, toAt: 0 });
    this.#changes.port(portKey, port, realPort);
  }
}
