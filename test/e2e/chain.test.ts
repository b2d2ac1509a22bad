// SPDX-License-Identifier: Apache-2.0
// Real nginx, Node, Python and Go, each on a host of its own, none of them instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { judgeTraces, type Verdict } from "../support/judge.ts";
import { CHAIN_SPANS, type NetworkChain, startNetworkChain } from "../support/network-chain.ts";

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
}): Promise<Verdict> {
  const { requests, concurrency, ipVersion = 4 } = given;
  await using chain = await startNetworkChain(ipVersion);
  await using agent = await startTestAgent({ targets: targetsOf(chain) });
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
