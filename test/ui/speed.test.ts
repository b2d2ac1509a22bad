// SPDX-License-Identifier: Apache-2.0
// The page's size, and what keeps it quick. Times are told, not judged: the machine has other work;
// `npm run bench -- page` keeps them.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startBrowser } from "./browser.ts";
import { measurePage } from "./page-speed.ts";

const DIST = join(import.meta.dirname, "../../extensions/ui/page/dist");

test("the first load is under 150 KB compressed", () => {
  const sizes = readdirSync(DIST)
    .filter((name) => name.endsWith(".gz"))
    .map((name) => statSync(join(DIST, name)).size);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(sizes.length >= 3);
  assert.ok(bytes < 150_000, `${bytes} bytes`);
});

test("of 5,000 spans the rows in view are made, of 200 nodes all", async (context) => {
  const browser = await startBrowser();
  try {
    const best = await measurePage(browser, 1);
    context.diagnostic(JSON.stringify(best));
    assert.ok(best.waterfallRows > 5 && best.waterfallRows < 200, String(best.waterfallRows));
    assert.equal(best.mapNodes, 200);
  } finally {
    await browser.close();
  }
});
