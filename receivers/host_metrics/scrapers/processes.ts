// SPDX-License-Identifier: Apache-2.0
import { statField } from "../host-files.ts";
import type { Scraper } from "./scraper.ts";

/** proc(5), /proc/PID/stat field 3, in the Collector's words. */
const STATUSES: Readonly<Record<string, string>> = {
  R: "running",
  S: "sleeping",
  D: "blocked",
  Z: "zombies",
  T: "stopped",
  t: "stopped",
  I: "idle",
  W: "paging",
  X: "unknown",
  x: "unknown",
  K: "system",
  P: "blocked",
};
const STATE_FIELD = 3;

export const scrapeProcesses: Scraper = ({ host, record }) => {
  const counts = new Map<string, number>();
  for (const pid of host.pids()) {
    const stat = host.tryRead(`/proc/${pid}/stat`);
    // It ended meanwhile.
    if (stat === undefined) continue;
    const status = STATUSES[statField(stat, STATE_FIELD)] ?? "unknown";
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  for (const [status, count] of counts) record.add("system.processes.count", count, { status });
  record.add("system.processes.created", host.numbers("/proc/stat").get("processes"));
};
