// SPDX-License-Identifier: Apache-2.0
// Two equal servers, one selected: of the other nothing is read, however busy it is.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { assertAccount, metricsAtRest } from "../support/account.ts";
import { startTestAgent } from "../support/agent.ts";
import { pathOf } from "../support/judge.ts";
import { runLoad } from "../support/load.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";

const UNSELECTED_REQUESTS = 3_000;
const SELECTED_REQUESTS = 10;

interface TwoServers extends AsyncDisposable {
  readonly selected: RunningProcess;
  readonly unselected: RunningProcess;
}

async function startTwoServers(): Promise<TwoServers> {
  const directory = mkdtempSync(join(tmpdir(), "unselected-"));
  const [one = 0, other = 0] = await freePorts(2);
  const start = async (port: number): Promise<RunningProcess> =>
    await startProcess({
      ...prepareNginx({ directory: join(directory, `${port}`), listen: [`127.0.0.1:${port}`] }),
      readyPort: port,
    });
  const selected = await start(one);
  const unselected = await start(other);
  return {
    selected,
    unselected,
    [Symbol.asyncDispose]: async () => {
      await selected.stop();
      await unselected.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function loadUnselected(server: RunningProcess): Promise<void> {
  const load = await runLoad({
    ...{ host: "127.0.0.1", port: server.port, concurrency: 16 },
    ...{ requests: UNSELECTED_REQUESTS, paths: ["/secret/{id}"] },
  });
  assert.deepEqual(load.statuses, { "200": UNSELECTED_REQUESTS });
}

for (const selector of ["ports", "pids"] as const) {
  test(`selected by ${selector}: not one call and byte of the other server is seen`, async () => {
    await using servers = await startTwoServers();
    const { selected, unselected } = servers;
    const value = selector === "ports" ? selected.port : selected.pid;
    await using agent = await startTestAgent({ targets: `[{${selector}: ${value}, name: mine}]` });
    await loadUnselected(unselected);
    const idle = await metricsAtRest(agent);
    for (const name of ["records_seen", "bytes_seen", "records_captured", "bytes_captured"]) {
      assert.equal(total(idle, `backstitch_ebpf_l7_${name}`), 0, name);
    }

    // The one that is selected is seen, to the byte, while the other is busy again.
    const busy = loadUnselected(unselected);
    let bytes = 0;
    for (let id = 1; id <= SELECTED_REQUESTS; id += 1) {
      const request = `GET /open/${id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      const response = await exchangeRaw({ port: selected.port, sends: [request] });
      assert.match(response, /^HTTP\/1\.1 200 OK\r\n/);
      bytes += request.length + response.length;
    }
    await busy;
    const metrics = await metricsAtRest(agent);
    assert.equal(total(metrics, "backstitch_ebpf_l7_bytes_seen"), bytes);
    assert.ok(total(metrics, "backstitch_ebpf_l7_bytes_captured") <= bytes);
    assertAccount(metrics);
    const spans = await agent.spansWhen(SELECTED_REQUESTS);
    assert.deepEqual(
      spans.map((span) => `${span.service} ${span.kind} /${pathOf(span).segment}`),
      Array.from({ length: SELECTED_REQUESTS }, () => "mine server /open"),
    );
  });
}

test("without a target nothing is seen", async () => {
  await using servers = await startTwoServers();
  await using agent = await startTestAgent({ targets: "[]" });
  await loadUnselected(servers.unselected);
  const metrics = await metricsAtRest(agent);
  assert.equal(total(metrics, "backstitch_ebpf_l7_bytes_seen"), 0);
  assert.equal(total(metrics, "backstitch_discovery_selected_processes"), 0);
  assert.deepEqual(agent.spans(), []);
});
