// SPDX-License-Identifier: Apache-2.0
// The page's size, and how long it takes until a person sees something. Times are the best of some
// runs, because the machine has other work; the figures of a quiet one are made by bench/page.ts.
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

test("interactive in 1 s; 5,000 spans and 200 nodes in half a second", async () => {
  const browser = await startBrowser();
  try {
    const best = await measurePage(browser, 4);
    const text = JSON.stringify(best);
    assert.ok(best.interactiveMs < 1_000, text);
    assert.ok(best.waterfallMs < 500, text);
    assert.ok(best.mapMs < 500, text);
  } finally {
    await browser.close();
  }
});
