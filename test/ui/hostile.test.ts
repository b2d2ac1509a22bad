// SPDX-License-Identifier: Apache-2.0
// Span data is whatever an application sent: it must neither run, nor hide, nor hang the page.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type * as model from "../../extensions/ui/page/src/api-types.ts";
import { assertNoProblems, openTab, startBrowser, type Tab } from "./browser.ts";
import { type FakeApi, type Scenario, startFakeApi } from "./fake-api.ts";
import { demoScenario, demoTrace, span, TRACE_ID } from "./scenarios.ts";

const MARKUP = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>"'\`{{7*7}}`;
const LINK = "javascript:window.ran=1";
const TURNED = "gnp\u202egpj.exe\u0000\u001b[31m";
const DAY_NS = 86_400e9;

let browser: Browser;
let api: FakeApi;

before(async () => {
  api = await startFakeApi(demoScenario());
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await api?.close();
});

async function opened(hash: string, scenario: Scenario, work: (tab: Tab) => Promise<void>) {
  api.scenario = scenario;
  const tab = await openTab(browser);
  try {
    await tab.page.goto(`${api.url}${hash}`);
    await work(tab);
    assertNoProblems(tab);
    assert.equal(await tab.page.evaluate("window.ran"), undefined);
    assert.equal(await tab.page.locator("img, iframe, #app script").count(), 0);
    assert.equal(await tab.page.locator('a[href^="javascript"]').count(), 0);
  } finally {
    await tab.page.context().close();
  }
}

function traceWith(spans: readonly model.TraceSpan[]): Scenario {
  const trace = { ...demoTrace(), spans, spansTotal: spans.length };
  return { ...demoScenario(), trace: () => trace };
}

/** Every text of the scenario replaced, keys and numbers as they were. */
function renamed<T>(value: T, text: string): T {
  const copy = (one: unknown, key: string): unknown => {
    if (typeof one === "string") return KEPT.has(key) ? one : text + one;
    if (Array.isArray(one)) return one.map((part) => copy(part, key));
    if (typeof one !== "object" || one === null) return one;
    return Object.fromEntries(Object.entries(one).map(([name, part]) => [name, copy(part, name)]));
  };
  return unsafeSame<T>(copy(value, ""));
}

/** `renamed` changes texts only. */
function unsafeSame<T>(value: unknown): T {
  return value as T;
}

/** Closed sets and ids that the server makes; everything else is an application's word. */
const KEPT = new Set(["kind", "status", "meaning", "from", "to", "id", "traceId", "reason"]);

for (const [name, text] of [
  ["markup", MARKUP],
  ["characters that turn and hide text", TURNED],
  ["a very long word", "x".repeat(50_000)],
] as const) {
  test(`${name} in every name is text on every view`, async () => {
    const demo = demoScenario();
    const scenario: Scenario = {
      ...demo,
      services: renamed(demo.services, text),
      operations: renamed(demo.operations, text),
      map: renamed(demo.map, text),
      processes: renamed(demo.processes, text),
      search: () => renamed(demo.search(new URLSearchParams()), text),
      traces: () => renamed(demo.traces(new URLSearchParams()), text),
      trace: () => renamed(demoTrace(), text),
      agent: () => renamed(demo.agent(), text),
    };
    const hashes = ["#/", "#/map", "#/traces", `#/trace/${TRACE_ID}`, "#/agent", "#/processes"];
    for (const hash of hashes) {
      await opened(hash, scenario, async ({ page }) => {
        await page.locator("main .sheet").first().waitFor();
        if (hash.startsWith("#/trace/")) await page.getByRole("treeitem").first().click();
        const drawn = (await page.locator("body").textContent()) ?? "";
        assert.ok(!drawn.includes("\u202e") && !drawn.includes("\u0000"));
        const sticksOut = "document.documentElement.scrollWidth > innerWidth";
        assert.equal(await page.evaluate(sticksOut), false, hash);
      });
    }
  });
}

test("names in the address are text, too, and a broken address shows a view", async () => {
  const service = encodeURIComponent(MARKUP);
  for (const hash of [
    `#/?service=${service}`,
    `#/trace/${service}`,
    "#/%E0%A4%A",
    `#/${service}`,
  ]) {
    await opened(hash, { ...demoScenario(), trace: () => demoTrace() }, async ({ page }) => {
      await page.locator("main > *").first().waitFor();
    });
  }
});

test("a link to Jaeger that is no web address is no link", async () => {
  const demo = demoScenario();
  const scenario = { ...demo, status: { ...demo.status, jaegerUrl: LINK } };
  await opened(`#/trace/${TRACE_ID}`, scenario, async ({ page }) => {
    await page.getByRole("treeitem").first().waitFor();
    assert.equal(await page.getByRole("link", { name: "Open in Jaeger" }).count(), 0);
  });
});

async function rowTexts(page: Page): Promise<readonly string[]> {
  await page.getByRole("treeitem").first().waitFor();
  return await page.getByRole("treeitem").allTextContents();
}

test("rings, self-parents, missing parents and doubled ids are all shown and named", async () => {
  const spans = [
    span("root"),
    span("self", { name: "SELF", parentSpanId: "self", offsetNs: 10 }),
    span("x", { name: "X", parentSpanId: "y", offsetNs: 20 }),
    span("y", { name: "Y", parentSpanId: "x", offsetNs: 30 }),
    span("lost", { name: "LOST", parentSpanId: "gone", offsetNs: 40 }),
    span("root", { name: "TWIN", offsetNs: 50 }),
  ];
  await opened(`#/trace/${TRACE_ID}`, traceWith(spans), async ({ page, shot }) => {
    const rows = await rowTexts(page);
    const row = (part: string): string => rows.find((text) => text.includes(part)) ?? "";
    assert.equal(rows.length, 7);
    assert.match(row("SELF"), /self parent/);
    assert.match(row("X"), /cycle/);
    assert.match(row("TWIN"), /duplicate id/);
    assert.match(row("unknown parent"), /gone/);
    await page.getByRole("treeitem").filter({ hasText: "LOST" }).click();
    await page.getByText("Its parent is not in the store").waitFor();
    await shot("trace-broken-links");
  });
});

test("clocks that are years off and durations below zero leave the other spans readable", async () => {
  const spans = [
    span("epoch", { name: "EPOCH" }),
    span("a", { name: "A", offsetNs: 20_000 * DAY_NS, durationNs: 8e6 }),
    span("b", { name: "B", parentSpanId: "a", offsetNs: 20_000 * DAY_NS, durationNs: 4e6 }),
    span("back", { name: "BACK", parentSpanId: "a", offsetNs: 20_000 * DAY_NS, durationNs: -5 }),
    span("huge", { name: "HUGE", parentSpanId: "a", offsetNs: 20_000 * DAY_NS, durationNs: 1e300 }),
  ];
  await opened(`#/trace/${TRACE_ID}`, traceWith(spans), async ({ page }) => {
    const rows = await rowTexts(page);
    assert.match(rows.find((text) => text.includes("EPOCH")) ?? "", /before the start/);
    assert.match(rows.find((text) => text.includes("BACK")) ?? "", /negative duration/);
    const widths = await page
      .locator(".span .track > i:not(.part)")
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
    // A, B, BACK, HUGE: B is half of A.
    assert.ok(Math.abs((widths[0] ?? 0) / 2 - (widths[1] ?? 0)) < 2, widths.join(" "));
  });
});

test("an attribute of 10 MB is shown in part, and the page stays quick", async () => {
  const spans = [span("root", { attributes: [["big", `START${"y".repeat(10 << 20)}`]] })];
  await opened(`#/trace/${TRACE_ID}`, traceWith(spans), async ({ page }) => {
    await page.getByRole("treeitem").first().click();
    const value = page.getByRole("cell", { name: /START/ });
    await value.waitFor();
    const text = (await value.textContent()) ?? "";
    assert.ok(text.length < 5_000 && text.endsWith("characters more)"));
  });
});

test("a trace of 100,000 spans is asked for on demand, drawn in part and walked to its end", async () => {
  const child = (at: number): model.TraceSpan =>
    span(`s${at}`, { parentSpanId: at === 0 ? "" : `s${(at - 1) >> 2}`, offsetNs: at });
  const all = Array.from({ length: 100_000 }, (_, at) => child(at));
  const trace = (_id: string, limit: number): model.Trace => ({
    ...demoTrace(),
    spans: all.slice(0, limit),
    spansTotal: all.length,
    truncated: limit < all.length,
  });
  const scenario = { ...demoScenario(), trace };
  await opened(`#/trace/${TRACE_ID}`, scenario, async ({ page }) => {
    await page.getByText("10.0k of 100k spans are shown").waitFor();
    await page.getByRole("button", { name: "Show up to 100k" }).click();
    await page.getByText("10.0k of 100k spans are shown").waitFor({ state: "detached" });
    await page.getByRole("treeitem").first().waitFor();
    await page.getByRole("button", { name: "Unfold all" }).click();
    await page.getByRole("tree").focus();
    await page.keyboard.press("End");
    // The last row is the last of its branch; only what is in sight is in the document.
    await page.locator('[aria-selected="true"]').waitFor();
    assert.ok((await page.getByRole("treeitem").count()) < 100);
    const atEnd =
      "(f => f.scrollTop + f.clientHeight >= f.scrollHeight - 1)(document.querySelector('.rows'))";
    assert.equal(await page.evaluate(atEnd), true);
  });
});
