// SPDX-License-Identifier: Apache-2.0
// The page and its API behind the Collector's auth extensions, in a whole service.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { freePorts } from "../support/proc-net.ts";
import { type ServiceInProcess, startService } from "../support/service-in-process.ts";
import { startBrowser } from "./browser.ts";

const WAIT_MS = 60_000;
const BASIC = `Basic ${Buffer.from("ann:sesame").toString("base64")}`;
const BEARER = "Bearer open-sesame";
const PATHS = [
  ...["/", "/app.js", "/api/ui/status", "/api/ui/agent", "/api/services", "/api/traces?service=a"],
  ...["/api/ui/processes", "/api/metrics/calls", "/nothing"],
];

let browser: Browser;
let service: ServiceInProcess;
let folder = "";
const urls = { basic: "", bearer: "" };

before(async () => {
  browser = await startBrowser();
  folder = await mkdtemp(join(tmpdir(), "backstitch-auth-"));
  const ports = await freePorts(2);
  const ui = (port: number | undefined, authenticator: string): string =>
    `{directory: ${folder}, endpoint: "127.0.0.1:${port}", auth: {authenticator: ${authenticator}}}`;
  service = await startService(`{
    receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}},
    exporters: {store: {directory: ${folder}}},
    extensions: {
      basicauth: {htpasswd: {inline: "ann:sesame"}}, bearertokenauth: {token: open-sesame},
      ui: ${ui(ports[0], "basicauth")}, ui/token: ${ui(ports[1], "bearertokenauth")}},
    service: {extensions: [basicauth, bearertokenauth, ui, ui/token],
      pipelines: {traces: {receivers: [otlp], exporters: [store]}}}}`);
  urls.basic = `http://127.0.0.1:${ports[0]}`;
  urls.bearer = `http://127.0.0.1:${ports[1]}`;
});
after(async () => {
  await browser?.close();
  await service?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function statusOf(url: string, authorization?: string): Promise<Response> {
  const headers = authorization === undefined ? undefined : { authorization };
  const response = await fetch(url, {
    ...(headers === undefined ? {} : { headers }),
    signal: AbortSignal.timeout(WAIT_MS),
  });
  await response.arrayBuffer();
  return response;
}

for (const [kind, right, wrong] of [
  ["basic", BASIC, ["Basic !", `Basic ${Buffer.from("ann:x").toString("base64")}`, BEARER]],
  ["bearer", BEARER, ["Bearer", "Bearer x", "open-sesame", BASIC]],
] as const) {
  test(`${kind}: no path answers without the right credentials, and all do with them`, async () => {
    for (const path of PATHS) {
      for (const credentials of [undefined, ...wrong]) {
        const refused = await statusOf(`${urls[kind]}${path}`, credentials);
        assert.equal(refused.status, 401, `${path} with ${credentials}`);
        assert.match(
          refused.headers.get("www-authenticate") ?? "",
          new RegExp(`^${kind} realm=`, "i"),
        );
      }
      const answer = await statusOf(`${urls[kind]}${path}`, right);
      assert.notEqual(answer.status, 401, path);
    }
  });
}

async function inPage(options: BrowserContextOptions, work: (page: Page) => Promise<void>) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  try {
    await work(page);
  } finally {
    await context.close();
  }
}

test("a browser asks for the name and the password, and then shows the page", async () => {
  await inPage({}, async (page) => {
    // Without a window the browser has nobody to ask.
    await assert.rejects(page.goto(urls.basic), /ERR_INVALID_AUTH_CREDENTIALS/);
  });
  const httpCredentials = { username: "ann", password: "sesame" };
  await inPage({ httpCredentials }, async (page) => {
    await page.goto(`${urls.basic}/#/agent`);
    await page.getByRole("table", { name: "traces", exact: true }).waitFor();
    await page.getByRole("rowheader", { name: "store" }).first().waitFor();
  });
});

test("a token that is no longer right is said on the page", async () => {
  await inPage({ extraHTTPHeaders: { authorization: BEARER } }, async (page) => {
    await page.goto(`${urls.bearer}/#/agent`);
    await page.getByRole("table", { name: "traces", exact: true }).waitFor();
    await page.context().setExtraHTTPHeaders({ authorization: "Bearer old" });
    await page
      .getByRole("alert")
      .filter({ hasText: /credentials|token|auth/i })
      .first()
      .waitFor();
  });
});
