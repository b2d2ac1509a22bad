// SPDX-License-Identifier: Apache-2.0
import { passes } from "../name-filter.ts";
import type { ScrapeInputs, Scraper } from "./scraper.ts";

/** By the numbers of /proc/net/tcp (include/net/tcp_states.h), from 1. */
const TCP_STATES = [
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT_1",
  "FIN_WAIT_2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
] as const;
/** A request that waits for its last ACK. */
const NEW_SYN_RECV = 12;
const SYN_RECV = 3;

/** Metrics of one interface, by its columns in /proc/net/dev: received, transmitted. */
const COLUMNS = [
  ["system.network.io", 0, 8],
  ["system.network.packets", 1, 9],
  ["system.network.errors", 2, 10],
  ["system.network.dropped", 3, 11],
] as const;

export const scrapeNetwork: Scraper = (inputs) => {
  const { host, record, config } = inputs;
  const { include, exclude } = config.scrapers.network ?? {};
  // Process 1 is in the host's network namespace, this one may be in a container's.
  const dev = host.tryRead("/proc/1/net/dev") ?? host.read("/proc/net/dev");
  for (const line of dev.split("\n")) {
    const match = /^\s*([^:\s]+):\s*(.*)$/.exec(line);
    const device = match?.[1];
    if (match === null || device === undefined || !passes(device, include, exclude)) continue;
    const fields = (match[2] ?? "").split(/\s+/).map(Number);
    for (const [name, received, transmitted] of COLUMNS) {
      record.add(name, fields[received], { device, direction: "receive" });
      record.add(name, fields[transmitted], { device, direction: "transmit" });
    }
  }
  if (record.wants("system.network.connections")) addConnections(inputs);
  const folder = "/proc/sys/net/netfilter/nf_conntrack";
  for (const what of ["count", "max"]) {
    const text = host.tryRead(`${folder}_${what}`);
    record.add(`system.network.conntrack.${what}`, text === undefined ? undefined : Number(text));
  }
};

function addConnections({ host, record }: ScrapeInputs): void {
  const counts = new Map<string, number>(TCP_STATES.map((state) => [state, 0]));
  for (const file of ["tcp", "tcp6"]) {
    const text = host.tryRead(`/proc/1/net/${file}`) ?? host.tryRead(`/proc/net/${file}`) ?? "";
    for (const line of text.split("\n").slice(1)) {
      const number = Number.parseInt(line.trim().split(/\s+/, 4)[3] ?? "", 16);
      const state = TCP_STATES[(number === NEW_SYN_RECV ? SYN_RECV : number) - 1];
      if (state !== undefined) counts.set(state, (counts.get(state) ?? 0) + 1);
    }
  }
  for (const [state, count] of counts) {
    record.add("system.network.connections", count, { protocol: "tcp", state });
  }
}
