// SPDX-License-Identifier: Apache-2.0

const PAIRS_MAX = 256;
/** Requests that an estimate is made of; then anew, because clocks drift. */
const REQUESTS = 64;
const NS_PER_S = 1e9;

/** What is known of one pair of hosts: the server's clock is ahead by something in between. */
interface Bounds {
  lowNs: number;
  highNs: number;
  requests: number;
  /** The middle of the last complete round, s; NaN before. */
  skewS: number;
}

/** A request seen at both ends: a server works within the time that its client waits. */
export interface Request {
  readonly clientStartNs: number;
  readonly clientEndNs: number;
  readonly serverStartNs: number;
  readonly serverEndNs: number;
}

/**
 * By how much hosts' clocks differ: each request says that the server's clock is ahead by no less
 * than the difference of the ends and no more than that of the starts; together requests narrow
 * that down. Contradictions (a clock was set) begin anew. At most 256 pairs of hosts.
 */
export class ClockSkew {
  readonly #pairs = new Map<string, Bounds>();
  readonly #publish: (client: string, server: string, read: () => number) => void;

  constructor(publish: (client: string, server: string, read: () => number) => void) {
    this.#publish = publish;
  }

  add(client: string, server: string, request: Request): void {
    const key = `${client}\n${server}`;
    let bounds = this.#pairs.get(key);
    if (bounds === undefined) {
      if (this.#pairs.size >= PAIRS_MAX) return;
      const made = { ...newRound(), skewS: Number.NaN };
      bounds = made;
      this.#pairs.set(key, made);
      this.#publish(client, server, () => (Number.isNaN(made.skewS) ? 0 : made.skewS));
    }
    const lowNs = request.serverEndNs - request.clientEndNs;
    const highNs = request.serverStartNs - request.clientStartNs;
    if (lowNs > highNs) return;
    if (lowNs > bounds.highNs || highNs < bounds.lowNs) Object.assign(bounds, newRound());
    bounds.lowNs = Math.max(bounds.lowNs, lowNs);
    bounds.highNs = Math.min(bounds.highNs, highNs);
    bounds.requests++;
    if (Number.isNaN(bounds.skewS) || bounds.requests >= REQUESTS) {
      bounds.skewS = (bounds.lowNs + bounds.highNs) / 2 / NS_PER_S;
    }
    if (bounds.requests >= REQUESTS) Object.assign(bounds, newRound());
  }

  /** Seconds that the server's clock is ahead; undefined when nothing is known. */
  skewS(client: string, server: string): number | undefined {
    const skewS = this.#pairs.get(`${client}\n${server}`)?.skewS;
    return skewS === undefined || Number.isNaN(skewS) ? undefined : skewS;
  }
}

function newRound(): Pick<Bounds, "lowNs" | "highNs" | "requests"> {
  return { lowNs: Number.NEGATIVE_INFINITY, highNs: Number.POSITIVE_INFINITY, requests: 0 };
}
