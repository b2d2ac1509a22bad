// SPDX-License-Identifier: Apache-2.0
// Real nginx, Node, Python and Go, each on a host of its own, none of them instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { type ExpectedSpan, judgeTraces, type Verdict } from "../support/judge.ts";
import { runLoad } from "../support/load.ts";
import { CHAIN_SPANS, type NetworkChain, startNetworkChain } from "../support/network-chain.ts";
import { startProcess } from "../support/process.ts";
import { buildStock, orders, stock } from "../support/services.ts";

function targetsOf(chain: NetworkChain): string {
  const targets = Object.entries(chain.services).map(
    ([name, { pid }]) => `{pids: [${pid}], name: ${name}}`,
  );
  return `[${targets.join(", ")}]`;
}

async function trace(given: {
  readonly requests: number;
  readonly concurrency: number;
  readonly ipVersion?: 4 | 6;
  readonly hooks?: "sock" | "syscalls";
}): Promise<Verdict> {
  const { requests, concurrency, ipVersion = 4, hooks = "sock" } = given;
  await using chain = await startNetworkChain(ipVersion);
  await using agent = await startTestAgent({
    targets: targetsOf(chain),
    capture: `{hooks: ${hooks}}`,
  });
  const load = await chain.load({ requests, concurrency, paths: ["/order/{id}"] });
  assert.deepEqual(load.statuses, { "200": requests });
  const spans = await agent.spansWhen(requests * CHAIN_SPANS.length);
  const ids = Array.from({ length: requests }, (_, index) => index + 1);
  return judgeTraces(spans, { ids, spans: CHAIN_SPANS });
}

function assertAllRight(verdict: Verdict): void {
  assert.deepEqual(verdict.examples, []);
  assert.equal(verdict.right, verdict.requests);
}

test("200 requests one after the other give 200 right traces", async () => {
  assertAllRight(await trace({ requests: 200, concurrency: 1 }));
});

test("200 requests over 50 connections at once give 200 right traces", async () => {
  assertAllRight(await trace({ requests: 200, concurrency: 50 }));
});

test("over IPv6 too", async () => {
  assertAllRight(await trace({ requests: 100, concurrency: 8, ipVersion: 6 }));
});

test("with the hooks for kernels before 6.3 too", async () => {
  assertAllRight(await trace({ requests: 200, concurrency: 50, hooks: "syscalls" }));
});

test("a Node service that calls two in turn and two at once, 50 requests at a time", async () => {
  const requests = 300;
  const binary = await buildStock();
  await using back = await startProcess(stock({ listen: "127.0.0.1:0" }, binary));
  const at = (path: string): string => `http://127.0.0.1:${back.port}/${path}`;
  await using front = await startProcess(
    orders({
      listen: "127.0.0.1:0",
      downstream: [at("first"), at("second")],
      parallel: [at("left"), at("right")],
    }),
  );
  await using agent = await startTestAgent({
    targets: `[{pids: ${front.pid}, name: front}, {pids: ${back.pid}, name: back}]`,
  });
  const load = await runLoad({
    ...{ host: "127.0.0.1", port: front.port, requests, concurrency: 50 },
    paths: ["/order/{id}"],
  });
  assert.deepEqual(load.statuses, { "200": requests });
  const segments = ["first", "second", "left", "right"];
  const expected: readonly ExpectedSpan[] = [
    { key: "in", service: "front", kind: "server", segment: "order" },
    ...segments.flatMap((segment): readonly ExpectedSpan[] => [
      { key: `${segment} out`, service: "front", kind: "client", segment, parent: "in" },
      { key: `${segment} in`, service: "back", kind: "server", segment, parent: `${segment} out` },
    ]),
  ];
  const spans = await agent.spansWhen(requests * expected.length);
  const ids = Array.from({ length: requests }, (_, index) => index + 1);
  const verdict = judgeTraces(spans, { ids, spans: expected });
  // While the agent's pool grows, all of it is busy, and some calls may have waited for it.
  assert.equal(verdict.wrong, 0, verdict.examples.join("\n"));
  assert.ok(verdict.right >= requests * 0.8, verdict.examples.join("\n"));
});
