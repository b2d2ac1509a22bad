// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
/** Screenshots of the last run; ignored by git. */
const SHOTS = join(import.meta.dirname, "../../build/screenshots");
const WAIT_MS = 60_000;

/** Debian's Chromium, started by us; its own profile, no network but loopback. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // Tests run as root, where Chromium's sandbox does not start.
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
  });
}

export interface Tab {
  readonly page: Page;
  /** Errors of the page and what its policy refused; empty at the end of a good test. */
  readonly problems: string[];
  shot(name: string): Promise<void>;
}

export async function openTab(browser: Browser, options: { dark?: boolean } = {}): Promise<Tab> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: options.dark === true ? "dark" : "light",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("dialog", (dialog) => {
    problems.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  const shot = async (name: string): Promise<void> => {
    mkdirSync(SHOTS, { recursive: true });
    await page.screenshot({ path: join(SHOTS, `${name}.png`) });
  };
  return { page, problems, shot };
}

export function assertNoProblems(tab: Tab): void {
  assert.deepEqual(tab.problems, []);
}
