// SPDX-License-Identifier: Apache-2.0
import type { JSX } from "preact";
import type { Attribute, Trace, Value } from "./api-types.ts";
import { formatNs, formatShare, shown } from "./format.ts";
import { evidenceText, warningText } from "./reasons.ts";
import { href } from "./route.ts";
import { isCall, OPEN_END } from "./span-row.tsx";
import type { TraceModel, TraceNode } from "./trace-model.ts";

const ATTRIBUTES_SHOWN_MAX = 128;
const LIST_SHOWN_MAX = 50;
/** Of a value with parts; deeper ones are cut by the server. */
const VALUE_CHARACTERS_MAX = 4_096;

interface SpanDetailsProps {
  readonly trace: Trace;
  readonly model: TraceModel;
  readonly index: number;
  readonly choose: (index: number) => void;
  readonly close: () => void;
}

export function SpanDetails(props: SpanDetailsProps): JSX.Element | null {
  const { trace, model, index, close } = props;
  const node = model.nodes[index];
  if (node === undefined) return null;
  const { span } = node;
  return (
    <aside aria-label="Span">
      <div class="row spread">
        <h2>{span === undefined ? "Unknown parent" : shown(span.name, 300) || "(no name)"}</h2>
        <button type="button" onClick={close} aria-label="Close the details">
          ✕
        </button>
      </div>
      {span === undefined ? (
        <p>
          Spans name <span class="mono">{shown(node.spanId, 32)}</span> as their parent, and the
          store does not have it: it was not watched, is not complete yet, or was lost.
        </p>
      ) : (
        <>
          <Facts {...props} node={node} />
          <ParentLink {...props} node={node} />
          <Attributes title="Attributes" attributes={span.attributes} />
          <Events {...props} node={node} />
          <Links node={node} />
          <Attributes
            title="Resource"
            attributes={trace.resources[span.resource]?.attributes ?? []}
          />
        </>
      )}
    </aside>
  );
}

function Facts({ trace, model, node }: SpanDetailsProps & { node: TraceNode }): JSX.Element {
  const { span } = node;
  const scope = trace.scopes[span?.scope ?? -1];
  const ownNs = model.critical
    .filter((part) => part.node === node.index)
    .reduce((sum, part) => sum + part.endNs - part.startNs, 0);
  const facts: readonly (readonly [string, string])[] = [
    ["Service", shown(node.service, 200)],
    ["Kind", span?.kind ?? ""],
    ["Status", `${span?.status ?? ""} ${shown(span?.statusMessage ?? "", 1_000)}`],
    ["Start", `${formatNs(node.startNs - model.startNs)} after the trace's start`],
    ["Duration", formatNs(span?.durationNs)],
    ["On the critical path", formatNs(ownNs)],
    ["Span id", shown(node.spanId, 64)],
    ["Scope", scope === undefined ? "" : shown(`${scope.name} ${scope.version}`, 200)],
  ];
  return (
    <>
      <dl class="facts">
        {facts
          .filter(([, value]) => value.trim() !== "")
          .map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd class={name === "Status" && span?.status === "error" ? "bad" : ""}>{value}</dd>
            </>
          ))}
      </dl>
      {isCall(node) && node.children.length === 0 ? <p class="note">{OPEN_END}.</p> : null}
      {node.problems.map((problem) => (
        <p key={problem} class="note warn">
          {warningText(problem)}
        </p>
      ))}
    </>
  );
}

/** Which span is the parent, how that is known, and how sure it is. */
function ParentLink({ model, node, choose }: SpanDetailsProps & { node: TraceNode }): JSX.Element {
  const { span } = node;
  const parent = model.nodes[node.parent];
  const gapNs = parent?.span === undefined ? undefined : node.startNs - parent.startNs;
  return (
    <>
      <h3>Parent</h3>
      <dl class="facts">
        <dt>Span</dt>
        <dd>
          {parent === undefined ? (
            span?.parentSpanId === "" || span === undefined ? (
              "none: a root"
            ) : (
              `${shown(span.parentSpanId, 64)}, not followed`
            )
          ) : (
            <button type="button" class="plain" onClick={() => choose(parent.index)}>
              {parent.span === undefined
                ? `${shown(parent.spanId, 64)}, not in the store`
                : `${shown(parent.service, 60)} ${shown(parent.span.name, 120)}`}
            </button>
          )}
        </dd>
        <dt>Evidence</dt>
        <dd>
          {span?.evidence === "" || span === undefined
            ? "none given: as the application's SDK said it"
            : `${shown(span.evidence, 60)}. ${evidenceText(span.evidence)}`}
        </dd>
        {span?.confidence === null || span === undefined ? null : (
          <>
            <dt>Confidence</dt>
            <dd>{formatShare(span.confidence)}</dd>
          </>
        )}
        {gapNs === undefined ? null : (
          <>
            <dt>Begins</dt>
            <dd class={gapNs < 0 ? "warn" : ""}>
              {gapNs < 0
                ? `${formatNs(-gapNs)} before its parent`
                : `${formatNs(gapNs)} after its parent`}
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

export function valueText(value: Value): string {
  if (typeof value === "string") return shown(value, VALUE_CHARACTERS_MAX);
  return shown(JSON.stringify(value) ?? "", VALUE_CHARACTERS_MAX);
}

function Attributes(props: { title: string; attributes: readonly Attribute[] }): JSX.Element {
  const { title, attributes } = props;
  const left = attributes.length - ATTRIBUTES_SHOWN_MAX;
  return (
    <>
      <h3>{title}</h3>
      <table class="attributes">
        <tbody>
          {attributes.slice(0, ATTRIBUTES_SHOWN_MAX).map(([name, value], at) => (
            <tr key={at}>
              <th scope="row">{shown(name, 200)}</th>
              <td>{valueText(value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {left > 0 ? <p class="quiet">{left} more</p> : null}
    </>
  );
}

function Events({ model, node }: SpanDetailsProps & { node: TraceNode }): JSX.Element | null {
  const events = node.span?.events ?? [];
  if (events.length === 0) return null;
  return (
    <>
      <h3>Events</h3>
      {events.slice(0, LIST_SHOWN_MAX).map((event, at) => (
        <div key={at}>
          <p>
            {formatNs(event.offsetNs - model.startNs)} · {shown(event.name, 200)}
          </p>
          <Attributes title="" attributes={event.attributes} />
        </div>
      ))}
      {events.length > LIST_SHOWN_MAX ? (
        <p class="quiet">{events.length - LIST_SHOWN_MAX} more</p>
      ) : null}
    </>
  );
}

function Links({ node }: { node: TraceNode }): JSX.Element | null {
  const links = node.span?.links ?? [];
  if (links.length === 0) return null;
  return (
    <>
      <h3>Links</h3>
      {links.slice(0, LIST_SHOWN_MAX).map((link, at) => (
        <p key={at} class="mono">
          <a href={href(["trace", link.traceId], { span: link.spanId })}>
            {shown(link.traceId, 64)} {shown(link.spanId, 32)}
          </a>
        </p>
      ))}
    </>
  );
}
