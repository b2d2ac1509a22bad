// SPDX-License-Identifier: Apache-2.0
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { startBrowser } from "../test/ui/browser.ts";
import { measurePage, type PageSpeed } from "../test/ui/page-speed.ts";

const DIST = join(import.meta.dirname, "../extensions/ui/page/dist");

/** What the page weighs, compressed by gzip, and how long its largest pictures take. */
export async function benchPage(rounds: number): Promise<PageSpeed & { readonly bytes: number }> {
  const browser = await startBrowser();
  try {
    const bytes = readdirSync(DIST)
      .filter((name) => name.endsWith(".gz"))
      .reduce((sum, name) => sum + statSync(join(DIST, name)).size, 0);
    return { bytes, ...(await measurePage(browser, rounds)) };
  } finally {
    await browser.close();
  }
}
