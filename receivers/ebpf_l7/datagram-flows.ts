// SPDX-License-Identifier: Apache-2.0
import { SENT } from "../../src/model/protocol.ts";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { type DataCursor, decodePeer, type RingMemory } from "./decode.ts";

/** Beyond so many the oldest is closed. */
const FLOWS_MAX = 4096;
const PEER_BYTES = 19;
const TWO_TO_21 = 2 ** 21;

export interface DatagramFlowsOptions {
  readonly memory: RingMemory;
  readonly cursor: DataCursor;
  readonly events: ConnectionEvents;
  /** Gives the record at the cursor to the connection's parser. */
  readonly parse: (connection: Connection) => void;
  /** Gives up what is open on a flow. */
  readonly forget: (connection: Connection, reason: "gap" | "shutdown") => void;
}

/**
 * A UDP socket that is not connected has many other ends. Each is a connection of its own as long
 * as something is open: a server meets most of them for one question only.
 */
export class DatagramFlows {
  readonly #options: DatagramFlowsOptions;
  readonly #bySocket = new Map<Connection, Map<number, Connection>>();
  #size = 0;

  constructor(options: DatagramFlowsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** The cursor stands on a datagram of this socket. */
  onRecord(socket: Connection): void {
    const { cursor, memory } = this.#options;
    const peerAt = cursor.start + cursor.captured;
    const peer = decodePeer(memory, peerAt);
    const isOwn = socket.record.remotePort !== 0 || peer.address === "";
    const key = isOwn ? 0 : keyOf(memory.bytes, peerAt);
    const flow = isOwn ? socket : (this.#find(socket, key) ?? this.#add(socket, key, peer));
    const end = cursor.direction === SENT ? flow.sentEnd : flow.receivedEnd;
    if (!isOwn) cursor.position = Math.max(0, end);
    flow.lastNs = cursor.timeNs;
    if (cursor.direction === SENT) flow.sentEnd = cursor.position + cursor.length;
    else flow.receivedEnd = cursor.position + cursor.length;
    this.#options.parse(flow);
    if (isOwn) return;
    socket.protocol ??= flow.protocol;
    if (flow.parser?.idle !== false) this.#remove(socket, key);
  }

  /** The socket is gone. */
  close(socket: Connection, timeNs: number, error: number): void {
    const flows = this.#bySocket.get(socket);
    if (flows === undefined) return;
    for (const [key, flow] of flows) this.#end(socket, key, flow, timeNs, error);
  }

  /** Ends flows that nobody answered since `beforeNs`. */
  sweep(beforeNs: number, nowNs: number): void {
    for (const [socket, flows] of this.#bySocket) {
      for (const [key, flow] of flows) {
        if (flow.lastNs < beforeNs) this.#end(socket, key, flow, nowNs);
      }
    }
  }

  shutdown(): void {
    for (const flows of this.#bySocket.values()) {
      for (const flow of flows.values()) this.#options.forget(flow, "shutdown");
    }
    this.#bySocket.clear();
    this.#size = 0;
  }

  #find(socket: Connection, key: number): Connection | undefined {
    return this.#bySocket.get(socket)?.get(key);
  }

  #add(socket: Connection, key: number, peer: ReturnType<typeof decodePeer>): Connection {
    if (this.#size >= FLOWS_MAX) this.#endOldest();
    let flows = this.#bySocket.get(socket);
    if (flows === undefined) {
      flows = new Map();
      this.#bySocket.set(socket, flows);
    }
    const { address: remoteAddress, port: remotePort, family } = peer;
    const record = { ...socket.record, remoteAddress, remotePort, family };
    const flow = new Connection(record, this.#options.events);
    flow.protocol = socket.protocol;
    flows.set(key, flow);
    this.#size++;
    return flow;
  }

  #endOldest(): void {
    for (const [socket, flows] of this.#bySocket) {
      for (const [key, flow] of flows) {
        this.#end(socket, key, flow, this.#options.cursor.timeNs);
        return;
      }
    }
  }

  #end(socket: Connection, key: number, flow: Connection, timeNs: number, error = 0): void {
    flow.parser?.close(timeNs, error);
    this.#options.forget(flow, "gap");
    this.#remove(socket, key);
  }

  #remove(socket: Connection, key: number): void {
    const flows = this.#bySocket.get(socket);
    if (flows?.delete(key) !== true) return;
    this.#size--;
    if (flows.size === 0) this.#bySocket.delete(socket);
  }
}

/** Of address, port and family: 53 bits, so that no two of the flows of a socket share one. */
function keyOf(bytes: Uint8Array, start: number): number {
  let [a, b] = [0x811c9dc5, 0x9e3779b1];
  for (let at = start; at < start + PEER_BYTES; at++) {
    a = Math.imul(a ^ (bytes[at] ?? 0), 0x01000193);
    b = Math.imul(b + (bytes[at] ?? 0), 0x85ebca6b) ^ (b >>> 15);
  }
  return (a >>> 0) * TWO_TO_21 + ((b >>> 0) & (TWO_TO_21 - 1));
}
