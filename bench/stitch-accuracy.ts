// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { z } from "zod";
import {
  type CallTimes,
  DEFAULT_INFERENCE,
  type InferenceOptions,
  type Link,
  ServiceInference,
} from "../src/inference/service-inference.ts";
import { ServiceModel } from "../src/inference/service-model.ts";
import { THOROUGH } from "../src/inference/window-solver.ts";
import { describeMachine } from "./support/machine.ts";
import { overlapped, readStitchFile, type StitchCall } from "./support/stitch-file.ts";

const USAGE =
  "usage: npm run bench:stitch -- FILE.csv.gz [--overlap N] [--passes N] [--graph] [--out FILE.json]";
/** Data time between two decisions, µs. */
const STEP_US = 5_000_000;
/** Calls from a root to a leaf at most. */
const DEPTH_MAX = 1000;

/** Calls looked at by all passes together: some minutes, whatever the file is like. */
const WORK_MAX = 3e9;

/** The bench wants every answer with its confidence, sure or not, and takes its time. */
function optionsFor(calls: number, passes: number): InferenceOptions {
  const workMax = Math.min(THOROUGH.workMax, WORK_MAX / Math.max(1, calls * passes));
  return { ...DEFAULT_INFERENCE, confidenceMin: 0, solver: { ...THOROUGH, workMax } };
}

/** What several passes together say of a call. */
type Answer = Pick<Link, "child" | "parent" | "confidence">;

interface ServiceCalls {
  readonly incoming: StitchCall[];
  readonly outgoing: StitchCall[];
}

/** By service, callers before those they call, as far as calls go one way. */
function byService(calls: readonly StitchCall[]): Map<string, ServiceCalls> {
  const services = new Map<string, ServiceCalls>();
  for (const name of new Set(calls.flatMap((call) => [call.caller, call.callee]))) {
    services.set(name, { incoming: [], outgoing: [] });
  }
  for (const call of calls) {
    services.get(call.callee)?.incoming.push(call);
    if (call.caller !== "") services.get(call.caller)?.outgoing.push(call);
  }
  const ordered = new Map<string, ServiceCalls>();
  const visit = (name: string, path: ReadonlySet<string>): void => {
    const service = services.get(name);
    if (service === undefined || ordered.has(name) || path.has(name)) return;
    for (const call of service.incoming) visit(call.caller, new Set([...path, name]));
    ordered.set(name, service);
  };
  for (const name of services.keys()) visit(name, new Set());
  return ordered;
}

function asIncoming(call: StitchCall, root: number): CallTimes {
  const served = call.serverEndUs >= call.serverStartUs;
  return {
    id: call.call,
    operation: call.operation,
    startUs: served ? call.serverStartUs : call.clientStartUs,
    endUs: served ? call.serverEndUs : call.clientEndUs,
    trace: root,
  };
}

function asOutgoing(call: StitchCall): CallTimes {
  const sent = call.clientEndUs >= call.clientStartUs;
  const served = call.serverEndUs >= call.serverStartUs;
  return {
    id: call.call,
    operation: `${call.callee} ${call.operation}${sent ? "" : " (server's times)"}`,
    startUs: sent ? call.clientStartUs : call.serverStartUs,
    endUs: sent ? call.clientEndUs : call.serverEndUs,
    ...(served ? { workUs: call.serverEndUs - call.serverStartUs } : {}),
    otherClock: !sent,
  };
}

/** One run over a service's calls in order of their end, as a stream would bring them. */
function stream(
  service: ServiceCalls,
  inference: ServiceInference,
  rootOf: (call: number) => number,
): Link[] {
  const events = [
    ...service.incoming.map((call) => ({
      call: asIncoming(call, rootOf(call.call)),
      incoming: true,
    })),
    ...service.outgoing.map((call) => ({ call: asOutgoing(call), incoming: false })),
  ]
    .filter(({ call }) => call.endUs >= call.startUs)
    .sort((a, b) => a.call.endUs - b.call.endUs);
  const links: Link[] = [];
  let nextUs = (events[0]?.call.endUs ?? 0) + STEP_US;
  for (const { call, incoming } of events) {
    while (call.endUs >= nextUs) {
      for (const link of inference.decide(nextUs)) links.push(link);
      nextUs = inference.heldCount === 0 ? call.endUs + STEP_US : nextUs + STEP_US;
    }
    if (incoming) inference.incoming(call);
    else inference.outgoing(call);
  }
  for (const link of inference.flush()) links.push(link);
  return links;
}

/** Votes by child: for each parent that a pass named, the sum of its confidences. */
type Votes = Map<number, Map<number | undefined, number>>;

function vote(votes: Votes, link: Link, weight: number): void {
  const tally = votes.get(link.child) ?? new Map<number | undefined, number>();
  tally.set(link.parent, (tally.get(link.parent) ?? 0) + weight);
  votes.set(link.child, tally);
}

function elected(child: number, tally: ReadonlyMap<number | undefined, number>): Answer {
  let link: Answer = { child, parent: undefined, confidence: 0 };
  for (const [parent, confidence] of tally) {
    if (confidence > link.confidence) link = { child, parent, confidence };
  }
  return link;
}

function infer(calls: readonly StitchCall[], passes: number, graph: boolean): Map<number, Answer> {
  const answers = new Map<number, Answer>();
  const options = optionsFor(calls.length, passes);
  const rootOf = (call: number): number => {
    let at = call;
    // Where services call each other in a circle, so may answers that are wrong.
    for (let steps = 0; steps < DEPTH_MAX; steps++) {
      const parent = answers.get(at)?.parent;
      if (parent === undefined) break;
      at = parent;
    }
    return at;
  };
  for (const [name, service] of byService(calls)) {
    if (service.outgoing.length === 0) continue;
    const model = new ServiceModel();
    const votes: Votes = new Map();
    const voting = Math.ceil(passes / 2);
    for (let pass = 1; pass <= passes; pass++) {
      const inference = new ServiceInference({ ...options, seed: pass }, model);
      const links = stream(service, inference, rootOf);
      if (pass <= passes - voting) continue;
      for (const link of links) vote(votes, link, link.confidence / voting);
    }
    for (const [child, tally] of votes) answers.set(child, elected(child, tally));
    if (graph) for (const line of model.describe()) console.log(`${name}: ${line}`);
  }
  return answers;
}

const BOUNDS = [0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0001];

function printCalibration(
  calls: readonly StitchCall[],
  answers: ReadonlyMap<number, Answer>,
): void {
  console.log("confidence      links   said   right");
  for (let i = 0; i + 1 < BOUNDS.length; i++) {
    const low = BOUNDS[i] ?? 0;
    const high = BOUNDS[i + 1] ?? 1;
    let links = 0;
    let said = 0;
    let right = 0;
    for (const call of calls) {
      const link = answers.get(call.call);
      if (link?.parent === undefined || link.confidence < low || link.confidence >= high) continue;
      links++;
      said += link.confidence;
      if (link.parent === call.parentCall) right++;
    }
    if (links === 0) continue;
    const range = `${low.toFixed(3)}-${Math.min(1, high).toFixed(3)}`;
    const shares = `${(said / links).toFixed(4)} ${(right / links).toFixed(4)}`;
    console.log(`${range} ${String(links).padStart(9)} ${shares}`);
  }
}

function printServices(calls: readonly StitchCall[], answers: ReadonlyMap<number, Answer>): void {
  const rows = new Map<string, { right: number; wrong: number; unknown: number }>();
  for (const call of calls) {
    if (call.caller === "") continue;
    const row = rows.get(call.caller) ?? { right: 0, wrong: 0, unknown: 0 };
    const parent = answers.get(call.call)?.parent;
    if (parent === undefined) row.unknown++;
    else if (parent === call.parentCall) row.right++;
    else row.wrong++;
    rows.set(call.caller, row);
  }
  for (const [name, row] of rows) {
    console.log(`${name}: ${row.right} right, ${row.wrong} wrong, ${row.unknown} unknown`);
  }
}

interface Shares {
  readonly calls: number;
  readonly traces: number;
}

function sharesOf(calls: readonly StitchCall[], answers: ReadonlyMap<number, Answer>): Shares {
  const traces = new Map<string, boolean>();
  let judged = 0;
  let right = 0;
  for (const call of calls) {
    let fine = true;
    if (call.caller !== "") {
      judged++;
      fine = answers.get(call.call)?.parent === call.parentCall;
      if (fine) right++;
    }
    traces.set(call.trace, (traces.get(call.trace) ?? true) && fine);
  }
  const whole = [...traces.values()].filter((fine) => fine).length;
  const share = (part: number, all: number): number => (all === 0 ? 1 : part / all);
  return { calls: share(right, judged), traces: share(whole, traces.size) };
}

const resultsSchema = z.object({ machine: z.unknown(), result: z.record(z.string(), z.unknown()) });

/** Adds a result to those in `file`. */
function save(file: string, name: string, result: unknown): void {
  const before = existsSync(file)
    ? resultsSchema.parse(JSON.parse(readFileSync(file, "utf8"))).result
    : {};
  const all = { machine: describeMachine(), result: { ...before, [name]: result } };
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`);
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      overlap: { type: "string", default: "1" },
      passes: { type: "string", default: "6" },
      graph: { type: "boolean", default: false },
      out: { type: "string" },
    },
  });
  const overlap = Number(values.overlap);
  const passes = Number(values.passes);
  const path = positionals[0];
  if (path === undefined || !(overlap > 0) || !(passes >= 1)) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const calls = overlapped(readStitchFile(path), overlap);
  const began = performance.now();
  const answers = infer(calls, passes, values.graph);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const { user, system } = process.cpuUsage();
  const cpu = ((user + system) / 1e6).toFixed(1);
  console.log(`${calls.length} calls in ${seconds} s (CPU ${cpu} s), ${passes} passes`);
  printServices(calls, answers);
  printCalibration(calls, answers);
  const shares = sharesOf(calls, answers);
  if (values.out !== undefined) {
    const set = basename(path).split(".")[0] ?? path;
    save(values.out, `${set} overlap ${overlap}`, { ...shares, passes, cpuSeconds: Number(cpu) });
  }
  console.log(`calls ${shares.calls.toFixed(4)} traces ${shares.traces.toFixed(4)}`);
}

try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
