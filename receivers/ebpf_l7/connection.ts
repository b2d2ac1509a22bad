// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  DataRecord,
  Exchange,
  ExchangeEvents,
  LossReason,
  Protocol,
  Role,
} from "../../src/model/protocol.ts";
import type { DetectingParser } from "../../src/protocols/detection.ts";
import { Doubt } from "../../src/protocols/doubt.ts";
import { type ConnectionFacts, SpanConnection } from "../../src/spans/span-connection.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import type { ConnectionRecord } from "./decode.ts";

/** Ended exchanges that are remembered for reads that name them late. */
const ENDED_FIRST = 16;
const ENDED_MAX = 64;

const UPGRADE_LOOKS = 8;

/** Positions from here on: the TLS session's beginning was not seen; see bpf/include/tls.bpf.h. */
const TLS_UNKNOWN_START = 2 ** 44;

/** What a connection tells its owner; the exchange is one of this connection's. */
export interface ConnectionEvents {
  begin(connection: Connection, exchange: Exchange): void;
  end(connection: Connection, exchange: Exchange): void;
  abandon(connection: Connection, exchange: Exchange, reason: LossReason): void;
  lost(connection: Connection, reason: LossReason): void;
}

/** One watched end of a connection. */
export class Connection implements ExchangeEvents {
  readonly record: ConnectionRecord;
  readonly #events: ConnectionEvents;
  /** Exchanges begun and not ended, in order. */
  readonly open: Exchange[] = [];
  /** Where the requests of the last ended exchanges began, and where reading stood at their end. */
  #endedRequests = new Float64Array(ENDED_FIRST).fill(-1);
  #endedReads = new Float64Array(ENDED_FIRST).fill(-1);
  #endedNs = new Float64Array(ENDED_FIRST);
  #ended = 0;
  /** Of each role: in some protocols both ends ask. */
  #clientSpans: SpanConnection | undefined;
  #serverSpans: SpanConnection | undefined;
  parser: ConnectionParser | undefined;
  /** The same, while user space detects; see `ProtocolChoice`. */
  detecting: DetectingParser | undefined;
  /** What user space found. */
  protocol: Protocol | undefined;
  /** To be looked at after each record: its protocol is not decided. */
  needsLook = false;
  /** From here on it speaks something else. */
  isUpgraded = false;
  /** Records after an upgrade that are still looked at: do they start TLS? */
  upgradeLooks: number = UPGRADE_LOOKS;
  /** What the kernel took it for is wrong. */
  isMisjudged = false;
  /** The record that its parser is being given, when that is not the one at the cursor. */
  replayed: DataRecord | undefined;
  /** Of datagrams: the names of open exchanges' requests, in place of positions. */
  requestNames: Map<Exchange, number> | undefined;
  /** What the kernel was told last, and when; 0 if it was not. */
  toldWire = 0;
  toldNs = 0;
  readonly #doubt = new Doubt();
  /** Of the watched process, by its first request; undefined until then. */
  role: Role | undefined;
  /** Of the connections to the same server; of those that ask. */
  pool: ConnectionPool | undefined;
  /** Counted as busy in its pool. */
  isBusy = false;
  /** The other end, when this agent watches it too. */
  peer: Connection | undefined;
  /** Its name is known, so that the other end can find it. */
  isNamed = false;
  isShed = false;
  isGone = false;
  /** It is encrypted: does nobody give its clear text? */
  opaque: "no" | "asked" | "yes" = "no";
  /** Called when that is answered with yes, after its end. */
  onOpaque: (() => void) | undefined;
  /** Its records are the clear text of a TLS session. */
  isTls = false;
  lastNs = 0;
  /** When the kernel announced it; 0: not known. */
  sinceNs = 0;
  /** Ends of the streams as records told. */
  sentEnd = -1;
  receivedEnd = -1;

  constructor(record: ConnectionRecord, events: ConnectionEvents) {
    this.record = record;
    this.#events = events;
    this.isNamed = record.isDatagram;
  }

  /** Exchanges that ended. */
  get endedCount(): number {
    return this.#ended;
  }

  /** Start numbers as both ends compute them; undefined while it is not known who opened. */
  get localStart(): number | undefined {
    const { side, localStart } = this.record;
    if (side !== "unknown") return localStart;
    if (this.role === undefined) return undefined;
    return this.role === "client" ? (localStart + 1) >>> 0 : localStart;
  }

  /** For spans; needs the role. */
  spanConnection(role: Role): SpanConnection {
    let spans = role === "client" ? this.#clientSpans : this.#serverSpans;
    if (spans === undefined) {
      const { record } = this;
      spans = new SpanConnection({
        role,
        isAccepter: this.#isAccepter(role),
        ...this.#name(role),
        family: record.family,
        localAddress: record.localAddress,
        localPort: record.localPort,
        remoteAddress: record.remoteAddress,
        remotePort: record.remotePort,
      });
      if (role === "client") this.#clientSpans = spans;
      else this.#serverSpans = spans;
    }
    return spans;
  }

  #isAccepter(role: Role): boolean {
    const { side } = this.record;
    return side === "unknown" ? (this.role ?? role) === "server" : side === "accepter";
  }

  #name(role: Role): Pick<ConnectionFacts, "clientStart" | "serverStart" | "positionExcess"> {
    const { record } = this;
    if (record.isDatagram) {
      const [client, server] =
        role === "client"
          ? [record.localPort, record.remotePort]
          : [record.remotePort, record.localPort];
      return { clientStart: client, serverStart: server, positionExcess: 0 };
    }
    const isOpener = (this.role ?? role) === "client";
    const excess = record.side === "unknown" && isOpener ? 1 : 0;
    const localStart = (record.localStart + excess) >>> 0;
    return {
      clientStart: role === "client" ? localStart : record.remoteStart,
      serverStart: role === "client" ? record.remoteStart : localStart,
      // The clear text of TLS is counted without the SYN.
      positionExcess: role === "client" && !this.isTls ? excess : 0,
    };
  }

  /** From here on records are clear text, first at `position`; what came before was about TLS. */
  startTls(position: number): void {
    this.isTls = true;
    this.parser = undefined;
    this.detecting = undefined;
    this.protocol = undefined;
    this.needsLook = false;
    this.isUpgraded = false;
    this.isMisjudged = false;
    this.toldWire = 0;
    this.toldNs = 0;
    this.sentEnd = -1;
    this.receivedEnd = -1;
    this.#endedRequests.fill(-1);
    this.#endedReads.fill(-1);
    this.#clientSpans = undefined;
    this.#serverSpans = undefined;
    if (position < TLS_UNKNOWN_START) return;
    // Both ends name bytes differently.
    if (this.peer !== undefined) this.peer.peer = undefined;
    this.peer = undefined;
    this.isNamed = true;
  }

  /** The first request that was seen on it is not the first that there was. */
  isFromBefore(exchange: Exchange): boolean {
    const isFirst = this.open.length === 0 && this.#ended === 0;
    return isFirst && exchange.requestPosition > 0 && !this.record.isDatagram && !this.isTls;
  }

  /** What is not understood of it may be a request. */
  get mayServeUnknown(): boolean {
    return this.role !== "client" && this.record.side !== "opener" && this.#ended === 0;
  }

  begin(exchange: Exchange): void {
    this.role ??= exchange.role;
    this.#doubt.begin();
    this.#events.begin(this, exchange);
    this.open.push(exchange);
  }

  end(exchange: Exchange): void {
    this.#doubt.end();
    this.#makeRoom();
    const slot = this.#ended++ % this.#endedNs.length;
    this.#endedRequests[slot] = this.#nameOf(exchange);
    this.#forget(exchange);
    this.#endedReads[slot] = this.receivedEnd;
    this.#endedNs[slot] = exchange.endNs;
    this.#events.end(this, exchange);
  }

  abandon(exchange: Exchange, reason: LossReason): void {
    this.#forget(exchange);
    this.#events.abandon(this, exchange, reason);
  }

  lost(reason: LossReason): void {
    this.#doubt.lost(reason);
    // Detection has its own doubts.
    if (this.#doubt.isWrong && this.detecting === undefined) {
      this.isMisjudged = true;
      this.needsLook = true;
    }
    if (reason === "after_upgrade" && this.upgradeLooks > 0) {
      this.isUpgraded = true;
      this.needsLook = true;
    }
    this.#events.lost(this, reason);
  }

  giveUpOpen(reason: LossReason): void {
    for (const exchange of [...this.open]) this.abandon(exchange, reason);
  }

  /** Start of the open exchange of this request; infinite when there is none. */
  startOf(position: number): number {
    for (const exchange of this.open) {
      if (exchange.requestPosition === position) return exchange.startNs;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** When the exchange of this request ended, by which `read` bytes were received; else infinite. */
  endOf(position: number, read: number): number {
    const slot = this.#endedRequests.indexOf(position);
    const isRead = slot >= 0 && (this.#endedReads[slot] ?? -1) >= read;
    return isRead ? (this.#endedNs[slot] ?? 0) : Number.POSITIVE_INFINITY;
  }

  /**
   * Whose request was read up to `position` of the received stream: the open exchange or the
   * position of an ended one's request; -1 when neither is known. For the server's role.
   */
  requestReadAt(position: number): Exchange | number {
    for (let index = this.open.length - 1; index >= 0; index--) {
      const exchange = this.open[index];
      if (exchange !== undefined && exchange.requestPosition < position) return exchange;
    }
    let best = -1;
    for (const request of this.#endedRequests) {
      if (request < position && request > best) best = request;
    }
    return best;
  }

  /**
   * Position of the request whose response was read up to `position` of the received stream;
   * -1 when that is not known. For the client's role.
   */
  responseReadAt(position: number): number {
    let best = -1;
    let bestRead = Number.POSITIVE_INFINITY;
    let reachesBack = this.#ended <= this.#endedNs.length;
    for (let slot = 0; slot < this.#endedNs.length; slot++) {
      const read = this.#endedReads[slot] ?? -1;
      if (read >= position && read < bestRead) {
        bestRead = read;
        best = this.#endedRequests[slot] ?? -1;
      } else if (read >= 0 && read < position) reachesBack = true;
    }
    // What was read long ago may be forgotten, and what is remembered is somebody else's.
    if (best >= 0) return reachesBack || bestRead === position ? best : -1;
    const first = this.open[0];
    return first !== undefined && first.responseStartNs !== 0 ? this.#nameOf(first) : -1;
  }

  /** Busy connections remember more. */
  #makeRoom(): void {
    const size = this.#endedNs.length;
    if (this.#ended !== size || size >= ENDED_MAX) return;
    this.#endedRequests = grown(this.#endedRequests);
    this.#endedReads = grown(this.#endedReads);
    this.#endedNs = grown(this.#endedNs);
  }

  #nameOf(exchange: Exchange): number {
    return this.requestNames?.get(exchange) ?? exchange.requestPosition;
  }

  #forget(exchange: Exchange): void {
    this.requestNames?.delete(exchange);
    const index = this.open.indexOf(exchange);
    // `shift` gives the memory of an array back that gets empty, and the next request takes it anew.
    if (index >= 0 && index === this.open.length - 1) this.open.pop();
    else if (index === 0) this.open.shift();
    else if (index > 0) this.open.splice(index, 1);
  }
}

function grown(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(2 * column.length).fill(-1);
  larger.set(column);
  return larger;
}
