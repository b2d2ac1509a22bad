// SPDX-License-Identifier: Apache-2.0
import type { Role } from "../../src/model/protocol.ts";
import { addressText } from "./endpoints.ts";
import type { Flow } from "./flow-table.ts";
import { ADDRESS_WORDS, RST, type Segment } from "./segment.ts";
import {
  type Side,
  type StreamBytes,
  type StreamCounts,
  type StreamLimits,
  TcpStreams,
} from "./tcp-streams.ts";
import { type Ending, View, type ViewContext, type ViewFacts } from "./view.ts";

/** What connections of one receiver share. */
export interface ConnectionContext extends ViewContext {
  /** From whose end exchanges are told: one span or two for each. */
  readonly perspectives: readonly Role[];
  readonly limits: StreamLimits;
  readonly counts: StreamCounts;
  /** The protocol that the user fixed for the server's port. */
  protocolOf(serverPort: number): string | undefined;
  readonly disabledProtocols: readonly string[];
}

interface Start {
  readonly flow: Flow;
  /** Who answers, as far as can be told by the first packet. */
  readonly server: Side;
}

/** What TCP connections and UDP flows have in common: two ends, and views of their bytes. */
export interface Connection {
  add(side: Side, segment: Segment): void;
  /** Looks whether something was waited for too long. */
  check(nowNs: number, isMemoryShort: boolean): void;
  /** Hands on what is held and ends; later calls do nothing. */
  end(timeNs: number, ending: Ending): void;
  /** Another connection between the same ports begins with this segment. */
  isAnother(side: Side, segment: Segment): boolean;
  readonly isOver: boolean;
}

class Views {
  readonly #context: ConnectionContext;
  readonly #start: Start;
  #views: readonly View[] | undefined;

  constructor(context: ConnectionContext, start: Start) {
    this.#context = context;
    this.#start = start;
  }

  data(bytes: StreamBytes, starts: readonly [number, number]): void {
    this.#views ??= this.#create(starts);
    for (const view of this.#views) view.data(bytes);
  }

  close(timeNs: number, ending: Ending, positions: readonly [number, number]): void {
    const [first] = this.#views ?? [];
    if (first !== undefined) {
      const { verdict, protocol } = first;
      this.#context.account.connection(protocol?.name ?? (verdict === "tls" ? "tls" : "unknown"));
    }
    for (const view of this.#views ?? []) view.close(timeNs, ending, positions);
    this.#views = [];
  }

  #create(starts: readonly [number, number]): readonly View[] {
    const context = this.#context;
    const { flow, server } = this.#start;
    const client: Side = server === 0 ? 1 : 0;
    return context.perspectives.map((role) => {
      const local = role === "server" ? server : client;
      const facts = factsOf(flow, local, starts);
      const endpoint: ViewFacts["endpoint"] = {
        transport: isTcp(flow) ? "tcp" : "udp",
        only: context.protocolOf(flow.ports[server]),
        forbidden: context.disabledProtocols,
      };
      return new View(context, { ...facts, role, endpoint });
    });
  }
}

const TCP = 6;

function isTcp(flow: Flow): boolean {
  return flow.protocol === TCP;
}

function factsOf(
  flow: Flow,
  local: Side,
  starts: readonly [number, number],
): Omit<ViewFacts, "role" | "endpoint"> {
  const remote: Side = local === 0 ? 1 : 0;
  const { addresses, family, ports } = flow;
  return {
    localSide: local,
    family,
    localAddress: addressText(addresses, local * ADDRESS_WORDS, family),
    localPort: ports[local],
    remoteAddress: addressText(addresses, remote * ADDRESS_WORDS, family),
    remotePort: ports[remote],
    localStart: starts[local],
    remoteStart: starts[remote],
  };
}

/** A TCP connection from its first packet to its end. */
export class TcpConnection implements Connection {
  readonly #views: Views;
  readonly #streams: TcpStreams;
  isOver = false;

  constructor(context: ConnectionContext, start: Start) {
    this.#views = new Views(context, start);
    this.#streams = new TcpStreams(context.limits, context.counts, (bytes) => {
      this.#views.data(bytes, this.#starts());
    });
  }

  add(side: Side, segment: Segment): void {
    if (this.isOver) {
      // What comes after the end is a copy of what was there.
      return;
    }
    this.#streams.add(side, segment);
    if ((segment.flags & RST) !== 0) this.end(segment.timeNs, "reset");
    else if (this.#streams.isEnded) this.end(segment.timeNs, "closed");
  }

  check(nowNs: number, isMemoryShort: boolean): void {
    if (this.isOver) return;
    if (isMemoryShort) this.#streams.flush();
    else this.#streams.check(nowNs);
  }

  end(timeNs: number, ending: Ending): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#streams.flush();
    const positions: [number, number] = [this.#streams.total(0), this.#streams.total(1)];
    this.#views.close(Math.max(timeNs, this.#streams.lastNs), ending, positions);
  }

  isAnother(side: Side, segment: Segment): boolean {
    return this.#streams.isAnother(side, segment);
  }

  #starts(): [number, number] {
    return [this.#streams.startSequence(0), this.#streams.startSequence(1)];
  }
}

/** A packet captured at two interfaces comes twice within so long. */
const COPY_NS = 2e6;

/** Datagrams between two ports. Positions count the bytes of each direction. */
export class UdpFlow implements Connection {
  readonly #context: ConnectionContext;
  readonly #views: Views;
  readonly #positions: [number, number] = [0, 0];
  readonly #lastHash: [number, number] = [-1, -1];
  readonly #lastTimes: [number, number] = [0, 0];
  #lastNs = 0;
  isOver = false;

  constructor(context: ConnectionContext, start: Start) {
    this.#context = context;
    this.#views = new Views(context, start);
  }

  add(side: Side, segment: Segment): void {
    if (this.isOver || segment.length === 0) return;
    if (this.#isCopy(side, segment)) {
      this.#context.counts.repeatedBytes += segment.length;
      return;
    }
    const { length, bytes, start, captured } = segment;
    const timeNs = Math.max(this.#lastNs, segment.timeNs);
    this.#lastNs = timeNs;
    const position = this.#positions[side];
    this.#positions[side] = position + length;
    this.#views.data({ side, position, length, bytes, start, captured, timeNs }, [0, 0]);
  }

  check(): void {}

  end(timeNs: number, ending: Ending): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#views.close(Math.max(timeNs, this.#lastNs), ending, [-1, -1]);
  }

  isAnother(): boolean {
    return false;
  }

  #isCopy(side: Side, { bytes, start, captured, length, timeNs }: Segment): boolean {
    let hash = length;
    for (let at = start; at < start + captured; at++) {
      hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    }
    const isCopy =
      hash === this.#lastHash[side] && Math.abs(timeNs - this.#lastTimes[side]) < COPY_NS;
    this.#lastHash[side] = hash;
    this.#lastTimes[side] = timeNs;
    return isCopy;
  }
}
