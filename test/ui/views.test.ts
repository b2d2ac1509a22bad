// SPDX-License-Identifier: Apache-2.0
// Every view against answers that are known: what is drawn, by mouse and by keyboard, in light and
// dark, and what axe-core says of it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import axe from "axe-core";
import type { Browser } from "playwright-core";
import { assertNoProblems, openTab, startBrowser, type Tab } from "./browser.ts";
import { type FakeApi, startFakeApi } from "./fake-api.ts";
import { demoScenario, TRACE_ID } from "./scenarios.ts";

const VIEWS = [
  ["overview", "#/?service=nginx"],
  ["map", "#/map"],
  ["traces", "#/traces?service=orders"],
  ["trace", `#/trace/${TRACE_ID}?span=c2`],
  ["agent", "#/agent"],
  ["processes", "#/processes"],
] as const;

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

async function opened(hash: string, work: (tab: Tab) => Promise<void>, dark = false) {
  api.scenario = demoScenario();
  const tab = await openTab(browser, { dark });
  try {
    await tab.page.goto(`${api.url}${hash}`);
    await work(tab);
    assertNoProblems(tab);
  } finally {
    await tab.page.context().close();
  }
}

/** Runs in the page. */
interface AxeRun {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { html: string }[];
  }[];
}

for (const dark of [false, true]) {
  test(`axe-core finds nothing against any view, ${dark ? "dark" : "light"}`, async () => {
    for (const [name, hash] of VIEWS) {
      await opened(
        hash,
        async ({ page, shot }) => {
          await page.waitForSelector("main .sheet");
          // The policy of the page refuses added scripts; evaluation by the debugger is not one.
          await page.evaluate(axe.source);
          const run = await page.evaluate<AxeRun>("axe.run()");
          const found = run.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
          assert.deepEqual(found, [], name);
          await shot(`${name}-${dark ? "dark" : "light"}`);
        },
        dark,
      );
    }
  });
}

test("the overview shows rate, errors and latency of each service, and why others are not seen", async () => {
  await opened("#/", async ({ page }) => {
    const row = page.getByRole("row", { name: /^nginx/ }).first();
    await row.waitFor();
    const text = (await row.textContent()) ?? "";
    for (const part of ["2/s", "0.19 %", "5.60 ms", "16.8 ms", "39.2 ms"]) {
      assert.ok(text.includes(part), `${part} in ${text}`);
    }
    await row.getByRole("button", { name: "nginx" }).click();
    await page.getByRole("link", { name: "GET /order/{id}" }).waitFor();
    const unseen = page.getByRole("region", { name: "Not seen" });
    await unseen.getByText("14 connections of watched processes").waitFor();
    await unseen.getByText("TLS: the bytes are encrypted").waitFor();
  });
});

test("the map shows protocols and rewritten addresses, and leads to the traces of a node", async () => {
  await opened("#/map", async ({ page }) => {
    await page.getByText("http ⇄ NAT").waitFor();
    assert.equal(await page.locator("svg.map .node").count(), 7);
    assert.equal(await page.locator("svg.map .edge").count(), 7);
    await page
      .locator("svg.map")
      .getByRole("button", { name: /^orders p95/ })
      .focus();
    await page.keyboard.press("Enter");
    const chosen = page.getByRole("complementary", { name: "Chosen" });
    await chosen.getByText("Called by").waitFor();
    await chosen.getByRole("link", { name: "Traces", exact: true }).click();
    await page.waitForURL(/#\/traces\?service=orders$/);
  });
});

test("a search sends what the form says, and a point of the scatter opens its trace", async () => {
  await opened("#/traces", async ({ page }) => {
    await page.getByLabel("Service").selectOption("orders");
    await page.getByLabel("At least").fill("5ms");
    await page.getByLabel("Attributes").fill('http.route=/order/{id} note="two words"');
    await page.getByLabel("Attributes").press("Enter");
    await page.waitForURL(/attribute=note/);
    const deadlineMs = Date.now() + 60_000;
    const isAsked = (): string | undefined =>
      api.asked.find((one) =>
        one.startsWith("/api/ui/search?service=orders&minDurationNs=5000000"),
      );
    while (isAsked() === undefined && Date.now() < deadlineMs) await page.waitForTimeout(20);
    const query = new URL(isAsked() ?? "", api.url).searchParams;
    assert.deepEqual(query.getAll("attribute"), ["http.route=/order/{id}", "note=two words"]);
    assert.ok(Number(query.get("end")) - Number(query.get("start")) >= 3_599e6);
    const canvas = page.locator(".scatter canvas");
    const box = await canvas.boundingBox();
    assert.ok(box !== null);
    // The newest of the made-up spans stands at the right edge; one of them is hit along the line.
    await canvas.hover({ position: { x: box.width - 9, y: box.height / 2 } });
    for (let y = 5; y < box.height; y += 6) {
      await page.mouse.click(box.x + box.width - 9, box.y + y);
      if (page.url().includes("#/trace/")) break;
    }
    await page.waitForURL(new RegExp(`#/trace/${TRACE_ID}`));
  });
});

test("a drag over the scatter narrows the search in time and duration", async () => {
  await opened("#/traces", async ({ page }) => {
    const box = await page.locator(".scatter canvas").boundingBox();
    assert.ok(box !== null);
    await page.mouse.move(box.x + 200, box.y + 10);
    await page.mouse.down();
    await page.mouse.move(box.x + 500, box.y + 90);
    await page.mouse.up();
    await page.waitForURL(/start=\d{16}&end=\d{16}&min=\d+ns&max=\d+ns/);
  });
});

test("the live tail shows each new span once", async () => {
  await opened("#/traces", async ({ page }) => {
    const [first] = api.scenario.search(new URLSearchParams()).spans;
    assert.ok(first !== undefined);
    let answers = 0;
    const search = () => {
      answers += 1;
      const spans = answers < 3 ? [first] : [{ ...first, spanId: "new", name: "NEW" }, first];
      return { spans, scanned: 1, elapsedMs: 1, truncated: false };
    };
    api.scenario = { ...api.scenario, search };
    await page.getByRole("button", { name: "Live tail" }).click();
    const tail = page.getByRole("region", { name: "Live tail" });
    await tail.getByText("NEW").waitFor();
    assert.equal(await tail.locator("tbody tr").count(), 2);
    assert.match((await tail.locator("tbody tr").first().textContent()) ?? "", /NEW/);
  });
});

test("a trace shows who called whom, how that is known, and what was waited for", async () => {
  await opened(`#/trace/${TRACE_ID}`, async ({ page }) => {
    const rows = page.getByRole("treeitem");
    await rows.first().waitFor();
    assert.equal(await rows.count(), 7);
    assert.deepEqual(
      await rows.evaluateAll((all) => all.map((row) => row.getAttribute("aria-level"))),
      ["1", "2", "3", "4", "5", "6", "7"],
    );
    assert.match((await rows.nth(3).textContent()) ?? "", /event_loop 95\.0 %/);
    assert.ok((await page.locator(".span .part").count()) > 7);
    await rows.nth(5).click();
    const details = page.getByRole("complementary", { name: "Span" });
    await details.getByText("Weighed from times alone").waitFor();
    await details.getByText("98.5 %").waitFor();
    await details.getByText("error 503").waitFor();
    await page.getByRole("button", { name: "Copy as OTLP JSON" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const copied: unknown = JSON.parse(await page.evaluate("navigator.clipboard.readText()"));
    assert.deepEqual(copied, api.scenario.otlp);
    const link = page.getByRole("link", { name: "Open in Jaeger" });
    assert.equal(await link.getAttribute("href"), `http://jaeger.example:16686/trace/${TRACE_ID}`);
  });
});

test("the waterfall is walked by keyboard alone", async () => {
  await opened(`#/trace/${TRACE_ID}`, async ({ page }) => {
    const tree = page.getByRole("tree");
    await tree.focus();
    const chosen = async () => (await page.locator('[aria-selected="true"]').textContent()) ?? "";
    await page.keyboard.press("End");
    assert.match(await chosen(), /stock/);
    await page.keyboard.press("Home");
    await page.keyboard.press("e");
    assert.match(await chosen(), /prices/);
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.getByRole("treeitem").count(), 6);
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.getByRole("treeitem").count(), 7);
    await page.keyboard.press("c");
    assert.equal(await page.locator(".span .part").count(), 0);
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "Span" }).waitFor();
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("complementary", { name: "Span" }).count(), 0);
    await page.keyboard.press("2");
    await page.waitForURL(/#\/map$/);
  });
});

test("the agent's view shows rates, queues, losses with their reason, and refused probes", async () => {
  await opened("#/agent", async ({ page }) => {
    const stage = page
      .getByRole("table", { name: "traces" })
      .getByRole("row", { name: /span_stitch/ });
    // Two answers make a rate; the made-up counter grows by 100 a second.
    await stage
      .getByText(/^(9\d|1[01]\d)(\.\d)?\/s$/)
      .first()
      .waitFor();
    await page.getByRole("img", { name: "Queue: 230 of 1000" }).waitFor();
    await page.getByText("reason=retries_exhausted").waitFor();
    await page.getByText("No target has libssl").waitFor();
    // The made-up series goes from 100 to 199 MB, for whatever is asked.
    const memory = page.getByRole("region", { name: "Memory, last hour" });
    await memory.getByText("now 190 MiB, most 190 MiB").waitFor();
    const queued = page.getByRole("region", { name: "Queued, last hour" });
    await queued.getByText(/^now \d/).waitFor();
    assert.ok(
      api.asked.some((one) =>
        /agent\/history\?metric=otelcol_exporter_queue_size&seconds=3600/.test(one),
      ),
    );
    await page.getByRole("banner").getByRole("combobox").selectOption("7d");
    await page
      .getByRole("region", { name: "Queued, last 7 days" })
      .getByText(/^now \d/)
      .waitFor();
    assert.ok(api.asked.some((one) => one.endsWith("queue_size&seconds=604800")));
  });
});

test("chosen processes become YAML, and nothing can be chosen that is watched or ourselves", async () => {
  await opened("#/processes", async ({ page }) => {
    const box = (name: RegExp) => page.getByRole("checkbox", { name });
    await box(/Watch postgres/).check();
    await box(/Watch redis/).check();
    assert.equal(
      await page.getByLabel("YAML of the chosen processes").inputValue(),
      "extensions:\n  discovery:\n    targets:\n      - ports: 5432\n      - ports: 6379\n",
    );
    assert.ok(await box(/Watch nginx/).isDisabled());
    assert.ok(await box(/Watch backstitch/).isDisabled());
  });
});

test("an agent that watches nothing leads to the processes that could be watched", async () => {
  await opened("#/map", async ({ page }) => {
    const { services, processes } = api.scenario;
    const unwatched = processes.processes.map((one) => ({ ...one, watched: false, service: "" }));
    api.scenario = {
      ...api.scenario,
      services: { ...services, services: [] },
      processes: { ...processes, processes: unwatched },
    };
    await page.goto(`${api.url}#/`);
    await page.getByRole("link", { name: "Choose processes to watch" }).click();
    await page.getByRole("checkbox", { name: /Watch nginx/ }).check();
    const yaml = await page.getByLabel("YAML of the chosen processes").inputValue();
    assert.match(yaml, /- exe: \/usr\/sbin\/nginx/);
  });
});

test("what is wrong with the store is said on every view, and an unknown trace is an error", async () => {
  await opened("#/map", async (tab) => {
    const { page } = tab;
    const { store } = api.scenario.status;
    assert.ok(store !== undefined);
    const problem = "disk full: /data is full. Free space; nothing is stored until then";
    const dropped = [{ reason: "disk_full", spans: 1_234 }];
    api.scenario = {
      ...api.scenario,
      status: { ...api.scenario.status, store: { ...store, problem, dropped } },
    };
    await page.reload();
    await page.getByRole("alert").getByText(problem).waitFor();
    await page.getByText("1.23k spans could not be stored").waitFor();
    await page.goto(`${api.url}#/trace/00`);
    await page.getByText("There is no such trace").waitFor();
    // The browser itself notes the 404.
    tab.problems.splice(0);
  });
});
