// SPDX-License-Identifier: Apache-2.0
// The agent goes and comes back in the middle of traffic on connections that live on.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { bpfIdsOf, bpfLeftOf } from "../support/bpf-state.ts";
import { eventually } from "../support/eventually.ts";
import { judgeTraces, pathOf, type Verdict } from "../support/judge.ts";
import { CHAIN_SPANS, type NetworkChain, startNetworkChain } from "../support/network-chain.ts";
import type { FlatSpan } from "../support/otlp-json.ts";

const CONCURRENCY = 6;
const PAUSE_MS = 15;
/** Traffic goes on until it is stopped: how long three agents take to start depends on the machine. */
const REQUESTS_MAX = 100_000;
const TRAFFIC_MS_MAX = 200_000;
/** Right traces that each agent must see before it goes. */
const RIGHT_MIN = 100;
const NONE = { programs: [], links: [], maps: [] };

async function startAgent(chain: NetworkChain): Promise<TestAgent> {
  const targets = Object.entries(chain.services).map(
    ([name, { pid }]) => `{pids: [${pid}], name: ${name}}`,
  );
  return await startTestAgent({ targets: `[${targets.join(", ")}]` });
}

/** By this agent alone: what another one saw of a request is not there. */
function judge(spans: readonly FlatSpan[]): Verdict {
  const ids = new Set(spans.map((span) => pathOf(span).id));
  return judgeTraces(spans, { ids, spans: CHAIN_SPANS });
}

async function untilRight(agent: TestAgent): Promise<void> {
  const verdict = await eventually(
    async () => judge(agent.spans()),
    ({ right }) => right >= RIGHT_MIN,
  );
  assert.ok(verdict.right >= RIGHT_MIN, `${verdict.right} right: ${verdict.examples.join("; ")}`);
}

/** Nothing false, and what is not whole was under way when the agent came or went. */
function assertTraced(spans: readonly FlatSpan[], name: string): void {
  const verdict = judge(spans);
  assert.deepEqual(
    { name, wrong: verdict.wrong, strays: verdict.strays },
    { name, wrong: 0, strays: 0 },
    verdict.examples.join("\n"),
  );
  assert.ok(verdict.right >= RIGHT_MIN, `${name}: ${verdict.right} right`);
  assert.ok(verdict.incomplete <= 4 * CONCURRENCY, `${name}: ${verdict.examples.join("\n")}`);
}

/** The client's ports of nginx's connections. */
function connectionsOf(spans: readonly FlatSpan[]): ReadonlySet<unknown> {
  const ofRoots = spans.filter(({ service, kind }) => service === "nginx" && kind === "server");
  return new Set(ofRoots.map((span) => span.attributes.get("network.peer.port")));
}

function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "backstitch-restart-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("ended and killed under load, the agent traces living connections again", async () => {
  await using chain = await startNetworkChain();
  using folder = temporaryFolder();
  const stopFile = join(folder.path, "stop");
  const load = chain.load({
    ...{ requests: REQUESTS_MAX, concurrency: CONCURRENCY, pauseMs: PAUSE_MS },
    ...{ stopFile, totalTimeoutMs: TRAFFIC_MS_MAX },
    paths: ["/order/{id}"],
  });
  const rounds: (readonly FlatSpan[])[] = [];
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await using agent = await startAgent(chain);
    const ids = bpfIdsOf(agent.pid);
    assert.ok(ids.programs.length > 0 && ids.links.length > 0, "it holds BPF programs");
    await untilRight(agent);
    const end = await agent.process.stop({ signal, graceMs: 10_000 });
    assert.deepEqual(
      end,
      signal === "SIGTERM" ? { code: 0, signal: null } : { code: null, signal },
      agent.process.output(),
    );
    assert.deepEqual(await bpfLeftOf(ids), NONE, `after ${signal}`);
    rounds.push(agent.spans());
  }
  await using last = await startAgent(chain);
  await untilRight(last);
  writeFileSync(stopFile, "");
  const { statuses, errors } = await load;
  assert.deepEqual({ statuses: Object.keys(statuses), errors }, { statuses: ["200"], errors: {} });
  const lastIds = bpfIdsOf(last.pid);
  await last.stop();
  rounds.push(last.spans());
  assert.deepEqual(await bpfLeftOf(lastIds), NONE, "after the last");

  const [first = []] = rounds;
  const connections = connectionsOf(first);
  assert.equal(connections.size, CONCURRENCY);
  for (const [index, spans] of rounds.entries()) {
    assertTraced(spans, `agent ${index + 1}`);
    assert.deepEqual(connectionsOf(spans), connections, "the same connections, all traced again");
  }
  // Nobody saw the same span twice, nor gave one id to two.
  const spanIds = rounds.flat().map((span) => span.spanId);
  assert.equal(new Set(spanIds).size, spanIds.length);
});
