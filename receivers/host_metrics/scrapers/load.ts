// SPDX-License-Identifier: Apache-2.0
import type { Scraper } from "./scraper.ts";

export const scrapeLoad: Scraper = ({ host, config, record }) => {
  const averages = host.read("/proc/loadavg").split(" ").map(Number);
  const cpus = host.lines("/proc/stat").filter((line) => /^cpu\d/.test(line)).length;
  const divisor = config.scrapers.load?.cpu_average === true ? Math.max(1, cpus) : 1;
  for (const [at, minutes] of ["1m", "5m", "15m"].entries()) {
    record.add(`system.cpu.load_average.${minutes}`, (averages[at] ?? Number.NaN) / divisor);
  }
};
