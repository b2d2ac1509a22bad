// SPDX-License-Identifier: Apache-2.0
// What a live agent could not follow stands on its page with the reason.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { startTestAgent } from "../support/agent.ts";
import { makeCertificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { assertNoProblems, openTab, startBrowser } from "./browser.ts";

const PATIENCE_MS = 60_000;

/** One request over TLS; its status. */
function ask(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, rejectUnauthorized: false, agent: false };
    request(options, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end();
  });
}

test("TLS that cannot be read is on the agent's page, with the process and the reason", async () => {
  using tls = makeCertificate();
  const [port = 0, page = 0] = await freePorts(2);
  const directory = await mkdtemp(join(tmpdir(), "backstitch-refused-"));
  const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
  await using server = await startProcess({ ...nginx, readyPort: port });
  const settings = [
    `extensions::ui::directory=${directory}`,
    `extensions::ui::endpoint=127.0.0.1:${page}`,
    "service::extensions=[discovery, ui]",
  ];
  const browser = await startBrowser();
  try {
    await using agent = await startTestAgent({
      targets: `[{pids: [${server.pid}], name: web}]`,
      capture: "{tls: {openssl: false, gnutls: false, go: false}}",
      args: settings.flatMap((setting) => ["--set", setting]),
      readyTimeoutMs: PATIENCE_MS,
    });
    const log = await eventually(
      async () => {
        await ask(port);
        return agent.process.output();
      },
      (text) => text.includes("TLS is opaque"),
      PATIENCE_MS,
    );
    assert.match(log, /TLS is opaque/);
    const tab = await openTab(browser);
    tab.page.setDefaultTimeout(PATIENCE_MS);
    await tab.page.goto(`http://127.0.0.1:${page}/#/agent`);
    const probes = tab.page.getByRole("region", { name: "Probes" });
    const refused = probes.getByRole("row", { name: /^TLS of web \(pid \d+\) not attached/ });
    await refused.getByText(/TLS is opaque.*no known TLS library/).waitFor();
    await probes.getByText("attached", { exact: true }).first().waitFor();
    assertNoProblems(tab);
  } finally {
    await browser.close();
    await rm(directory, { recursive: true, force: true });
  }
});
