// SPDX-License-Identifier: Apache-2.0
import type { Scraper } from "./scraper.ts";

export const scrapeSystem: Scraper = ({ host, record }) => {
  record.add("system.uptime", Number(host.read("/proc/uptime").split(" ", 1)[0]));
};
