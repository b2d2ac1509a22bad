// SPDX-License-Identifier: Apache-2.0
// Makes the README's pictures from a live agent: `node test/ui/record-screenshots.ts`, as root.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openTab, startBrowser } from "./browser.ts";
import { startLiveDemo } from "./live-demo.ts";

const IMAGES = join(import.meta.dirname, "../../docs/images");
/** Long enough for series and rates to have a shape. */
const TRAFFIC_MS = 100_000;

const demo = await startLiveDemo();
const browser = await startBrowser();
try {
  await delay(TRAFFIC_MS);
  mkdirSync(IMAGES, { recursive: true });
  const { page } = await openTab(browser);
  await page.setViewportSize({ width: 1200, height: 640 });
  const shot = async (name: string): Promise<void> => {
    await page.screenshot({ path: join(IMAGES, `${name}.png`) });
  };
  await page.goto(`${demo.url}#/?range=5m`);
  await page.getByRole("region", { name: "Services" }).waitFor();
  await page.getByRole("region", { name: "Watched" }).waitFor();
  await shot("overview");
  await page.goto(`${demo.url}#/map?range=5m`);
  await page.locator("svg.map .node").first().waitFor();
  await shot("map");
  await page.goto(`${demo.url}#/agent`);
  await page
    .getByRole("cell", { name: /[1-9].*\/s$/ })
    .first()
    .waitFor();
  await shot("agent");
  await page.goto(`${demo.url}#/traces?range=5m&service=nginx&kind=server`);
  const link = page.getByRole("link", { name: "nginx GET /order/{id}" });
  await link.first().waitFor();
  await page.locator(".scatter canvas").waitFor();
  await delay(200);
  await shot("traces");
  await link.first().click();
  await page.getByRole("treeitem").nth(3).click();
  await page.getByRole("complementary", { name: "Span" }).waitFor();
  await shot("trace");
} finally {
  await browser.close();
  await demo.stop();
}
