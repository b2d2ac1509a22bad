// SPDX-License-Identifier: Apache-2.0
import type { Browser, Page } from "playwright-core";
import type * as model from "../../extensions/ui/page/src/api-types.ts";
import { openTab } from "./browser.ts";
import { startFakeApi } from "./fake-api.ts";
import { demoScenario, demoTrace, span, TRACE_ID } from "./scenarios.ts";

/** Milliseconds on the page's clock, answers fetched and parsed, until the frame with them is drawn. */
export interface PageSpeed {
  /** From the start of the navigation until the services stand there and can be clicked. */
  readonly interactiveMs: number;
  /** A trace of 5,000 spans. */
  readonly waterfallMs: number;
  /** A map of 200 nodes and 600 edges. */
  readonly mapMs: number;
  /** Rows of the waterfall that were made: those in view, not all. */
  readonly waterfallRows: number;
  readonly mapNodes: number;
}

const SPANS = 5_000;
const NODES = 200;
const EDGES = 600;

function largeTrace(): model.Trace {
  const spans = Array.from({ length: SPANS }, (_, at) =>
    span(`s${at}`, {
      parentSpanId: at === 0 ? "" : `s${(at - 1) >> 3}`,
      kind: at % 2 === 0 ? "server" : "client",
      resource: at % 4,
      offsetNs: at * 1e3,
      durationNs: (SPANS - at) * 1e3,
      evidence: "byte_name",
      confidence: 1,
    }),
  );
  return { ...demoTrace(), spans, spansTotal: SPANS };
}

function largeMap(): model.ServiceMap {
  const nodes = Array.from({ length: NODES }, (_, at) => ({
    id: `service:s${at}`,
    name: `service-${at}`,
    kind: "service" as const,
    system: "",
    requests: 1_000,
    errors: at % 9,
    p95Ns: at * 1e5,
  }));
  const edges = Array.from({ length: EDGES }, (_, at) => ({
    from: `service:s${at % NODES}`,
    // Mostly onwards, in steps that differ, and now and then back.
    to: `service:s${(at * 7 + 13) % NODES}`,
    protocol: "http",
    requests: 100,
    errors: 0,
    rate: at / 10,
    p50Ns: 1e6,
    p95Ns: 2e6,
    p99Ns: 3e6,
    rewritten: 0,
  }));
  return { nodes, edges, truncated: false };
}

/** Runs in the page: goes to `to` and waits until `wanted` is there and a frame has been drawn. */
const DRAWN = `(to, wanted) =>
  new Promise((resolve) => {
    const startMs = performance.now();
    const observer = new MutationObserver(() => {
      if (document.querySelector(wanted) === null) return;
      observer.disconnect();
      // After the frame that shows it.
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - startMs)));
    });
    observer.observe(document.body, { childList: true, subtree: true });
    location.hash = to;
  })`;
const WAIT_MS = 60_000;

async function drawnMs(page: Page, hash: string, wanted: string): Promise<number> {
  const call = `(${DRAWN})(${JSON.stringify(hash)}, ${JSON.stringify(wanted)})`;
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`${hash} does not show ${wanted}`)), WAIT_MS).unref();
  });
  return await Promise.race([page.evaluate<number>(call), late]);
}

/** The best of `rounds`, each in a new tab. */
export async function measurePage(browser: Browser, rounds: number): Promise<PageSpeed> {
  const map = largeMap();
  const trace = largeTrace();
  const api = await startFakeApi({ ...demoScenario(), map, trace: () => trace });
  const best = { interactiveMs: 1e9, waterfallMs: 1e9, mapMs: 1e9, waterfallRows: 0, mapNodes: 0 };
  try {
    for (let round = 0; round < rounds; round += 1) {
      const { page } = await openTab(browser);
      await page.goto(api.url);
      await page.locator("main tbody button").first().click({ trial: true });
      const interactiveMs = await page.evaluate("performance.now()");
      best.interactiveMs = Math.min(best.interactiveMs, Number(interactiveMs));
      const waterfallMs = await drawnMs(page, `#/trace/${TRACE_ID}`, ".rows .span");
      best.waterfallMs = Math.min(best.waterfallMs, waterfallMs);
      best.waterfallRows = await page.locator(".rows .span").count();
      const mapMs = await drawnMs(page, "#/map", "svg.map .node:last-child");
      best.mapMs = Math.min(best.mapMs, mapMs);
      best.mapNodes = await page.locator("svg.map .node").count();
      await page.context().close();
    }
  } finally {
    await api.close();
  }
  return best;
}
