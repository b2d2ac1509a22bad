// SPDX-License-Identifier: Apache-2.0
// `node bench/inference-speed.ts`: src/inference alone, online and in one pass, on made-up services
// whose truth is known: calls a CPU second and the share of right links, by handlers at a time.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRandom } from "../src/inference/random.ts";
import {
  type CallTimes,
  DEFAULT_INFERENCE,
  type Link,
  ServiceInference,
} from "../src/inference/service-inference.ts";
import { describeMachine } from "./support/machine.ts";

/** Mean of handlers open at once. */
const CONCURRENCIES = [0.2, 1, 4, 16];
const CALLS = 60_000;
/** Calls before the first measured one: models are learnt by then. */
const WARM_UP_CALLS = 10_000;
/** Data time between two decisions, µs. */
const STEP_US = 500_000;
/** Mean length of a handler, µs. */
const HANDLER_US = 9_700;

interface Event {
  readonly call: CallTimes;
  readonly incoming: boolean;
}

interface Story {
  readonly events: readonly Event[];
  readonly parentOf: ReadonlyMap<number, number>;
}

/** Handlers that make two calls, one after the other, as a Poisson process. */
function tell(concurrency: number, seed: number): Story {
  const random = createRandom(seed);
  const exponential = (meanUs: number): number => Math.round(-meanUs * Math.log(1 - random()));
  const events: Event[] = [];
  const parentOf = new Map<number, number>();
  let at = 0;
  for (let id = 0; id < 1.5 * CALLS; id += 3) {
    at += exponential(HANDLER_US / concurrency);
    const aStart = at + 100 + exponential(100);
    const aEnd = aStart + 1000 + exponential(3000);
    const bStart = aEnd + 50 + exponential(80);
    const bEnd = bStart + 1000 + exponential(4000);
    const endUs = bEnd + 100 + exponential(100);
    const add = (call: CallTimes, incoming: boolean): void => {
      events.push({ call, incoming });
    };
    add({ id, operation: "serve", startUs: at, endUs }, true);
    add({ id: id + 1, operation: "a", startUs: aStart, endUs: aEnd }, false);
    add({ id: id + 2, operation: "b", startUs: bStart, endUs: bEnd }, false);
    parentOf.set(id + 1, id).set(id + 2, id);
  }
  events.sort((a, b) => a.call.endUs - b.call.endUs);
  return { events, parentOf };
}

function measure(concurrency: number, seed: number): unknown {
  const { events, parentOf } = tell(concurrency, seed);
  const inference = new ServiceInference({ ...DEFAULT_INFERENCE, seed });
  const links: Link[] = [];
  let nextUs = STEP_US;
  let cpu = process.threadCpuUsage();
  let measured = 0;
  let heldMax = 0;
  for (const { call, incoming } of events) {
    for (; call.endUs >= nextUs; nextUs += STEP_US) {
      heldMax = Math.max(heldMax, inference.heldCount);
      const decided = inference.decide(nextUs);
      if (links.length < WARM_UP_CALLS && links.length + decided.length >= WARM_UP_CALLS) {
        cpu = process.threadCpuUsage();
        measured = links.length + decided.length;
      }
      for (const link of decided) links.push(link);
    }
    if (incoming) inference.incoming(call);
    else inference.outgoing(call);
  }
  const used = process.threadCpuUsage(cpu);
  const judged = links.slice(measured);
  const right = judged.filter((link) => link.parent === parentOf.get(link.child)).length;
  const said = judged.filter((link) => link.parent !== undefined).length;
  const seconds = (used.user + used.system) / 1e6;
  return {
    handlersAtATime: concurrency,
    callsPerCpuSecond: Math.round(judged.length / seconds),
    rightShare: Number((right / judged.length).toFixed(4)),
    wrongShare: Number(((said - right) / judged.length).toFixed(4)),
    heldMax,
  };
}

/** Two rounds; the second, when all code is compiled, counts. */
export function benchInferenceSpeed(): unknown {
  for (const concurrency of CONCURRENCIES) measure(concurrency, 1);
  return CONCURRENCIES.map((concurrency) => measure(concurrency, 2));
}

if (import.meta.main) {
  const machine = describeMachine();
  const text = `${JSON.stringify({ machine, result: benchInferenceSpeed() }, null, 2)}\n`;
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "inference-speed.json"), text);
  process.stdout.write(text);
}
