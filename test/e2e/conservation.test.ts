// SPDX-License-Identifier: Apache-2.0
// The loss account when there is loss: a ring and a reader far too small for the load.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccount, metricsAtRest } from "../support/account.ts";
import { startTestAgent } from "../support/agent.ts";
import { judgeTraces } from "../support/judge.ts";
import { runLoad } from "../support/load.ts";
import { CHAIN_SPANS, startNetworkChain } from "../support/network-chain.ts";
import { total } from "../support/own-metrics.ts";
import { startProcess } from "../support/process.ts";
import { buildStock, stock } from "../support/services.ts";

const REQUESTS = 6_000;
/** Room for some 200 records between two readings. */
const TINY = "{ring_size: 64KiB, drain_interval: 200ms}";

test("under overload whole connections are shed, and every sum of the account holds", async (t) => {
  await using server = await startProcess(stock({ listen: "127.0.0.1:0" }, await buildStock()));
  await using agent = await startTestAgent({
    targets: `[{pids: ${server.pid}, name: stock}]`,
    capture: TINY,
  });
  const address = { host: "127.0.0.1", port: server.port };
  const load = await runLoad({
    ...{ ...address, requests: REQUESTS, concurrency: 16, paths: ["/stock/{id}"] },
  });
  assert.deepEqual(load.statuses, { "200": REQUESTS }, "the application does not notice");
  const metrics = await metricsAtRest(agent);
  const dropped = (reason: string): number =>
    total(metrics, "backstitch_ebpf_l7_records_dropped", `"${reason}"`);
  const of = (name: string): number => total(metrics, `backstitch_ebpf_l7_${name}`);
  t.diagnostic(
    `seen ${of("records_seen")}, ring full ${dropped("ring_full")}, shed ${dropped("shed")}, ` +
      `abandoned ${of("exchanges_abandoned")}, spans ${of("exchanges_completed")}`,
  );
  assert.ok(dropped("ring_full") > 0, "the ring was full");
  assert.ok(dropped("shed") > dropped("ring_full"), "and its connections were shed as a whole");
  // Each request is a read and a write of the server's; Go may read a first byte by itself.
  assert.ok(of("records_seen") >= REQUESTS * 2);
  assertAccount(metrics);
  assert.ok(of("exchanges_completed") > 0);
  const spans = await agent.spansWhen(of("exchanges_completed"));
  assert.equal(spans.length, of("exchanges_completed"));
  for (const span of spans) {
    assert.equal(span.attributes.get("error.type"), undefined, "no span of half an exchange");
    assert.equal(span.attributes.get("http.response.status_code"), 200n);
  }

  // When the load is over, connections are captured again: not all at once, but some of 20.
  const calm = await runLoad({
    ...{ ...address, requests: 20, concurrency: 1, firstId: REQUESTS + 1, pauseMs: 100 },
    keepAlive: false,
    paths: ["/stock/{id}"],
  });
  assert.deepEqual(calm.statuses, { "200": 20 });
  const after = await metricsAtRest(agent);
  assertAccount(after);
  assert.ok(total(after, "backstitch_ebpf_l7_exchanges_completed") > spans.length);
});

test("under overload nothing is paired or linked wrongly", async () => {
  const requests = 1_500;
  await using chain = await startNetworkChain();
  const targets = Object.entries(chain.services).map(
    ([name, { pid }]) => `{pids: [${pid}], name: ${name}}`,
  );
  await using agent = await startTestAgent({
    targets: `[${targets.join(", ")}]`,
    capture: TINY,
    stitch: "{wait_max: 2s}",
  });
  const load = await chain.load({ requests, concurrency: 12, paths: ["/order/{id}"] });
  assert.deepEqual(load.statuses, { "200": requests });
  const metrics = await metricsAtRest(agent);
  assertAccount(metrics);
  assert.ok(total(metrics, "backstitch_ebpf_l7_records_dropped", "ring_full") > 0);
  const spans = agent.spans();
  const ids = Array.from({ length: requests }, (_, index) => index + 1);
  const verdict = judgeTraces(spans, { ids, spans: CHAIN_SPANS });
  assert.ok(verdict.spans.missing > 0, "spans were lost");
  assert.ok(spans.length > 0);
  assert.deepEqual(
    { wrong: verdict.links.wrong, repeated: verdict.spans.repeated, strays: verdict.strays },
    { wrong: 0, repeated: 0, strays: 0 },
    verdict.examples.join("\n"),
  );
});
