// SPDX-License-Identifier: Apache-2.0
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import { addressText, endpointText } from "./endpoints.ts";
import type { Flow } from "./flow-table.ts";
import { ACK, ADDRESS_WORDS, type Segment, SYN, TCP } from "./segment.ts";
import type { Side } from "./tcp-streams.ts";

/** Listening endpoints that are remembered. */
const LISTENERS_MAX = 65_536;
/** Ports that only servers have (RFC 6335). */
const SYSTEM_PORT_MAX = 1023;

export interface ServerSide {
  readonly side: Side;
  /** False: a guess by the ports' numbers, to be corrected by what is said. */
  readonly isSure: boolean;
}

/** Tells which end of a connection answers. */
export class ServerSides {
  readonly #ports: ReadonlySet<number>;
  /** Endpoints that were seen to accept connections. */
  readonly #listeners = new Set<string>();

  /** `ports`: those that the configuration names. */
  constructor(ports: Iterable<number>) {
    this.#ports = new Set([...ports, ...PROTOCOLS.flatMap((protocol) => protocol.ports ?? [])]);
  }

  /** `segment` is the first of the flow, sent by side 0. */
  of(flow: Flow, segment: Segment): ServerSide {
    if (segment.protocol === TCP && (segment.flags & SYN) !== 0) {
      const server: Side = (segment.flags & ACK) === 0 ? 1 : 0;
      if (this.#listeners.size < LISTENERS_MAX) this.#listeners.add(nameOf(flow, server));
      return { side: server, isSure: true };
    }
    for (const isServer of [this.#isListener, this.#isKnownPort]) {
      const first = isServer(flow, 0);
      if (first !== isServer(flow, 1)) return { side: first ? 0 : 1, isSure: true };
    }
    return { side: guess(flow, segment), isSure: false };
  }

  readonly #isListener = (flow: Flow, side: Side): boolean =>
    this.#listeners.has(nameOf(flow, side));

  readonly #isKnownPort = (flow: Flow, side: Side): boolean => this.#ports.has(flow.ports[side]);
}

function guess(flow: Flow, segment: Segment): Side {
  const [first, second] = flow.ports;
  const isSystem = isSystemPort(flow, 0);
  if (isSystem !== isSystemPort(flow, 1)) return isSystem ? 0 : 1;
  // A datagram's first sender asks; in a stream the lower port listens, as a rule.
  if (segment.protocol !== TCP || first === second) return 1;
  return first < second ? 0 : 1;
}

function isSystemPort(flow: Flow, side: Side): boolean {
  return flow.ports[side] <= SYSTEM_PORT_MAX;
}

function nameOf(flow: Flow, side: Side): string {
  const address = addressText(flow.addresses, side * ADDRESS_WORDS, flow.family);
  return endpointText(address, flow.ports[side]);
}
