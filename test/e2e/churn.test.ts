// SPDX-License-Identifier: Apache-2.0
// Connections opened and closed as fast as a client can, many of them without a request.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { assertAccount, metricsAtRest } from "../support/account.ts";
import { type AgentOptions, startTestAgent, type TestAgent } from "../support/agent.ts";
import { pathOf } from "../support/judge.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

const CONNECTIONS_PER_ROUND = 5_000;
const AT_ONCE = 32;
const MEMORY_ROUNDS = 40;
/** Tables and heap take their size at some time: when the collector of garbage runs is its own affair. */
const MEMORY_ROUNDS_MAX = 150;
/** Memory is at rest when it grows by no more in so many rounds; a leak of 1 KiB a connection is 50 MiB. */
const RESTING_ROUNDS = 10;
const GROWTH_BYTES_MAX = 16 * 2 ** 20;

/** Of five connections three get their answer, one is reset in the middle, one says nothing. */
type Kind = "answered" | "reset" | "silent";
const KINDS: readonly Kind[] = ["answered", "reset", "answered", "silent", "answered"];

function visit(port: number, id: number, kind: Kind): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("close", () => resolve());
    socket.once("error", kind === "answered" ? reject : () => undefined);
    socket.once("connect", () => {
      if (kind === "silent") {
        socket.resetAndDestroy();
        return;
      }
      const request = `GET /churn/${id} HTTP/1.1\r\nHost: x\r\n\r\n`;
      if (kind === "reset") socket.write(request.slice(0, 30), () => socket.resetAndDestroy());
      else socket.write(request);
    });
    // RST leaves no connection in TIME_WAIT: ports do not run out.
    socket.once("data", () => socket.resetAndDestroy());
  });
}

async function churn(port: number, firstId: number): Promise<number> {
  let next = 0;
  let answered = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < CONNECTIONS_PER_ROUND; index = next++) {
      const kind = KINDS[index % KINDS.length] ?? "answered";
      await visit(port, firstId + index, kind);
      if (kind === "answered") answered += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return answered;
}

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) * 1024;
}

interface Bed extends AsyncDisposable {
  readonly port: number;
  readonly agent: TestAgent;
}

/** nginx that answers a constant, and the agent that watches it. */
async function startBed(options: Omit<AgentOptions, "targets">): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), "churn-"));
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({ directory, listen: [`127.0.0.1:${port}`] });
  const server = await startProcess({ ...nginx, readyPort: port });
  const targets = `[{pids: ${server.pid}, name: server}]`;
  const agent = await startTestAgent({ ...options, targets });
  return {
    port,
    agent,
    [Symbol.asyncDispose]: async () => {
      await agent[Symbol.asyncDispose]();
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function assertNothingLeft(metrics: ReadonlyMap<string, number>): void {
  const l7 = (name: string, label = ""): number =>
    total(metrics, `backstitch_ebpf_l7_${name}`, label);
  assert.equal(l7("records_dropped", "ring_full") + l7("records_dropped", '"shed"'), 0);
  assert.equal(l7("connections"), 0, "connections followed");
  assert.equal(l7("exchanges_open"), 0);
  assert.equal(l7("closes_lost"), 0);
  assertAccount(metrics);
}

test("10,000 connections at full speed: every answer is a span, and nothing else is", async () => {
  await using bed = await startBed({});
  let answered = 0;
  for (let round = 0; round < 2; round += 1) {
    answered += await churn(bed.port, 1 + round * CONNECTIONS_PER_ROUND);
  }
  assertNothingLeft(await metricsAtRest(bed.agent));
  const spans = await bed.agent.spansWhen(answered);
  const withAnswer = spans.filter((span) => span.attributes.has("http.response.status_code"));
  assert.equal(withAnswer.length, answered);
  assert.equal(new Set(withAnswer.map((span) => pathOf(span).id)).size, answered);
  for (const span of spans) {
    const { id } = pathOf(span);
    const kind = KINDS[(Number(id) - 1) % KINDS.length];
    if (span.attributes.has("http.response.status_code")) assert.equal(kind, "answered", id);
    else assert.ok(span.attributes.has("error.type"), id);
  }
});

/** By how much memory grew in the last rounds, bytes. */
function growthOf(resident: readonly number[]): number {
  return (resident.at(-1) ?? 0) - (resident.at(-1 - RESTING_ROUNDS) ?? 0);
}

test("200,000 connections and more at full speed bring memory to rest", async (t) => {
  // What is remembered for a minute is no growth: forget it sooner.
  const stitch = "{remember: 1s}";
  await using bed = await startBed({
    ...{ stitch, file: false, exporters: { yaml: "nop: {}", ids: ["nop"] } },
  });
  const resident: number[] = [];
  const startMs = performance.now();
  const isEnough = (): boolean =>
    resident.length >= MEMORY_ROUNDS && growthOf(resident) < GROWTH_BYTES_MAX;
  while (!isEnough() && resident.length < MEMORY_ROUNDS_MAX) {
    await churn(bed.port, 1 + resident.length * CONNECTIONS_PER_ROUND);
    resident.push(residentBytes(bed.agent.pid));
  }
  const connections = resident.length * CONNECTIONS_PER_ROUND;
  const rate = Math.round((connections / (performance.now() - startMs)) * 1_000);
  t.diagnostic(
    `${rate} connections/s; resident MiB ${resident.map((one) => one >> 20).join(", ")}`,
  );
  assertNothingLeft(await metricsAtRest(bed.agent));
  const growth = growthOf(resident);
  assert.ok(growth < GROWTH_BYTES_MAX, `${growth >> 20} MiB more in the last rounds`);
});
