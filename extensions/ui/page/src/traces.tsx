// SPDX-License-Identifier: Apache-2.0
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { apiUrl, type Parameters, useApi } from "./api.ts";
import type { FoundTrace, Search, Services, Traces } from "./api-types.ts";
import { durationNs } from "./duration.ts";
import { formatCount, formatNs, formatTime, shown } from "./format.ts";
import { LiveTail } from "./live-tail.tsx";
import { Heads, Sheet, Waiting } from "./parts.tsx";
import { href, periodKey, periodParameters, route } from "./route.ts";
import { Scatter } from "./scatter.tsx";
import { SearchForm } from "./search-form.tsx";

const REFRESH_MS = 10_000;
const POINTS_MAX = 1_000;
const TRACES_MAX = 50;

/** The search as the API wants it, from the address. */
function searchParameters(): Parameters {
  const { query } = route.value;
  const number = (name: string): number | undefined => durationNs(query.get(name) ?? "");
  return {
    service: query.get("service") ?? "",
    operation: query.get("operation") ?? "",
    kind: query.get("kind") ?? "",
    status: query.get("status") ?? "",
    minDurationNs: number("min"),
    maxDurationNs: number("max"),
    attribute: query.getAll("attribute"),
  };
}

export function TracesView(): JSX.Element {
  const isLive = useSignal(false);
  const parameters = searchParameters();
  const key = `${JSON.stringify(parameters)} ${periodKey()}`;
  const services = useApi<Services>(
    `services ${periodKey()}`,
    () => apiUrl("services", periodParameters()),
    0,
  );
  return (
    <>
      <h1 class="unseen">Traces</h1>
      <div class="row spread bottom">
        <SearchForm services={(services.value?.services ?? []).map(({ name }) => name)} />
        <button
          type="button"
          aria-pressed={isLive.value}
          onClick={() => {
            isLive.value = !isLive.value;
          }}
        >
          Live tail
        </button>
      </div>
      {isLive.value ? (
        <LiveTail key={key} parameters={parameters} />
      ) : (
        <Found key={key} question={key} parameters={parameters} />
      )}
    </>
  );
}

function Found({
  question,
  parameters,
}: {
  question: string;
  parameters: Parameters;
}): JSX.Element {
  const points = useApi<Search>(
    `search ${question}`,
    () => apiUrl("search", { ...parameters, ...periodParameters(), limit: POINTS_MAX }),
    REFRESH_MS,
  );
  const traces = useApi<Traces>(
    `traces ${question}`,
    () => apiUrl("traces", { ...parameters, ...periodParameters(), limit: TRACES_MAX }),
    REFRESH_MS,
  );
  const spans = points.value?.spans ?? [];
  return (
    <>
      <Sheet title="Latency" aside={scatterNote(points.value)}>
        <Waiting answer={points} />
        {spans.length > 0 ? <Scatter spans={spans} /> : null}
        {points.value !== undefined && spans.length === 0 ? (
          <p class="empty">No span of this time fits.</p>
        ) : null}
      </Sheet>
      <Sheet title="Traces" aside={tracesNote(traces.value)}>
        <Waiting answer={traces} />
        <TraceTable traces={traces.value?.traces ?? []} />
      </Sheet>
    </>
  );
}

function scatterNote(found: Search | undefined): string {
  if (found === undefined) return "";
  const which = found.truncated
    ? `the newest ${formatCount(found.spans.length)}`
    : formatCount(found.spans.length);
  return `${which} spans of ${formatCount(found.scanned)} looked at, in ${found.elapsedMs.toFixed(0)} ms. A point is a span; drag to choose time and duration.`;
}

function tracesNote(found: Traces | undefined): string {
  if (found === undefined) return "";
  return found.truncated
    ? `the newest ${found.traces.length}; there may be older ones`
    : `${found.traces.length}`;
}

function TraceTable({ traces }: { traces: readonly FoundTrace[] }): JSX.Element {
  const longestNs = traces.reduce((max, trace) => Math.max(max, trace.durationNs), 1);
  const nowMs = Date.now();
  return (
    <div class="scroll">
      <table>
        <Heads
          names={[
            "Trace",
            "Started",
            "~Duration compared",
            "#Duration",
            "#Spans",
            "#Errors",
            "Services",
          ]}
        />
        <tbody>
          {traces.map((trace) => (
            <tr key={trace.traceId}>
              <th scope="row">
                <a href={href(["trace", trace.traceId])}>
                  {shown(trace.rootService, 80)} {shown(trace.rootName, 160) || "(no root)"}
                </a>
              </th>
              <td class="quiet">{formatTime(trace.startUs / 1e3, nowMs)}</td>
              <td class="bar-cell">
                <span
                  class={trace.errors > 0 ? "bar bad" : "bar"}
                  style={{ width: `${Math.max(0, (100 * trace.durationNs) / longestNs)}%` }}
                />
              </td>
              <td class="number">{formatNs(trace.durationNs)}</td>
              <td class="number">{formatCount(trace.spans)}</td>
              <td class={trace.errors > 0 ? "number bad" : "number quiet"}>{trace.errors}</td>
              <td class="quiet">
                {trace.services
                  .slice(0, 8)
                  .map(({ name, spans }) => `${shown(name, 40)} ${spans}`)
                  .join(" · ")}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
