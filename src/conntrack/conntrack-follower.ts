// SPDX-License-Identifier: Apache-2.0
import { NetlinkSocket } from "libbpf-ts";
import {
  CONNTRACK_GROUPS,
  ConntrackMessages,
  dumpRequest,
  NETLINK_NETFILTER,
} from "./conntrack-messages.ts";
import { ENTRY_ID, ORIGIN } from "./nat-entry.ts";
import type { NatTable } from "./nat-table.ts";

const EVENT_QUEUE_BYTES = 8 * 1024 * 1024;
const DUMP_QUEUE_BYTES = 1024 * 1024;
const BUFFER_BYTES = 256 * 1024;
/** Buffers of events read at a time; more come with the next call. */
const EVENT_BUFFERS_MAX = 16;
/** Connections whose end was heard of while a listing ran. */
const ENDED_MEANWHILE_MAX = 100_000;
const NS_PER_MS = 1e6;

/** What happens that an operator may want to know; counted by the caller. */
export interface FollowerEvents {
  /** Connections heard of. */
  events(count: number): void;
  /** The kernel dropped events for want of room: a new listing follows. */
  lost(): void;
  /** A listing is complete. */
  listed(): void;
  /** Connections that did not fit into the table. */
  refused(count: number): void;
  /** The kernel refused a listing, errno, or a message made no sense (0). */
  failed(errno: number): void;
}

export interface FollowerOptions {
  readonly table: NatTable;
  readonly events: FollowerEvents;
  /** 1 to 2^23: tells the namespaces in the table apart. */
  readonly source: number;
  /** A file such as `/run/netns/NAME`; the agent's own namespace without it. */
  readonly namespacePath: string | undefined;
  /** How often all is listed again, ms. */
  readonly resyncMs: number;
  readonly nowMs: () => number;
}

/**
 * Keeps the translated connections of one network namespace in a table: a listing at first, then
 * events, and a listing again from time to time and whenever events were lost. Connections that
 * are older than the listener send no event when they end (nf_conntrack_events = 2), so only the
 * next listing tells of that.
 */
export class ConntrackFollower {
  readonly #options: FollowerOptions;
  readonly #socket: NetlinkSocket;
  readonly #messages = new ConntrackMessages();
  readonly #buffer: Uint8Array;
  readonly #endedMeanwhile = new Set<number>();
  #dump: NetlinkSocket | undefined;
  #dumpTimer: NodeJS.Immediate | undefined;
  #round = 0;
  #roundStartNs = 0;
  /** What is listed and was not heard of may be as old as this. */
  #listedSinceNs = 0;
  #wasLost = false;
  #readNs: number;
  #isClosed = false;

  /** @throws BpfError when the kernel refuses (`KERNEL`, EPERM: needs CAP_NET_ADMIN). */
  constructor(options: FollowerOptions) {
    const { namespacePath } = options;
    this.#options = options;
    this.#buffer = new Uint8Array(BUFFER_BYTES);
    this.#readNs = options.nowMs() * NS_PER_MS;
    this.#socket = NetlinkSocket.open({
      family: NETLINK_NETFILTER,
      groups: CONNTRACK_GROUPS,
      queueBytes: EVENT_QUEUE_BYTES,
      ...(namespacePath === undefined ? {} : { namespacePath }),
    });
    try {
      this.#list();
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /** A listing is under way. */
  get isListing(): boolean {
    return this.#dump !== undefined;
  }

  /** Reads the events that are there. Call before look-ups, and from time to time. */
  catchUp(): void {
    if (this.#isClosed) return;
    const nowMs = this.#options.nowMs();
    for (let buffers = 0; buffers < EVENT_BUFFERS_MAX; buffers++) {
      const { bytes, hasLost } = this.#socket.receive(this.#buffer);
      if (hasLost) {
        this.#options.events.lost();
        this.#wasLost = true;
      }
      this.#readEvents(bytes, nowMs * NS_PER_MS);
      if (bytes < BUFFER_BYTES / 2) break;
    }
    this.#readNs = nowMs * NS_PER_MS;
    const { resyncMs } = this.#options;
    const isDue = nowMs - this.#roundStartNs / NS_PER_MS > resyncMs;
    if (this.#dump === undefined && (isDue || this.#wasLost)) this.#list();
  }

  /** What is known of the namespace ends. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { table, source, nowMs } = this.#options;
    table.endUnseen(source, -1, nowMs() * NS_PER_MS);
    clearImmediate(this.#dumpTimer);
    this.#dump?.close();
    this.#dump = undefined;
    this.#socket.close();
  }

  #readEvents(bytes: number, nowNs: number): void {
    const { table, events, source } = this.#options;
    const messages = this.#messages;
    messages.reset(this.#buffer, bytes);
    const sighting = { sinceNs: this.#readNs, nowNs, round: this.#round };
    let count = 0;
    let refused = 0;
    for (let kind = messages.next(); kind !== undefined; kind = messages.next()) {
      const { entry } = messages;
      entry[ORIGIN] = (source << 8) | (entry[ORIGIN] ?? 0);
      if (kind === "new") {
        count++;
        if (!table.put(entry, sighting)) refused++;
      } else if (kind === "destroy") {
        count++;
        table.remove(entry, nowNs);
        if (this.#dump !== undefined && this.#endedMeanwhile.size < ENDED_MEANWHILE_MAX) {
          this.#endedMeanwhile.add(entry[ENTRY_ID] ?? 0);
        }
      } else if (kind === "error") events.failed(messages.errno);
    }
    if (messages.isMalformed) events.failed(0);
    if (count > 0) events.events(count);
    if (refused > 0) events.refused(refused);
  }

  /** Asks for all connections; they are read a buffer at a time, with others' turns in between. */
  #list(): void {
    const { namespacePath } = this.#options;
    this.#wasLost = false;
    this.#round++;
    this.#listedSinceNs = this.#roundStartNs;
    this.#roundStartNs = this.#options.nowMs() * NS_PER_MS;
    this.#endedMeanwhile.clear();
    this.#dump = NetlinkSocket.open({
      family: NETLINK_NETFILTER,
      queueBytes: DUMP_QUEUE_BYTES,
      ...(namespacePath === undefined ? {} : { namespacePath }),
    });
    this.#dump.send(dumpRequest(this.#round));
    this.#dumpTimer = setImmediate(() => this.#readListing());
  }

  #readListing(): void {
    const dump = this.#dump;
    if (dump === undefined) return;
    let state: "more" | "done" | "again";
    try {
      state = this.#readSome(dump);
    } catch {
      this.#options.events.failed(0);
      state = "again";
    }
    if (state === "more") {
      this.#dumpTimer = setImmediate(() => this.#readListing());
      return;
    }
    dump.close();
    this.#dump = undefined;
    // What was interrupted is listed again at the next due time: nothing may be ended by it.
    if (state === "again") return;
    const { table, events, source } = this.#options;
    table.endUnseen(source, this.#round, this.#options.nowMs() * NS_PER_MS);
    events.listed();
  }

  #readSome(dump: NetlinkSocket): "more" | "done" | "again" {
    const { table, events, source } = this.#options;
    const messages = this.#messages;
    const { bytes, hasLost } = dump.receive(this.#buffer);
    const nowNs = this.#options.nowMs() * NS_PER_MS;
    messages.reset(this.#buffer, bytes);
    let refused = 0;
    let state: "more" | "done" | "again" = hasLost ? "again" : "more";
    for (let kind = messages.next(); kind !== undefined; kind = messages.next()) {
      if (kind === "done" && state === "more") state = "done";
      else if (kind === "interrupted") state = "again";
      else if (kind === "error") {
        events.failed(messages.errno);
        state = "again";
      } else if (kind === "new") {
        const { entry } = messages;
        if (this.#endedMeanwhile.has(entry[ENTRY_ID] ?? 0)) continue;
        entry[ORIGIN] = (source << 8) | (entry[ORIGIN] ?? 0);
        const sinceNs = messages.startNs > 0 ? messages.startNs : this.#listedSinceNs;
        if (!table.put(entry, { sinceNs, nowNs, round: this.#round })) refused++;
      }
    }
    if (refused > 0) events.refused(refused);
    return state;
  }
}
