// SPDX-License-Identifier: Apache-2.0
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { apiUrl, useApi } from "./api.ts";
import type { AccountLine, Agent, History, Status } from "./api-types.ts";
import { formatBytes, formatCount, formatNs, formatRate, formatShare, shown } from "./format.ts";
import { Heads, Meter, Sheet, Spark, Waiting } from "./parts.tsx";
import { flowOf, type Rates, ratesBetween } from "./rates.ts";
import { rangeOf, route } from "./route.ts";

const REFRESH_MS = 2_000;
const HISTORY_MS = 10_000;

interface Seen {
  readonly agent: Agent;
  readonly atMs: number;
}

/** The last two answers, for rates. */
function useLastTwo(agent: Agent | undefined): readonly [Seen | undefined, Seen | undefined] {
  const seen = useRef<readonly [Seen | undefined, Seen | undefined]>([undefined, undefined]);
  if (agent !== undefined && agent !== seen.current[1]?.agent) {
    seen.current = [seen.current[1], { agent, atMs: performance.now() }];
  }
  return seen.current;
}

export function AgentView({ status }: { status: Status | undefined }): JSX.Element {
  const answer = useApi<Agent>("agent", () => apiUrl("agent"), REFRESH_MS);
  const agent = answer.value;
  const [before, now] = useLastTwo(agent);
  const seconds = ((now?.atMs ?? 0) - (before?.atMs ?? 0)) / 1e3;
  const rates = ratesBetween(before?.agent.account ?? [], agent?.account ?? [], seconds);
  return (
    <>
      <h1>Agent</h1>
      <Waiting answer={answer} />
      {agent === undefined ? null : (
        <>
          <Cost agent={agent} before={before} seconds={seconds} />
          <div class="columns">
            <HistoryChart
              title="CPU"
              metric="otelcol_process_cpu_seconds"
              isCounter
              text={(value) => formatShare(value)}
            />
            <HistoryChart title="Memory" metric="otelcol_process_memory_rss" text={formatBytes} />
            <HistoryChart
              title="Spans received"
              metric="otelcol_receiver_accepted_spans"
              isCounter
              text={formatRate}
            />
            <HistoryChart title="Queued" metric="otelcol_exporter_queue_size" text={formatCount} />
          </div>
          <Pipelines agent={agent} rates={rates} />
          <Account agent={agent} />
          <Probes agent={agent} />
          <Store status={status} />
        </>
      )}
    </>
  );
}

function Cost(props: { agent: Agent; before: Seen | undefined; seconds: number }): JSX.Element {
  const { agent, before, seconds } = props;
  const { cost } = agent;
  const share = (now: number | null, then: number | null | undefined): number | undefined =>
    now === null || then === null || then === undefined || seconds <= 0
      ? undefined
      : Math.max(0, now - then) / seconds;
  const tiles: readonly (readonly [string, string])[] = [
    ["CPU of one core", formatShare(share(cost.cpuSeconds, before?.agent.cost.cpuSeconds))],
    ["CPU time", formatNs(cost.cpuSeconds * 1e9)],
    ["Memory", formatBytes(cost.memoryBytes)],
    ["Heap", formatBytes(cost.heapBytes)],
    [
      "In the kernel",
      cost.kernelSeconds === null
        ? "not counted"
        : formatShare(share(cost.kernelSeconds, before?.agent.cost.kernelSeconds)),
    ],
    ["Running for", formatNs(agent.uptimeSeconds * 1e9)],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function HistoryChart(props: {
  title: string;
  metric: string;
  isCounter?: boolean;
  text: (value: number | undefined) => string;
}): JSX.Element {
  const { title, metric, isCounter, text } = props;
  const range = rangeOf(route.value);
  const answer = useApi<History>(
    `history ${metric} ${range.seconds}`,
    () => apiUrl("agent/history", { metric, seconds: range.seconds }),
    HISTORY_MS,
  );
  const raw = summed(answer.value);
  const values = isCounter ? perSecond(raw, answer.value?.stepSeconds ?? 10) : raw;
  const known = values.filter((value) => value !== null);
  return (
    <Sheet
      title={`${title}, last ${range.text}`}
      aside={
        known.length === 0
          ? "no measurement yet"
          : `now ${text(known.at(-1))}, most ${text(Math.max(...known))}`
      }
    >
      <div class="pad">
        <Spark values={values} label={`${title} over the last ${range.text}`} large />
      </div>
    </Sheet>
  );
}

/** Of all series together; null where none has a value. */
function summed(history: History | undefined): readonly (number | null)[] {
  const [first, ...others] = history?.series ?? [];
  return (first?.values ?? []).map((value, at) =>
    others.reduce<number | null>((sum, { values }) => {
      const one = values[at] ?? null;
      return one === null ? sum : (sum ?? 0) + one;
    }, value),
  );
}

function perSecond(values: readonly (number | null)[], stepSeconds: number): (number | null)[] {
  return values.slice(1).map((value, at) => {
    const before = values[at] ?? null;
    return value === null || before === null ? null : Math.max(0, value - before) / stepSeconds;
  });
}

function Pipelines({ agent, rates }: { agent: Agent; rates: Rates }): JSX.Element {
  return (
    <Sheet title="Pipelines" aside="items a second, in and out, and what was lost since the start">
      {agent.pipelines.map((pipeline) => (
        <div key={pipeline.id} class="scroll">
          <table class="even" aria-label={pipeline.id}>
            <Heads names={[pipeline.id, "Component", "#In", "#Out", "#Lost", "#Held", "Queue"]} />
            <tbody>
              {(["receivers", "processors", "exporters"] as const).flatMap((kind) =>
                pipeline[kind].map((id) => (
                  <Stage
                    key={`${kind} ${id}`}
                    agent={agent}
                    rates={rates}
                    kind={kind}
                    id={id}
                    signal={pipeline.signal}
                  />
                )),
              )}
            </tbody>
          </table>
        </div>
      ))}
    </Sheet>
  );
}

function Stage(props: {
  agent: Agent;
  rates: Rates;
  kind: "receivers" | "processors" | "exporters";
  id: string;
  signal: string;
}): JSX.Element {
  const { agent, id, signal } = props;
  const kind = ({ receivers: "receiver", processors: "processor", exporters: "exporter" } as const)[
    props.kind
  ];
  const flow = flowOf(agent.account, props.rates, { component: id, kind, signal });
  const queue = agent.queues.find((one) => one.exporter === id && one.dataType === signal);
  return (
    <tr>
      <td class="quiet">{kind}</td>
      <th scope="row">{shown(id, 100)}</th>
      <td class="number">{formatRate(flow.inRate)}</td>
      <td class="number">{formatRate(flow.outRate)}</td>
      <td class={(flow.lost ?? 0) > 0 ? "number bad" : "number quiet"}>{formatCount(flow.lost)}</td>
      <td class="number quiet">{formatCount(flow.held)}</td>
      <td>
        {kind !== "exporter" || queue === undefined ? null : (
          <>
            <Meter
              share={queue.capacity > 0 ? queue.size / queue.capacity : 0}
              label={`Queue: ${queue.size} of ${queue.capacity}`}
            />{" "}
            {formatCount(queue.size)} of {formatCount(queue.capacity)}
          </>
        )}
      </td>
    </tr>
  );
}

const MEANINGS = { in: "in", out: "out", lost: "lost", held: "held" } as const;

/** What went in and out, and every loss with its reason. */
function Account({ agent }: { agent: Agent }): JSX.Element {
  const lines = agent.account.filter(({ value, meaning }) => value !== 0 || meaning !== "lost");
  const lost = lines.reduce((sum, line) => sum + (line.meaning === "lost" ? line.value : 0), 0);
  return (
    <Sheet title="Loss account" aside={lost === 0 ? "nothing lost" : `${formatCount(lost)} lost`}>
      <div class="scroll">
        <table>
          <Heads names={["Component", "Metric", "Labels", "Meaning", "#Count"]} />
          <tbody>
            {lines.slice(0, 300).map((line) => (
              <tr key={`${line.component} ${line.metric} ${labelsText(line)}`}>
                <th scope="row">{shown(line.component, 60)}</th>
                <td class="mono">{shown(line.metric, 100)}</td>
                <td class="quiet">{labelsText(line)}</td>
                <td class={line.meaning === "lost" ? "bad" : "quiet"}>{MEANINGS[line.meaning]}</td>
                <td class="number">{formatCount(line.value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Sheet>
  );
}

/** Without what the column of components says already. */
function labelsText({ labels, kind }: AccountLine): string {
  return Object.entries(labels)
    .filter(([name]) => name !== kind)
    .map(([name, value]) => `${shown(name, 40)}=${shown(value, 60)}`)
    .join(" ");
}

function Probes({ agent }: { agent: Agent }): JSX.Element {
  const attached = agent.probes.filter((probe) => probe.attached).length;
  return (
    <Sheet title="Probes" aside={`${attached} of ${agent.probes.length} attached`}>
      <div class="scroll">
        <table>
          <Heads names={["BPF program", "State", "Why"]} />
          <tbody>
            {agent.probes.map((probe) => (
              <tr key={probe.name}>
                <th scope="row" class="mono">
                  {shown(probe.name, 100)}
                </th>
                <td>
                  <span class={probe.attached ? "tag accent" : "tag warn"}>
                    {probe.attached ? "attached" : "not attached"}
                  </span>
                </td>
                <td class="wrap quiet">{shown(probe.reason, 300)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Sheet>
  );
}

function Store({ status }: { status: Status | undefined }): JSX.Element | null {
  const store = status?.store;
  if (store === undefined) return null;
  const share = store.bytesMax > 0 ? store.bytes / store.bytesMax : 0;
  return (
    <Sheet title="Store" aside={shown(store.directory, 200)}>
      <p class="pad row">
        <Meter share={share} label={`${formatShare(share)} of the store's limit`} />
        {formatBytes(store.bytes)} of {formatBytes(store.bytesMax)} · {formatCount(store.spans)}{" "}
        spans in {formatCount(store.segments)} segments
      </p>
    </Sheet>
  );
}
