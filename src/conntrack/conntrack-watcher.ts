// SPDX-License-Identifier: Apache-2.0
import { messageOf } from "../component/errors.ts";
import type { Counter, Telemetry } from "../component/telemetry.ts";
import { ThrottledLog } from "../pipeline/throttled-log.ts";
import { ConntrackFollower } from "./conntrack-follower.ts";
import type { NatTable } from "./nat-table.ts";
import { findNamespaces, type NetworkNamespace } from "./network-namespaces.ts";

const POLL_MS = 100;
const RESCAN_MS = 10_000;
const NS_PER_MS = 1e6;

export interface WatcherOptions {
  readonly telemetry: Telemetry;
  /** Of the component, for labels. */
  readonly id: string;
  readonly table: NatTable;
  /** See `findNamespaces`. */
  readonly namespaces: readonly string[];
  readonly namespacesMax: number;
  readonly resyncMs: number;
  /** How long connections that ended are remembered, ms. */
  readonly rememberMs: number;
  readonly nowMs: () => number;
}

interface Counts {
  readonly events: Counter;
  readonly lost: Counter;
  readonly listings: Counter;
  readonly refused: Counter;
  readonly failures: Counter;
}

/** Follows connection tracking in all namespaces that the configuration means, as they come and go. */
export class ConntrackWatcher {
  readonly #options: WatcherOptions;
  readonly #counts: Counts;
  readonly #log: ThrottledLog;
  readonly #followers = new Map<number, ConntrackFollower>();
  readonly #refusedInodes = new Set<number>();
  readonly #gauges: (() => void)[];
  #timer: NodeJS.Timeout | undefined;
  #sources = 0;
  #rescanAtMs = 0;

  constructor(options: WatcherOptions) {
    const { telemetry, id } = options;
    const labels = { processor: id };
    const counter = (name: string, unit: string, description: string): Counter =>
      telemetry.counter(`backstitch_conntrack_${name}`, { description, unit }, labels);
    this.#options = options;
    this.#log = new ThrottledLog(telemetry.logger);
    this.#counts = {
      events: counter("events", "{event}", "Connections made and ended, as the kernel told."),
      lost: counter("lost_events", "{loss}", "Times that events were lost (ENOBUFS)."),
      listings: counter("listings", "{listing}", "Complete listings of a namespace."),
      refused: counter("refused_entries", "{entry}", "Connections that did not fit in."),
      failures: counter("failures", "{failure}", "Refused listings, unreadable messages."),
    };
    const gauge = (name: string, unit: string, description: string, read: () => number) =>
      telemetry.gauge(`backstitch_conntrack_${name}`, { description, unit }, read, labels);
    this.#gauges = [
      gauge("entries", "{entry}", "Translated connections.", () => options.table.live),
      gauge(
        "ended_entries",
        "{entry}",
        "Those that ended not long ago.",
        () => options.table.ended,
      ),
      gauge("namespaces", "{namespace}", "Followed namespaces.", () => this.#followers.size),
    ];
  }

  start(): void {
    this.#rescan();
    this.#timer = setInterval(() => this.catchUp(), POLL_MS);
    this.#timer.unref();
  }

  /** Namespaces that are followed. */
  get size(): number {
    return this.#followers.size;
  }

  /** Listings are under way: not all is known yet. */
  get isListing(): boolean {
    for (const follower of this.#followers.values()) if (follower.isListing) return true;
    return false;
  }

  /** Reads what the kernel has told since the last call. */
  catchUp(): void {
    const nowMs = this.#options.nowMs();
    if (nowMs >= this.#rescanAtMs) this.#rescan();
    for (const [inode, follower] of this.#followers) {
      try {
        follower.catchUp();
      } catch (error) {
        this.#drop(inode, follower, error);
      }
    }
    this.#options.table.forget((nowMs - this.#options.rememberMs) * NS_PER_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const follower of this.#followers.values()) follower.close();
    this.#followers.clear();
    for (const remove of this.#gauges.splice(0)) remove();
  }

  #rescan(): void {
    const { namespaces, namespacesMax, nowMs } = this.#options;
    this.#rescanAtMs = nowMs() + RESCAN_MS;
    const { found, leftOut } = findNamespaces(namespaces, namespacesMax);
    if (leftOut > 0) {
      this.#log.write("warn", "More network namespaces than max_namespaces. Not following them.", {
        followed: found.length,
        left_out: leftOut,
      });
    }
    const inodes = new Set(found.map(({ inode }) => inode));
    for (const [inode, follower] of this.#followers) {
      if (inodes.has(inode)) continue;
      follower.close();
      this.#followers.delete(inode);
    }
    for (const one of found) {
      if (!this.#followers.has(one.inode) && !this.#refusedInodes.has(one.inode)) this.#follow(one);
    }
  }

  #follow({ inode, path }: NetworkNamespace): void {
    const { table, resyncMs, nowMs } = this.#options;
    const counts = this.#counts;
    try {
      const follower = new ConntrackFollower({
        ...{ table, resyncMs, nowMs, namespacePath: path },
        source: ++this.#sources,
        events: {
          events: (count) => counts.events.add(count),
          lost: () => counts.lost.add(1),
          listed: () => counts.listings.add(1),
          refused: (count) => counts.refused.add(count),
          failed: () => counts.failures.add(1),
        },
      });
      this.#followers.set(inode, follower);
    } catch (error) {
      this.#refusedInodes.add(inode);
      counts.failures.add(1);
      this.#options.telemetry.logger.warn(
        "Connection tracking cannot be read. Needs CAP_NET_ADMIN and, for other network " +
          "namespaces, CAP_SYS_ADMIN. Addresses are rewritten from pairs of spans only.",
        { namespace: path ?? "self", error: messageOf(error) },
      );
    }
  }

  /** The namespace vanished or the kernel refuses: what was known of it ends. */
  #drop(inode: number, follower: ConntrackFollower, error: unknown): void {
    follower.close();
    this.#followers.delete(inode);
    this.#counts.failures.add(1);
    this.#log.write("warn", "Connection tracking of a namespace cannot be read any more.", {
      error: messageOf(error),
    });
  }
}
