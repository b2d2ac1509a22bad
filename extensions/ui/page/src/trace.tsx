// SPDX-License-Identifier: Apache-2.0
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { apiUrl, ask, useApi } from "./api.ts";
import type { Trace } from "./api-types.ts";
import { formatCount, formatNs, formatTime, plural, shown } from "./format.ts";
import { CopyButton, Waiting } from "./parts.tsx";
import { change, route } from "./route.ts";
import { createTraceModel } from "./trace-model.ts";
import { Waterfall } from "./waterfall.tsx";

const SPANS_DEFAULT = 10_000;
const SPANS_MAX = 100_000;

export function TraceView({ id, jaegerUrl }: { id: string; jaegerUrl: string }): JSX.Element {
  const limit = route.value.query.get("all") === null ? SPANS_DEFAULT : SPANS_MAX;
  const path = `traces/${encodeURIComponent(id)}`;
  const answer = useApi<Trace>(`trace ${id} ${limit}`, () => apiUrl(path, { limit }), 0);
  const { value: trace } = answer;
  const model = useMemo(() => (trace === undefined ? undefined : createTraceModel(trace)), [trace]);
  if (trace === undefined || model === undefined) {
    return (
      <>
        <h1>Trace {shown(id, 64)}</h1>
        <Waiting answer={answer} />
      </>
    );
  }
  const first = model.nodes.find(({ parent, span }) => parent === -1 && span !== undefined);
  const title = `${shown(first?.service ?? "", 80)} ${shown(first?.span?.name ?? "(no root)", 160)}`;
  return (
    <>
      <div class="row spread">
        <h1>{title}</h1>
        <span class="row">
          <CopyButton label="Copy as OTLP JSON" text={async () => otlpOf(path)} />
          <JaegerLink template={jaegerUrl} traceId={trace.traceId} />
        </span>
      </div>
      <p class="row quiet">
        <span class="mono">{shown(trace.traceId, 64)}</span>
        <span>{formatTime(trace.startUs / 1e3 + model.startNs / 1e6, Date.now())}</span>
        <b>{formatNs(model.endNs - model.startNs)}</b>
        <span>{plural(trace.spansTotal, "span", "spans")}</span>
        <span>{plural(model.services.length, "service", "services")}</span>
        <span class={model.errors > 0 ? "bad" : ""}>{plural(model.errors, "error", "errors")}</span>
      </p>
      {trace.truncated ? (
        <p class="note warn">
          {formatCount(trace.spans.length)} of {formatCount(trace.spansTotal)} spans are shown.{" "}
          {limit < SPANS_MAX && trace.spans.length === limit ? (
            <button type="button" onClick={() => change({ all: "1" })}>
              Show up to {formatCount(SPANS_MAX)}
            </button>
          ) : null}
        </p>
      ) : null}
      <Waterfall trace={trace} model={model} />
    </>
  );
}

async function otlpOf(path: string): Promise<string> {
  return JSON.stringify(await ask<unknown>(apiUrl(`${path}/otlp`)), undefined, 2);
}

/** The address is the operator's; only web addresses become a link. */
function JaegerLink(props: { template: string; traceId: string }): JSX.Element | null {
  const url = props.template.replace("{traceId}", encodeURIComponent(props.traceId));
  if (!/^https?:\/\//.test(url)) return null;
  return (
    <a href={url} target="_blank" rel="noopener noreferrer">
      Open in Jaeger
    </a>
  );
}
