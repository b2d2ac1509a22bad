// SPDX-License-Identifier: Apache-2.0
import type { Account } from "./account.ts";
import { type Connection, type ConnectionContext, TcpConnection, UdpFlow } from "./connection.ts";
import { type Flow, FlowTable } from "./flow-table.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import type { Packet } from "./packet.ts";
import { type Segment, SYN, TCP } from "./segment.ts";
import type { ServerSides } from "./server-side.ts";
import type { Ending } from "./view.ts";

/** Datagram flows end earlier than connections by this factor. */
const UDP_IDLE_RATIO = 0.1;
/** Bytes that all connections together hold for reassembly; then the oldest gaps are given up. */
const HELD_BYTES_MAX = 256 * 1024 * 1024;

export interface DissectorOptions {
  readonly account: Account;
  readonly context: ConnectionContext;
  readonly servers: ServerSides;
  /** Connections from and to these are not followed. */
  readonly ignoredPorts: ReadonlySet<number>;
  readonly connectionsMax: number;
  readonly idleTimeoutNs: number;
}

/** Packets in, connections and their bytes out. */
export class Dissector {
  readonly decoder: FrameDecoder = new FrameDecoder();
  readonly #options: DissectorOptions;
  readonly #flows: FlowTable;
  /** Of the latest packet. */
  #nowNs = 0;

  constructor(options: DissectorOptions) {
    this.#options = options;
    this.#flows = new FlowTable(options.connectionsMax);
  }

  get connections(): number {
    return this.#flows.size;
  }

  get nowNs(): number {
    return this.#nowNs;
  }

  readonly onPacket = (packet: Packet): void => {
    const { account } = this.#options;
    account.packets.add(1);
    account.bytes.add(packet.end - packet.start);
    if (packet.timeNs > this.#nowNs) this.#nowNs = packet.timeNs;
    const refusal = this.decoder.decode(packet);
    if (refusal === undefined) this.#onSegment(this.decoder.segment);
    else account.skipped(refusal);
    this.#upkeep();
  };

  /** The capture is over. */
  end(): void {
    for (const flow of this.#flows) this.#end(flow, "capture_end");
  }

  #onSegment(segment: Segment): void {
    let flow = this.#flows.find(segment);
    if (flow === undefined) {
      if (this.#isIgnored(segment)) {
        this.#options.account.skipped("ignored_port");
        return;
      }
      // Without data and without a beginning there is nothing to follow.
      if (segment.length === 0 && (segment.flags & SYN) === 0) {
        this.#options.account.skipped("no_connection");
        return;
      }
      flow = this.#create(segment);
    }
    const side = flow.sideOf(segment);
    if (side === undefined) return;
    flow.lastNs = segment.timeNs;
    if (flow.connection?.isAnother(side, segment) === true) {
      flow = this.#replace(flow, segment);
      flow.connection?.add(0, segment);
      return;
    }
    flow.connection?.add(side, segment);
  }

  #isIgnored({ sourcePort, destinationPort }: Segment): boolean {
    const { ignoredPorts } = this.#options;
    return ignoredPorts.has(sourcePort) || ignoredPorts.has(destinationPort);
  }

  #create(segment: Segment): Flow {
    if (this.#flows.isFull) this.#evict();
    const flow = this.#flows.add(segment);
    flow.connection = this.#connect(flow, segment);
    return flow;
  }

  /** The ports are used again: side 0 is whoever sent this segment. */
  #replace(old: Flow, segment: Segment): Flow {
    this.#end(old, "closed");
    const flow = this.#flows.add(segment);
    flow.lastNs = segment.timeNs;
    flow.connection = this.#connect(flow, segment);
    return flow;
  }

  #connect(flow: Flow, segment: Segment): Connection {
    const { context, servers } = this.#options;
    const start = { flow, server: servers.of(flow, segment) };
    return flow.protocol === TCP ? new TcpConnection(context, start) : new UdpFlow(context, start);
  }

  #evict(): void {
    const flow = this.#flows.longestIdle();
    if (flow === undefined) return;
    this.#options.account.connectionsEvicted.add(1);
    this.#end(flow, "evicted");
  }

  #end(flow: Flow, ending: Ending): void {
    this.#flows.remove(flow);
    flow.connection?.end(flow.lastNs, ending);
  }

  /** Looks at one flow a packet: in time at all. */
  #upkeep(): void {
    const flow = this.#flows.walk();
    if (flow === undefined) return;
    const { idleTimeoutNs, context } = this.#options;
    const limitNs = flow.protocol === TCP ? idleTimeoutNs : idleTimeoutNs * UDP_IDLE_RATIO;
    if (this.#nowNs - flow.lastNs > limitNs) this.#end(flow, "idle");
    else flow.connection?.check(this.#nowNs, context.counts.heldBytes > HELD_BYTES_MAX);
  }
}
