// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareNginx } from "../../test/apps/nginx.ts";
import { startTestAgent, type TestAgent } from "../../test/support/agent.ts";
import { startRedis } from "../../test/support/databases.ts";
import { eventually } from "../../test/support/eventually.ts";
import { type ExpectedSpan, judgeTraces, pathOf, type Verdict } from "../../test/support/judge.ts";
import { runLoad } from "../../test/support/load.ts";
import type { FlatSpan } from "../../test/support/otlp-json.ts";
import { freePorts } from "../../test/support/proc-net.ts";
import { type RunningProcess, startProcess } from "../../test/support/process.ts";
import { buildStock, stock } from "../../test/support/services.ts";
import type { TruthRuntime } from "./runtimes.ts";

export interface Cell {
  readonly runtime: TruthRuntime;
  readonly concurrency: number;
  /** Connections that a service opens to each server at most; 0: as many as it takes. */
  readonly connections: number;
  readonly requests: number;
  readonly inference?: boolean;
}

export interface EvidenceCount {
  readonly right: number;
  readonly wrong: number;
}

export interface CellResult {
  readonly runtime: string;
  readonly concurrency: number;
  readonly connections: number;
  readonly requests: number;
  readonly traces: { readonly right: number; readonly incomplete: number; readonly wrong: number };
  readonly links: Verdict["links"];
  readonly missingSpans: number;
  /** Links between spans of one process, by evidence. */
  readonly evidence: Readonly<Record<string, EvidenceCount>>;
  /** How the first wrong ones came about. */
  readonly wrong: readonly string[];
}

/** nginx → front → (first: middle → inner), second, then left and right, then Redis. */
export function expectedSpans(redis: boolean): readonly ExpectedSpan[] {
  const leaf = (service: string, segment: string, parent: string): readonly ExpectedSpan[] => [
    { key: `${segment} out`, service, kind: "client", segment, parent },
    { key: `${segment} in`, service: "leaf", kind: "server", segment, parent: `${segment} out` },
  ];
  return [
    { key: "nginx in", service: "nginx", kind: "server", segment: "order" },
    { key: "nginx out", service: "nginx", kind: "client", segment: "order", parent: "nginx in" },
    { key: "in", service: "front", kind: "server", segment: "order", parent: "nginx out" },
    { key: "first out", service: "front", kind: "client", segment: "first", parent: "in" },
    { key: "first in", service: "middle", kind: "server", segment: "first", parent: "first out" },
    ...leaf("middle", "inner", "first in"),
    ...["second", "left", "right"].flatMap((segment) => leaf("front", segment, "in")),
    ...(redis
      ? [{ key: "key", service: "front", kind: "client", segment: "key", parent: "in" } as const]
      : []),
  ];
}

/** Starts the services and the agent, sends the load, and compares with the truth. */
export async function runCell(cell: Cell): Promise<CellResult> {
  const { runtime, concurrency, requests } = cell;
  const folder = mkdtempSync(join(tmpdir(), "backstitch-truth-"));
  await using services = new AsyncDisposableStack();
  services.defer(() => rmSync(folder, { recursive: true, force: true }));
  const started = await startServices(cell, services, folder);
  const expected = expectedSpans(runtime.redis);
  await using agent = await startTestAgent({
    targets: `[${[...started].map(([name, { pid }]) => `{pids: [${pid}], name: ${name}}`).join(", ")}]`,
    // For the judge: the id of a request stands in the key that is asked for.
    capture: `{raw_statements: true, java: {attach: ${runtime.javaAgent === true}}}`,
    ...(cell.inference === false ? { stitch: "{inference: {enabled: false}}" } : {}),
  });
  if (runtime.javaAgent === true)
    await saidOf(agent, "Java agent attached", [started.get("front"), started.get("middle")]);
  if (runtime.followed === true)
    await saidOf(agent, "Runtime followed", [started.get("front"), started.get("middle")]);
  const port = started.get("nginx")?.port ?? 0;
  const load = await runLoad({
    ...{ host: "127.0.0.1", port, requests, concurrency, paths: ["/order/{id}"] },
    ...{ timeoutMs: 60_000, totalTimeoutMs: 120_000 },
  });
  if (load.statuses["200"] !== requests) {
    throw new Error(`${runtime.name}: ${JSON.stringify(load)}\n${started.get("front")?.output()}`);
  }
  const spans = await agent.spansWhen(requests * expected.length, 40_000);
  const ids = Array.from({ length: requests }, (_, index) => index + 1);
  const verdict = judgeTraces(spans, { ids, spans: expected });
  return {
    ...{ runtime: runtime.name, concurrency, connections: cell.connections, requests },
    traces: { right: verdict.right, incomplete: verdict.incomplete, wrong: verdict.wrong },
    links: verdict.links,
    missingSpans: verdict.spans.missing,
    ...byEvidence(spans),
  };
}

/** Waits until the agent has said so of each of them. */
async function saidOf(
  agent: TestAgent,
  message: string,
  services: readonly (RunningProcess | undefined)[],
): Promise<void> {
  await eventually(
    async () => agent.process.output(),
    (text) => services.every((one) => new RegExp(`${message}.*"pid":${one?.pid}\\b`).test(text)),
    60_000,
  );
}

async function startServices(
  cell: Cell,
  services: AsyncDisposableStack,
  folder: string,
): Promise<ReadonlyMap<string, RunningProcess>> {
  const { runtime, connections } = cell;
  const started = new Map<string, RunningProcess>();
  const start = async (name: string, command: readonly string[]): Promise<RunningProcess> => {
    const [program = "", ...args] = command;
    const one = services.use(await startProcess({ command: program, args, readyPort: 0 }));
    started.set(name, one);
    return one;
  };
  const leafCommand = stock({ listen: "127.0.0.1:0" }, await buildStock());
  const leaf = await start("leaf", [leafCommand.command, ...(leafCommand.args ?? [])]);
  const at = ({ port }: RunningProcess, path: string): string => `http://127.0.0.1:${port}/${path}`;
  const command = [...(await runtime.command()), "--listen", "127.0.0.1:0"];
  command.push("--connections", String(connections));
  const middle = await start("middle", [...command, "--downstream", at(leaf, "inner")]);
  const redis = runtime.redis ? services.use(await startRedis()) : undefined;
  const front = await start("front", [
    ...command,
    ...["--downstream", at(middle, "first"), "--downstream", at(leaf, "second")],
    ...["--parallel", at(leaf, "left"), "--parallel", at(leaf, "right")],
    ...(redis === undefined ? [] : ["--redis", `127.0.0.1:${redis.port}`]),
  ]);
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({
    directory: folder,
    listen: [`127.0.0.1:${port}`],
    upstream: `127.0.0.1:${front.port}`,
    keepaliveConnections: connections === 0 ? 1024 : connections,
  });
  started.set("nginx", services.use(await startProcess({ ...nginx, readyPort: port })));
  return started;
}

const WRONG_SHOWN = 5;

/** Right and wrong links inside processes, by what they were made from. */
function byEvidence(spans: readonly FlatSpan[]): Pick<CellResult, "evidence" | "wrong"> {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const evidence: Record<string, { right: number; wrong: number }> = {};
  const wrong: string[] = [];
  for (const span of spans) {
    const parent = byId.get(span.parentSpanId);
    if (span.kind !== "client" || parent === undefined) continue;
    const name = String(span.attributes.get("stitch.evidence"));
    evidence[name] ??= { right: 0, wrong: 0 };
    const [own, above] = [pathOf(span), pathOf(parent)];
    if (own.id === above.id) evidence[name].right++;
    else {
      evidence[name].wrong++;
      if (wrong.length < WRONG_SHOWN) {
        const confidence = String(span.attributes.get("stitch.confidence"));
        wrong.push(
          `${span.service}: ${own.segment} of ${own.id} below ${above.id} (${name}, ${confidence})`,
        );
      }
    }
  }
  return { evidence, wrong };
}
