// SPDX-License-Identifier: Apache-2.0
import { quantileNs } from "../../src/store/duration-buckets.ts";
import type {
  EdgeNames,
  MapNode,
  OperationNames,
  ReadTally,
  Tally,
} from "../../src/store/series-format.ts";
import {
  addSum,
  addTally,
  emptyTally,
  type Summed,
  sumSeries,
} from "../../src/store/series-query.ts";
import { type ApiRequest, HttpProblem } from "./api.ts";
import { KINDS, rangeOf, textParameter } from "./parameters.ts";

const STEPS_MAX = 120;
const STEP_SECONDS_MIN = 10;
const ROWS_MAX = 1_000;
const NODES_MAX = 1_000;
const EDGES_MAX = 5_000;
const SERVER = 2;
const CONSUMER = 5;

interface Step {
  requests: number;
  errors: number;
  readonly tally: Tally;
}

/** Entries (server and consumer spans) of a service, and all its spans, for those without. */
interface ServiceSum {
  readonly entries: ServiceSteps;
  readonly all: ServiceSteps;
}

interface ServiceSteps {
  readonly tally: Tally;
  readonly steps: Map<number, Step>;
}

/** Rates, errors and durations of each service, with steps for a sparkline. */
export async function services(request: ApiRequest): Promise<unknown> {
  const { startUs, endUs } = rangeOf(request);
  const range = { startMs: startUs / 1000, endMs: endUs / 1000 };
  const seconds = (endUs - startUs) / 1e6;
  const stepSeconds = Math.max(STEP_SECONDS_MIN, Math.ceil(seconds / STEPS_MAX));
  const sums = new Map<string, ServiceSum>();
  const { truncated } = await sumSeries(
    request.store,
    { range, clock: request.clock },
    (one, at) => {
      let sum = sums.get(one.service);
      if (sum === undefined) {
        if (sums.size >= ROWS_MAX) return;
        sum = { entries: newSteps(), all: newSteps() };
        sums.set(one.service, sum);
      }
      const step = Math.max(0, Math.floor((at - range.startMs) / 1000 / stepSeconds));
      const isEntry = one.kind === SERVER || one.kind === CONSUMER;
      if (isEntry) addStep(sum.entries, step, one);
      if (sum.entries.steps.size > 0) sum.all.steps.clear();
      else addStep(sum.all, step, one);
    },
  );
  const count = Math.min(STEPS_MAX, Math.ceil(seconds / stepSeconds));
  const rows = [...sums]
    .map(([name, { entries, all }]) => {
      const { tally, steps } = entries.tally.requests > 0 ? entries : all;
      const at = (step: number): Step | undefined => steps.get(step);
      const series = Array.from({ length: count }, (_, step) => at(step));
      return {
        name,
        ...rates(tally, seconds),
        series: {
          requests: series.map((step) => step?.requests ?? 0),
          errors: series.map((step) => step?.errors ?? 0),
          p95Ns: series.map((step) => (step ? quantileNs(step.tally.buckets, 0.95) : 0)),
        },
      };
    })
    .sort((one, other) => other.requests - one.requests);
  return {
    startUs,
    endUs,
    stepSeconds,
    services: rows.slice(0, ROWS_MAX),
    truncated: truncated || rows.length > ROWS_MAX,
  };
}

/** The operations of one service. */
export async function operations(request: ApiRequest): Promise<unknown> {
  const service = textParameter(request.query, "service");
  if (service === undefined) throw new HttpProblem(400, "service: missing. Name a service");
  const { startUs, endUs } = rangeOf(request);
  const range = { startMs: startUs / 1000, endMs: endUs / 1000 };
  const sum = await sumSeries(request.store, { range, clock: request.clock });
  const rows = sum.operations
    .filter(({ one }) => one.service === service)
    .map(({ one, tally }: Summed<OperationNames>) => ({
      name: one.operation,
      kind: KINDS[one.kind] ?? "unspecified",
      ...rates(tally, (endUs - startUs) / 1e6),
    }))
    .sort((one, other) => other.requests - one.requests);
  return { service, operations: rows.slice(0, ROWS_MAX) };
}

/** Who calls whom. */
export async function map(request: ApiRequest): Promise<unknown> {
  const { startUs, endUs } = rangeOf(request);
  const range = { startMs: startUs / 1000, endMs: endUs / 1000 };
  const sum = await sumSeries(request.store, { range, clock: request.clock });
  const edges = sum.edges
    .toSorted((one, other) => other.tally.requests - one.tally.requests)
    .slice(0, EDGES_MAX);
  const nodes = nodesOf(edges, sum.operations);
  const shown = new Map([...nodes].slice(0, NODES_MAX));
  const seconds = (endUs - startUs) / 1e6;
  return {
    nodes: [...shown].map(([id, { node, tally }]) => ({
      id,
      name: node.name === "" ? (node.kind === "outside" ? "outside" : node.system) : node.name,
      kind: node.kind,
      system: node.system,
      requests: tally.requests,
      errors: tally.errors,
      p95Ns: quantileNs(tally.buckets, 0.95),
    })),
    edges: edges
      .map(({ one, tally }: Summed<EdgeNames>) => ({
        from: nodeId(one.from),
        to: nodeId(one.to),
        protocol: one.protocol,
        ...rates(tally, seconds),
        rewritten: tally.rewritten,
      }))
      .filter(({ from, to }) => shown.has(from) && shown.has(to)),
    truncated: sum.truncated || sum.edges.length > EDGES_MAX || nodes.size > NODES_MAX,
  };
}

interface NodeSum {
  readonly node: MapNode;
  readonly tally: Tally;
}

/** A node's counts are what comes in; of services, also those that nobody was seen to call. */
function nodesOf(
  edges: readonly Summed<EdgeNames>[],
  all: readonly Summed<OperationNames>[],
): ReadonlyMap<string, NodeSum> {
  const nodes = new Map<string, NodeSum>();
  const nodeOf = (node: MapNode): NodeSum => {
    const id = nodeId(node);
    const sum = nodes.get(id) ?? { node, tally: emptyTally() };
    nodes.set(id, sum);
    return sum;
  };
  for (const { one, tally } of all) {
    const sum = nodeOf({ kind: "service", system: "", name: one.service });
    if (one.kind === SERVER || one.kind === CONSUMER) addSum(sum.tally, tally);
  }
  for (const { one, tally } of edges) {
    nodeOf(one.from);
    const { tally: into } = nodeOf(one.to);
    if (one.to.kind !== "service") addSum(into, tally);
  }
  return nodes;
}

function nodeId({ kind, system, name }: MapNode): string {
  if (kind === "database" || kind === "messaging") {
    return `${kind}:${system}${name === "" ? "" : `/${name}`}`;
  }
  return `${kind}:${name}`;
}

function rates(
  { requests, errors, buckets }: Tally,
  seconds: number,
): Readonly<Record<"requests" | "errors" | "rate" | "p50Ns" | "p95Ns" | "p99Ns", number>> {
  return {
    requests,
    errors,
    rate: requests / seconds,
    p50Ns: quantileNs(buckets, 0.5),
    p95Ns: quantileNs(buckets, 0.95),
    p99Ns: quantileNs(buckets, 0.99),
  };
}

function newSteps(): ServiceSteps {
  return { tally: emptyTally(), steps: new Map() };
}

function addStep({ tally, steps }: ServiceSteps, at: number, one: ReadTally): void {
  addTally(tally, one);
  let step = steps.get(at);
  if (step === undefined) {
    step = { requests: 0, errors: 0, tally: emptyTally() };
    steps.set(at, step);
  }
  step.requests += one.requests;
  step.errors += one.errors;
  addTally(step.tally, one);
}
