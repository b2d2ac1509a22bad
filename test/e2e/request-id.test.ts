// SPDX-License-Identifier: Apache-2.0
// A service that hands its calls to a pool of threads and passes X-Request-ID on: the id that is seen
// in both messages says which request made them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { type ExpectedSpan, judgeTraces } from "../support/judge.ts";
import { runLoad } from "../support/load.ts";
import { startProcess } from "../support/process.ts";
import { buildStock, prices, stock } from "../support/services.ts";

const EXPECTED: readonly ExpectedSpan[] = [
  { key: "in", service: "front", kind: "server", segment: "order" },
  { key: "first out", service: "front", kind: "client", segment: "first", parent: "in" },
  { key: "first in", service: "back", kind: "server", segment: "first", parent: "first out" },
];
const REQUESTS = 200;

test("a request id that is passed on links calls that another thread makes", async () => {
  const binary = await buildStock();
  await using back = await startProcess(stock({ listen: "127.0.0.1:0" }, binary));
  const downstream = [`http://127.0.0.1:${back.port}/first`];
  await using front = await startProcess(prices({ listen: "127.0.0.1:0", downstream, workers: 8 }));
  await using agent = await startTestAgent({
    targets: `[{pids: ${front.pid}, name: front}, {pids: ${back.pid}, name: back}]`,
    stitch: "{inference: {enabled: false}}",
  });
  const load = await runLoad({
    ...{ host: "127.0.0.1", port: front.port, requests: REQUESTS, concurrency: 8 },
    paths: ["/order/{id}"],
    headers: { "X-Request-ID": "7d0e9c5a-61c5-4c8e-8c35-{id}" },
  });
  assert.deepEqual(load.statuses, { "200": REQUESTS });
  const spans = await agent.spansWhen(REQUESTS * EXPECTED.length);
  const ids = Array.from({ length: REQUESTS }, (_, index) => index + 1);
  const verdict = judgeTraces(spans, { ids, spans: EXPECTED });
  assert.deepEqual(verdict.links, { right: 2 * REQUESTS, wrong: 0, unlinked: 0 });
  const byId = spans.filter((span) => span.attributes.get("stitch.evidence") === "request_id");
  assert.equal(byId.length, REQUESTS);
});
