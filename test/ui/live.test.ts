// SPDX-License-Identifier: Apache-2.0
// The page of a live agent that watches the demo of `npm start`: every view shows what really is.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { assertNoProblems, openTab, startBrowser, type Tab } from "./browser.ts";
import { type LiveDemo, startLiveDemo } from "./live-demo.ts";

const SERVICES = ["nginx", "orders", "prices", "stock"] as const;
/** A trace is stored when it is complete, and the views ask again every few seconds. */
const STORED_MS = 60_000;

let demo: LiveDemo;
let browser: Browser;

before(async () => {
  demo = await startLiveDemo();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

async function opened(hash: string, work: (tab: Tab) => Promise<void>): Promise<void> {
  const tab = await openTab(browser);
  tab.page.setDefaultTimeout(STORED_MS);
  try {
    await tab.page.goto(`${demo.url}${hash}`);
    await work(tab);
    assertNoProblems(tab);
  } finally {
    await tab.page.context().close();
  }
}

test("the overview has the four services and the processes that are watched", async () => {
  await opened("#/?range=5m", async ({ page, shot }) => {
    const services = page.getByRole("region", { name: "Services" });
    for (const name of SERVICES)
      await services.getByRole("button", { name, exact: true }).waitFor();
    const watched = page.getByRole("region", { name: "Watched" });
    for (const { pid } of demo.chain.services) {
      await watched.getByRole("cell", { name: String(pid), exact: true }).waitFor();
    }
    await shot("live-overview");
  });
});

test("the map has the chain from nginx to stock", async () => {
  await opened("#/map?range=5m", async ({ page, shot }) => {
    const calls = page.getByRole("region", { name: "Calls" });
    for (const [at, from] of SERVICES.entries()) {
      const to = SERVICES[at + 1];
      if (to !== undefined)
        await calls.getByRole("row", { name: new RegExp(`^${from} ${to} http`) }).waitFor();
    }
    await shot("live-map");
  });
});

test("a trace is found by its service, and shows seven spans with their evidence", async () => {
  await opened("#/traces?range=5m", async ({ page, shot }) => {
    await page.getByLabel("Service").selectOption("stock");
    await page.getByLabel("Kind").selectOption("server");
    const found = page.getByRole("region", { name: "Traces" });
    await found.getByRole("link", { name: "nginx GET /order/{id}" }).first().waitFor();
    await page.locator(".scatter canvas").waitFor();
    await shot("live-traces");
    await found.getByRole("link", { name: "nginx GET /order/{id}" }).first().click();
    const rows = page.getByRole("treeitem");
    await rows.first().waitFor();
    const texts = await rows.allTextContents();
    const wanted = [
      "nginx",
      "same_thread",
      "byte_name",
      "same_thread",
      "byte_name",
      "same_thread",
      "byte_name",
    ];
    assert.equal(texts.length, wanted.length, texts.join("\n"));
    for (const [at, part] of wanted.entries())
      assert.ok(texts[at]?.includes(part), texts.join("\n"));
    await rows.nth(2).click();
    const details = page.getByRole("complementary", { name: "Span" });
    await details.getByText("Both ends name the same byte").waitFor();
    await details.getByRole("rowheader", { name: "http.response.status_code" }).waitFor();
    await shot("live-trace");
    await page.getByRole("button", { name: "Copy as OTLP JSON" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const copied = String(await page.evaluate("navigator.clipboard.readText()"));
    assert.match(copied, /"resourceSpans"/);
    assert.match(copied, /"stitch.evidence"/);
  });
});

test("the live tail shows requests as they come", async () => {
  await opened("#/traces", async ({ page }) => {
    await page.getByRole("button", { name: "Live tail" }).click();
    const tail = page.getByRole("region", { name: "Live tail" });
    await tail.getByRole("link", { name: "GET /stock/{id}" }).first().waitFor();
  });
});

test("the agent's view has its pipelines with rates, its programs and what it costs", async () => {
  await opened("#/agent", async ({ page, shot }) => {
    const traces = page.getByRole("table", { name: "traces", exact: true });
    // About 14 spans a second: two requests of seven spans.
    await traces.getByRole("row", { name: /^exporter store .*[1-9][\d.]*\/s/ }).waitFor();
    await traces.getByRole("row", { name: /^processor span_stitch .*[1-9][\d.]*\/s/ }).waitFor();
    const probes = page.getByRole("region", { name: "Probes" });
    assert.ok((await probes.getByText("attached", { exact: true }).count()) > 3);
    await page.getByText("CPU of one core").waitFor();
    // The history is read from the store, where the agent writes it every ten seconds.
    const memory = page.getByRole("region", { name: /^Memory, last/ });
    await memory.getByText(/^now \d/).waitFor();
    await shot("live-agent");
  });
});

test("processes of this machine can be chosen, and the watched ones say so", async () => {
  await opened("#/processes", async ({ page, shot }) => {
    for (const name of SERVICES) await page.getByText(`watched as ${name}`).first().waitFor();
    await shot("live-processes");
  });
});
