// SPDX-License-Identifier: Apache-2.0
import { passes } from "../name-filter.ts";
import type { Scraper } from "./scraper.ts";

/** The unit of /proc/diskstats, whatever the device's own is. */
const SECTOR_BYTES = 512;

/** Columns of /proc/diskstats (kernel.org, "I/O statistics fields"), behind the device's name. */
const READS = 0;
const WRITES = 4;
const PENDING = 8;
const ACTIVE_MS = 9;
const WEIGHTED_MS = 10;

export const scrapeDisk: Scraper = ({ host, config, record }) => {
  const { include, exclude } = config.scrapers.disk ?? {};
  for (const line of host.lines("/proc/diskstats")) {
    const [, , device = "", ...texts] = line.trim().split(/\s+/);
    if (!passes(device, include, exclude)) continue;
    const fields = texts.map(Number);
    for (const [direction, at] of [
      ["read", READS],
      ["write", WRITES],
    ] as const) {
      const [operations, merged, sectors, ms] = fields.slice(at, at + 4);
      const attributes = { device, direction };
      record.add("system.disk.operations", operations, attributes);
      record.add("system.disk.merged", merged, attributes);
      record.add("system.disk.io", (sectors ?? Number.NaN) * SECTOR_BYTES, attributes);
      record.add("system.disk.operation_time", (ms ?? Number.NaN) / 1000, attributes);
    }
    record.add("system.disk.pending_operations", fields[PENDING], { device });
    record.add("system.disk.io_time", (fields[ACTIVE_MS] ?? Number.NaN) / 1000, { device });
    record.add("system.disk.weighted_io_time", (fields[WEIGHTED_MS] ?? Number.NaN) / 1000, {
      device,
    });
  }
};
