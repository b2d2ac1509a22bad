// SPDX-License-Identifier: Apache-2.0
import type { Scraper } from "./scraper.ts";

const KIB = 1024;

/** proc(5), /proc/meminfo; what can be reclaimed counts as cached. */
export const scrapeMemory: Scraper = ({ host, record }) => {
  const kib = host.numbers("/proc/meminfo");
  const bytes = (key: string): number => (kib.get(key) ?? Number.NaN) * KIB;
  const total = bytes("MemTotal");
  const reclaimable = kib.has("SReclaimable") ? bytes("SReclaimable") : 0;
  const [free, buffered] = [bytes("MemFree"), bytes("Buffers")];
  const cached = bytes("Cached") + reclaimable;
  const states = {
    used: total - free - buffered - cached,
    free,
    buffered,
    cached,
    slab_reclaimable: bytes("SReclaimable"),
    slab_unreclaimable: bytes("SUnreclaim"),
  };
  for (const [state, value] of Object.entries(states)) {
    record.add("system.memory.usage", value, { state });
    record.add("system.memory.utilization", value / total, { state });
  }
  record.add("system.memory.limit", total);
  record.add("system.linux.memory.available", bytes("MemAvailable"));
  record.add("system.linux.memory.dirty", bytes("Dirty"));
  if (record.wants("system.memory.page_size")) {
    // Said of each mapping of a process, and the same everywhere: our own are at hand.
    const size = /^KernelPageSize:\s+(\d+) kB/m.exec(host.tryRead("/proc/self/smaps") ?? "")?.[1];
    record.add("system.memory.page_size", size === undefined ? undefined : Number(size) * KIB);
  }
};
