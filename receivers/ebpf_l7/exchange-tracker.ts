// SPDX-License-Identifier: Apache-2.0
import { ATTR_PROCESS_RUNTIME_NAME } from "@opentelemetry/semantic-conventions/incubating";
import {
  LINEAGE_GOROUTINE,
  LINEAGE_JAVA,
  LINEAGE_NODE,
  LINEAGE_NODE_NOW,
  LINEAGE_PYTHON,
  LINEAGE_UNKNOWN,
  WIRE_PROTOCOL_HTTP2,
} from "../../bpf/generated/wire.ts";
import type { ProcessSelection } from "../../src/model/process.ts";
import { type Exchange, type LossReason, SENT } from "../../src/model/protocol.ts";
import {
  KEY_AT_CONNECT,
  KEY_PEER_ABSENT,
  KEY_PEER_OBSERVED,
  KEY_POOL_BUSY,
  KEY_SAME_CONNECTION,
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  TRIGGER_ASYNC_ID,
  TRIGGER_GOROUTINE,
  TRIGGER_JAVA,
  TRIGGER_NONE,
  TRIGGER_PYTHON,
  TRIGGER_REQUEST,
  TRIGGER_REQUEST_ID,
  TRIGGER_RESPONSE,
} from "../../src/model/stitch-key.ts";
import type { StitchFacts } from "../../src/spans/span-encoder.ts";
import type { Account } from "./account.ts";
import type { Connection, ConnectionEvents } from "./connection.ts";
import { type ConnectionPool, ConnectionPools } from "./connection-pool.ts";
import type { ConnectionTable } from "./connection-table.ts";
import { DatagramNames } from "./datagram-names.ts";
import type { DataCursor } from "./decode.ts";
import { EVENT_LOOPS } from "./event-loop.ts";
import type { ExchangeOutput } from "./exchange-output.ts";
import { OpenRequests } from "./open-requests.ts";

/** asyncio reads all ready sockets before it runs the tasks that they wake. */
const READ_AHEAD: ReadonlySet<string> = new Set(["cpython", "pypy"]);

const LINEAGE_TRIGGERS: Readonly<Record<number, number>> = {
  [LINEAGE_GOROUTINE]: TRIGGER_GOROUTINE,
  [LINEAGE_PYTHON]: TRIGGER_PYTHON,
  [LINEAGE_JAVA]: TRIGGER_JAVA,
};

const SURE_TRIGGERS: ReadonlySet<number> = new Set(Object.values(LINEAGE_TRIGGERS));
/** Requests open at once in one process that are compared with a call's id. */
const NAMED_MAX = 1024;

/** What was found out when the request began; kept in `Exchange.link`, used again with it. */
class ExchangeLink implements StitchFacts {
  flags = 0;
  /** Of a datagram: its name; see `StitchFacts`. */
  position: number | undefined;
  triggerKind: number = TRIGGER_NONE;
  readonly triggerSpan: Uint32Array = new Uint32Array(2);
  openServerRequests = 0;
  openInProcess = 0;
  /** With KEY_POOL_BUSY: how many connections there were. */
  poolConnections = 0;
  thread: Thread | undefined;
  /** Of its process' `OpenRequests`. */
  generation = 0;
  /** It is in its process' `named`. */
  isNamed = false;

  reset(): void {
    this.flags = 0;
    this.position = undefined;
    this.triggerKind = TRIGGER_NONE;
    this.triggerSpan[0] = 0;
    this.triggerSpan[1] = 0;
    this.openServerRequests = 0;
    this.openInProcess = 0;
    this.poolConnections = 0;
    this.thread = undefined;
    this.isNamed = false;
  }
}

interface Process {
  readonly pid: number;
  /** Server requests that are open. */
  open: number;
  readonly requests: OpenRequests;
  /** Those that are open and have an id, or may turn out to have one. */
  readonly named: Map<Exchange, Connection>;
  /** Another thread answered a request than the one that read it: its threads share work. */
  sharesWork: boolean;
}

/** Server requests that a thread has read and that are open. */
interface Thread {
  readonly tid: number;
  readonly process: Process;
  open: number;
}

/** Links kept for later exchanges. */
const FREE_LINKS_MAX = 4096;
/** So long ago and so many exchanges before, a connection's other end would have been met. */
const ALONE_NS = 5e9;
const ALONE_EXCHANGES = 4;
/** Threads and processes without open requests are forgotten beyond so many. */
const THREADS_MAX = 8192;

export interface ExchangeTrackerOptions {
  readonly table: ConnectionTable;
  readonly cursor: DataCursor;
  readonly selection: Pick<ProcessSelection, "process">;
  readonly output: ExchangeOutput;
  readonly account: Account;
}

/**
 * Follows exchanges from their first byte to their span: what the writing thread had read
 * before, how many server requests it holds, and whether the other end is watched.
 */
export class ExchangeTracker implements ConnectionEvents {
  readonly #options: ExchangeTrackerOptions;
  readonly #threads = new Map<number, Thread>();
  readonly #datagrams = new DatagramNames();
  readonly #freeLinks: ExchangeLink[] = [];
  readonly #pools = new ConnectionPools();
  readonly #processes = new Map<number, Process>();
  #lastThread: Thread = { tid: -1, process: processOf(-1), open: 0 };
  #openCount = 0;

  constructor(options: ExchangeTrackerOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#openCount;
  }

  begin(connection: Connection, exchange: Exchange): void {
    const { cursor, table, account } = this.#options;
    const link = this.#freeLinks.pop() ?? new ExchangeLink();
    link.reset();
    exchange.link = link;
    this.#openCount++;
    account.exchangesStarted.add(1);
    if (!connection.isNamed) table.meet(connection);
    if (connection.record.isDatagram) this.#nameDatagram(connection, exchange, link);
    const thread = this.#thread(cursor.tid, cursor.pid);
    if (exchange.role === "server") {
      link.thread = thread;
      thread.open++;
      this.#openInProcess(connection, exchange, link);
      return;
    }
    link.openServerRequests = thread.open;
    link.openInProcess = thread.process.requests.count(exchange.startNs);
    connection.pool ??= this.#pools.of(connection);
    // A send is reported when the call returns: the other end may have read it before that.
    const { peer } = connection;
    if (peer !== undefined) {
      const startNs = peer.startOf(exchange.requestPosition - excessOf(connection));
      if (startNs < exchange.startNs) exchange.startNs = startNs;
    }
    if (cursor.lineage >= LINEAGE_NODE) {
      this.#resolveTrigger(connection, link);
      if (link.triggerKind !== TRIGGER_NONE) link.triggerKind |= TRIGGER_ASYNC_ID;
    } else if (cursor.lineage > LINEAGE_UNKNOWN) this.#resolveLineage(link);
    else if (this.#threadTells(thread)) this.#resolveTrigger(connection, link);
    // What woke the thread may be of a request that could not be followed.
    if ((link.flags & KEY_SLEPT) !== 0) {
      link.openServerRequests += thread.process.requests.unreadCount(exchange.startNs);
    }
    if (connection.pool !== undefined) this.#lookAtPool(connection.pool, connection, thread, link);
  }

  /** May the call have waited for its connection? A runtime that tells of its queue tells both ways. */
  #lookAtPool(
    pool: ConnectionPool,
    connection: Connection,
    thread: Thread,
    link: ExchangeLink,
  ): void {
    const { lineage } = this.#options.cursor;
    const isFull = pool.mayQueue(connection, thread.process.open);
    pool.setBusy(connection, true);
    if (lineage === LINEAGE_NODE) pool.isKnownToQueue = true;
    const isKnown =
      lineage === LINEAGE_NODE || (lineage === LINEAGE_NODE_NOW && pool.isKnownToQueue);
    if (!isFull || isKnown) return;
    link.flags |= KEY_POOL_BUSY;
    link.poolConnections = pool.connections;
  }

  #openInProcess(connection: Connection, exchange: Exchange, link: ExchangeLink): void {
    const { process } = link.thread ?? this.#lastThread;
    process.open++;
    if ((exchange.requestId ?? 0) !== 0) {
      process.named.set(exchange, connection);
      link.isNamed = true;
    }
    link.generation = process.requests.open(exchange.startNs);
    process.requests.follows(connection);
    if (connection.isFromBefore(exchange)) process.requests.foundUnknown(exchange.startNs);
  }

  #nameDatagram(connection: Connection, exchange: Exchange, link: ExchangeLink): void {
    const record = connection.replayed ?? this.#options.cursor;
    link.position = this.#datagrams.begin(record, exchange.role);
    connection.requestNames ??= new Map();
    connection.requestNames.set(exchange, link.position);
  }

  end(connection: Connection, exchange: Exchange): void {
    const link = this.#close(exchange);
    if (connection.open.length === 0) connection.pool?.setBusy(connection, false);
    const { requestTid, responseTid } = exchange;
    if (link?.thread !== undefined) {
      const { process } = link.thread;
      process.requests.took(exchange.endNs - exchange.startNs);
      if (responseTid !== 0 && responseTid !== requestTid) process.sharesWork = true;
    }
    if (link !== undefined && connection.pool?.hasGrownBeyond(link.poolConnections) === true) {
      link.flags &= ~KEY_POOL_BUSY;
    }
    if (link !== undefined && exchange.role === "client" && (exchange.requestId ?? 0) > 0) {
      this.#resolveRequestId(exchange, link);
    }
    this.#finish(connection, exchange, link);
    if (link !== undefined) this.#release(link);
  }

  #finish(connection: Connection, exchange: Exchange, link: ExchangeLink | undefined): void {
    const process = this.#options.selection.process(exchange.pid);
    if (process === undefined) {
      this.#options.account.abandoned("no_process", 1);
      return;
    }
    const { peer } = connection;
    if (link !== undefined && peer !== undefined && !peer.isShed) link.flags |= KEY_PEER_OBSERVED;
    if (link !== undefined && peer === undefined && isAlone(connection, exchange)) {
      link.flags |= KEY_PEER_ABSENT;
    }
    if (link?.position !== undefined && this.#datagrams.isObserved(link.position)) {
      link.flags |= KEY_PEER_OBSERVED;
    }
    if (peer !== undefined && exchange.role === "server") {
      const position = exchange.requestPosition + excessOf(peer);
      const endNs = peer.endOf(position, connection.sentEnd);
      if (endNs < exchange.endNs) exchange.endNs = endNs;
    }
    this.#options.account.exchangesCompleted.add(1);
    const spans = connection.spanConnection(exchange.role);
    this.#options.output.write(process, spans, exchange, link);
  }

  abandon(connection: Connection, exchange: Exchange, reason: LossReason): void {
    this.#drop(exchange);
    if (connection.open.length === 0) connection.pool?.setBusy(connection, false);
    this.#options.account.abandoned(reason, 1);
  }

  lost(connection: Connection, reason: LossReason): void {
    const { cursor } = this.#options;
    if (reason === "mid_stream" && connection.mayServeUnknown) {
      const record = connection.replayed ?? cursor;
      const isAnswered = record.direction === SENT;
      this.#process(cursor.pid).requests.unread(connection, isAnswered, cursor.timeNs);
    }
    this.#options.account.unpaired(reason);
  }

  /** Gives up what is open on a connection whose parser is thrown away. */
  forget(connection: Connection, reason: "shed" | "evicted" | "gap" | "shutdown"): void {
    const { open } = connection;
    for (const exchange of open) this.#drop(exchange);
    if (open.length > 0) this.#options.account.abandoned(reason, open.length);
    open.length = 0;
    connection.pool?.setBusy(connection, false);
    connection.parser = undefined;
    connection.detecting = undefined;
  }

  #drop(exchange: Exchange): void {
    const link = this.#close(exchange);
    if (link !== undefined) this.#release(link);
  }

  #close(exchange: Exchange): ExchangeLink | undefined {
    this.#openCount--;
    const { link } = exchange;
    if (!(link instanceof ExchangeLink)) return undefined;
    exchange.link = undefined;
    if (link.thread !== undefined) {
      link.thread.open--;
      link.thread.process.open--;
      if (link.isNamed) link.thread.process.named.delete(exchange);
      link.thread.process.requests.close(link.generation);
    }
    return link;
  }

  #release(link: ExchangeLink): void {
    if (this.#freeLinks.length < FREE_LINKS_MAX) this.#freeLinks.push(link);
  }

  #thread(tid: number, pid: number): Thread {
    if (this.#lastThread.tid === tid && this.#lastThread.process.pid === pid) {
      return this.#lastThread;
    }
    let thread = this.#threads.get(tid);
    if (thread === undefined || thread.process.pid !== pid) {
      if (this.#threads.size >= THREADS_MAX) this.#forgetIdle();
      thread = { tid, process: this.#process(pid), open: 0 };
      this.#threads.set(tid, thread);
    }
    this.#lastThread = thread;
    return thread;
  }

  #process(pid: number): Process {
    let process = this.#processes.get(pid);
    if (process === undefined) {
      process = processOf(pid);
      this.#processes.set(pid, process);
    }
    return process;
  }

  #forgetIdle(): void {
    for (const [tid, thread] of this.#threads) if (thread.open === 0) this.#threads.delete(tid);
    for (const [pid, one] of this.#processes) if (one.open === 0) this.#processes.delete(pid);
  }

  /** The one open request of the process that has the call's id, if nothing surer names one. */
  #resolveRequestId(call: Exchange, link: ExchangeLink): void {
    if (SURE_TRIGGERS.has(link.triggerKind)) return;
    const { named } = this.#process(call.pid);
    if (named.size > NAMED_MAX) return;
    let found: Exchange | undefined;
    for (const request of named.keys()) {
      if (request.requestId !== call.requestId || request.startNs > call.startNs) continue;
      if (found !== undefined) return;
      found = request;
    }
    const source = found === undefined ? undefined : named.get(found);
    if (found === undefined || source === undefined) return;
    link.triggerKind = TRIGGER_REQUEST_ID;
    link.flags |= KEY_TRIGGER_OPEN;
    const spans = source.spanConnection("server");
    this.#options.output.spanId(spans, found.requestPosition, "server", link.triggerSpan);
  }

  /** The request that the runtime names. */
  #resolveLineage(link: ExchangeLink): void {
    const { cursor, table } = this.#options;
    const source = cursor.triggerSocket === 0 ? undefined : table.get(cursor.triggerSocket);
    if (source?.role !== "server") return;
    this.#triggeredByRequest(source, link);
    if (link.triggerKind !== TRIGGER_REQUEST) return;
    link.triggerKind = LINEAGE_TRIGGERS[cursor.lineage] ?? TRIGGER_NONE;
  }

  /**
   * Does what the thread read last say what it writes for? Not where threads share work (Go,
   * tokio, pools), unless one request is all there is; nor in a loop that reads ahead.
   */
  #threadTells(thread: Thread): boolean {
    if (this.#options.cursor.lineage === LINEAGE_UNKNOWN && !this.#hasReadStreams()) return false;
    if (thread.process.sharesWork && thread.process.open > 1) return false;
    return thread.open <= 1 || !READ_AHEAD.has(this.#runtime());
  }

  /** Was a call in HTTP/2 read last? Of its streams the runtime does not tell which. */
  #hasReadStreams(): boolean {
    const { cursor, table } = this.#options;
    return table.get(cursor.triggerSocket)?.record.protocol === WIRE_PROTOCOL_HTTP2;
  }

  #runtime(): string {
    const { cursor, selection } = this.#options;
    const { attributes } = selection.process(cursor.pid) ?? {};
    return String(attributes?.get(ATTR_PROCESS_RUNTIME_NAME));
  }

  #resolveTrigger(connection: Connection, link: ExchangeLink): void {
    const { cursor, table } = this.#options;
    if (cursor.triggerSocket === 0) return;
    if (cursor.slept && this.#isTurnOver()) link.flags |= KEY_SLEPT;
    if (cursor.triggeredAtConnect) link.flags |= KEY_AT_CONNECT;
    const source = table.get(cursor.triggerSocket);
    if (source === undefined || source.role === undefined) return;
    if (source === connection) link.flags |= KEY_SAME_CONNECTION;
    if (source.role === "server") this.#triggeredByRequest(source, link);
    else this.#triggeredByResponse(source, link);
  }

  /**
   * A thread that slept may have been handed other work when it woke. Not so the thread of a
   * JavaScript event loop that slept on a lock, such as one of its garbage collector's.
   */
  #isTurnOver(): boolean {
    return this.#options.cursor.waited || !EVENT_LOOPS.has(this.#runtime());
  }

  #triggeredByRequest(source: Connection, link: ExchangeLink): void {
    // Of datagrams the bytes that were read do not tell the request.
    if (source.record.isDatagram) return;
    const found = source.requestReadAt(this.#options.cursor.triggerPosition);
    const position = typeof found === "number" ? found : found.requestPosition;
    if (position < 0) return;
    if (typeof found !== "number") link.flags |= KEY_TRIGGER_OPEN;
    link.triggerKind = TRIGGER_REQUEST;
    const spans = source.spanConnection("server");
    this.#options.output.spanId(spans, position, "server", link.triggerSpan);
  }

  #triggeredByResponse(source: Connection, link: ExchangeLink): void {
    const position = source.responseReadAt(this.#options.cursor.triggerPosition);
    if (position < 0) return;
    link.triggerKind = TRIGGER_RESPONSE;
    const spans = source.spanConnection("client");
    this.#options.output.spanId(spans, position, "client", link.triggerSpan);
  }
}

function processOf(pid: number): Process {
  return { pid, open: 0, requests: new OpenRequests(), named: new Map(), sharesWork: false };
}

/**
 * Is the other end not watched for sure? A connection's two ends are announced by their first
 * calls, in any order, and of a connection from before each shows its name by its first requests.
 */
function isAlone(connection: Connection, exchange: Exchange): boolean {
  const { sinceNs, endedCount, record } = connection;
  if (sinceNs === 0 || endedCount <= ALONE_EXCHANGES || record.isDatagram) return false;
  return exchange.startNs - sinceNs > ALONE_NS;
}

/** How much a client counts the positions of its requests too high. */
function excessOf(client: Connection): number {
  return client.spanConnection("client").facts.positionExcess;
}
