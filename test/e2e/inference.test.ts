// SPDX-License-Identifier: Apache-2.0
// A service that hands its calls to a pool of threads: only times say which request made them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { type ExpectedSpan, judgeTraces } from "../support/judge.ts";
import { runLoad } from "../support/load.ts";
import { startProcess } from "../support/process.ts";
import { buildStock, prices, stock } from "../support/services.ts";

const SEGMENTS = ["first", "second"];
const EXPECTED: readonly ExpectedSpan[] = [
  { key: "in", service: "front", kind: "server", segment: "order" },
  ...SEGMENTS.flatMap((segment): readonly ExpectedSpan[] => [
    { key: `${segment} out`, service: "front", kind: "client", segment, parent: "in" },
    { key: `${segment} in`, service: "back", kind: "server", segment, parent: `${segment} out` },
  ]),
];
const REQUESTS = 1200;
/** The service is not known before. */
const LEARNT_AFTER = 400;

test("calls of a thread pool are linked by their times, and wrongly hardly ever", async () => {
  const binary = await buildStock();
  await using back = await startProcess(stock({ listen: "127.0.0.1:0" }, binary));
  const downstream = SEGMENTS.map((segment) => `http://127.0.0.1:${back.port}/${segment}`);
  await using front = await startProcess(
    prices({ listen: "127.0.0.1:0", downstream, workers: 16 }),
  );
  await using agent = await startTestAgent({
    targets: `[{pids: ${front.pid}, name: front}, {pids: ${back.pid}, name: back}]`,
  });
  const load = await runLoad({
    ...{ host: "127.0.0.1", port: front.port, requests: REQUESTS, concurrency: 4, pauseMs: 6 },
    paths: ["/order/{id}"],
  });
  assert.deepEqual(load.statuses, { "200": REQUESTS });
  const spans = await agent.spansWhen(REQUESTS * EXPECTED.length);
  const links = spans.filter((span) => span.attributes.get("stitch.evidence") === "inference");
  const ids = Array.from({ length: REQUESTS - LEARNT_AFTER }, (_, i) => LEARNT_AFTER + i + 1);
  const known = spans.filter((span) => {
    const path = String(span.attributes.get("url.path") ?? span.attributes.get("url.full"));
    return Number(path.split("/").at(-1)) > LEARNT_AFTER;
  });
  const verdict = judgeTraces(known, { ids, spans: EXPECTED });
  const all = ids.length * (EXPECTED.length - 1);
  assert.equal(verdict.spans.missing + verdict.spans.repeated, 0);
  assert.ok(verdict.links.wrong < 0.01 * all, JSON.stringify(verdict));
  assert.ok(verdict.links.right > 0.52 * all, JSON.stringify(verdict));
  assert.ok(links.length > 0);
  for (const span of links) {
    const confidence = Number(span.attributes.get("stitch.confidence"));
    assert.ok(confidence >= 0.98 && confidence <= 1);
  }
});
