// SPDX-License-Identifier: Apache-2.0
import type { Scraper } from "./scraper.ts";

const KIB = 1024;

/** proc(5): /proc/swaps, and the paging counts of /proc/vmstat. */
export const scrapePaging: Scraper = ({ host, record }) => {
  for (const line of host.lines("/proc/swaps").slice(1)) {
    const [device = "", , size, used] = line.split(/\s+/);
    const [total, usedBytes] = [Number(size) * KIB, Number(used) * KIB];
    for (const [state, bytes] of [
      ["used", usedBytes],
      ["free", total - usedBytes],
    ] as const) {
      record.add("system.paging.usage", bytes, { device, state });
      record.add("system.paging.utilization", bytes / total, { device, state });
    }
  }
  const counts = host.numbers("/proc/vmstat");
  const operations = [
    ["page_in", "major", "pswpin"],
    ["page_out", "major", "pswpout"],
    ["page_in", "minor", "pgpgin"],
    ["page_out", "minor", "pgpgout"],
  ] as const;
  for (const [direction, type, key] of operations) {
    record.add("system.paging.operations", counts.get(key), { direction, type });
  }
  const major = counts.get("pgmajfault") ?? Number.NaN;
  record.add("system.paging.faults", major, { type: "major" });
  record.add("system.paging.faults", (counts.get("pgfault") ?? Number.NaN) - major, {
    type: "minor",
  });
};
