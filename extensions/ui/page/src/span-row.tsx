// SPDX-License-Identifier: Apache-2.0
import type { JSX } from "preact";
import { formatCount, formatNs, formatShare, shown } from "./format.ts";
import { evidenceText, warningText } from "./reasons.ts";
import type { CriticalPart, TraceModel, TraceNode } from "./trace-model.ts";

export const ROW_PX = 24;
const INDENT_PX = 14;
const INDENTS_MAX = 16;
const EVENTS_DRAWN_MAX = 32;
/** Less is shown as doubtful. */
const SURE_FROM = 0.9;

/** What a call without anything below it means. */
export const OPEN_END = "The other end was not watched, or its span is not in the store";

/** The span is one end of a connection, the one that asks. */
export function isCall({ span }: TraceNode): boolean {
  return span?.kind === "client" || span?.kind === "producer";
}

interface SpanRowProps {
  readonly model: TraceModel;
  readonly index: number;
  readonly topPx: number;
  readonly folded: boolean;
  readonly chosen: boolean;
  readonly critical: readonly CriticalPart[] | undefined;
  readonly toggle: (index: number) => void;
  readonly choose: () => void;
}

export function SpanRow(props: SpanRowProps): JSX.Element | null {
  const { model, index, folded, chosen, topPx } = props;
  const node = model.nodes[index];
  if (node === undefined) return null;
  const hasChildren = node.children.length > 0;
  const isMissing = node.span === undefined;
  const name = `span${chosen ? " chosen" : ""}${isMissing ? " missing" : ""}`;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree takes the keys for its rows
    // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus, aria-activedescendant names the row
    <div
      id={`span-${index}`}
      class={name}
      role="treeitem"
      aria-level={node.depth + 1}
      aria-selected={chosen}
      {...(hasChildren ? { "aria-expanded": !folded } : {})}
      style={{ top: `${topPx}px` }}
      onClick={props.choose}
    >
      <Label {...props} node={node} />
      <Evidence node={node} />
      <Track {...props} node={node} />
      <span class="length">{isMissing ? "" : formatNs(node.span?.durationNs)}</span>
    </div>
  );
}

function Label(props: SpanRowProps & { node: TraceNode }): JSX.Element {
  const { node, folded } = props;
  const { span } = node;
  const indentPx = Math.min(node.depth, INDENTS_MAX) * INDENT_PX;
  const fold = (event: Event): void => {
    event.stopPropagation();
    props.toggle(node.index);
  };
  const isAsked = span?.kind === "server" || span?.kind === "consumer";
  const dot = `dot${isAsked ? " full" : ""}${span?.status === "error" ? " bad" : ""}`;
  return (
    <span class="label" style={{ paddingLeft: `${14 + indentPx}px` }}>
      {node.depth > INDENTS_MAX ? <span class="quiet">{node.depth}</span> : null}
      {node.children.length > 0 ? (
        <button
          type="button"
          class="fold"
          tabIndex={-1}
          aria-label={folded ? "Unfold" : "Fold"}
          onClick={fold}
        >
          {folded ? "▶" : "▼"}
        </button>
      ) : (
        <span class="fold" />
      )}
      {span === undefined ? (
        <b>unknown parent {shown(node.spanId, 32)}</b>
      ) : (
        <>
          <span class={dot} />
          <b>{shown(node.service, 60)}</b>
          <span>{shown(span.name, 160)}</span>
        </>
      )}
      <Tags node={node} folded={folded} />
    </span>
  );
}

/** How its parent was found, and how sure that is. */
function Evidence({ node }: { node: TraceNode }): JSX.Element {
  const { span } = node;
  if (span === undefined || span.evidence === "") return <span class="evidence" />;
  const { evidence, confidence } = span;
  const share = confidence === null || confidence >= 1 ? "" : ` ${formatShare(confidence)}`;
  const isUnsure = evidence === "unknown" || (confidence !== null && confidence < SURE_FROM);
  return (
    <span class="evidence" title={evidenceText(evidence)}>
      ← <span class={isUnsure ? "warn" : ""}>{`${shown(evidence, 30)}${share}`}</span>
    </span>
  );
}

function Tags({ node, folded }: { node: TraceNode; folded: boolean }): JSX.Element {
  const isOpenEnd = node.children.length === 0 && isCall(node);
  return (
    <>
      {isOpenEnd ? (
        <span class="quiet" title={OPEN_END}>
          ⇥
        </span>
      ) : null}
      {node.problems
        .filter((problem) => problem !== "missing_parent" && problem !== "cut")
        .slice(0, 2)
        .map((problem) => (
          <span key={problem} class="tag warn" title={warningText(problem)}>
            {shown(problem, 30).replaceAll("_", " ")}
          </span>
        ))}
      {folded ? (
        <span class={node.errorsBelow > 0 ? "tag bad" : "tag"}>+{formatCount(node.below)}</span>
      ) : null}
    </>
  );
}

function Track({ model, node, critical }: SpanRowProps & { node: TraceNode }): JSX.Element {
  const lengthNs = model.endNs - model.startNs;
  const left = (ns: number): number =>
    Math.max(0, Math.min(100, (100 * (ns - model.startNs)) / lengthNs));
  const { span } = node;
  if (span === undefined) return <span class="track" />;
  if (node.endNs < model.startNs || node.startNs > model.endNs) {
    const farNs = node.startNs - model.startNs;
    return (
      <span class="track">
        <span class="off warn">
          {farNs < 0 ? "◀ " : "▶ "}
          {formatNs(Math.abs(farNs))} {farNs < 0 ? "before" : "after"} the start
        </span>
      </span>
    );
  }
  const style = (startNs: number, endNs: number): { left: string; width: string } => ({
    left: `${left(startNs)}%`,
    width: `${left(endNs) - left(startNs)}%`,
  });
  return (
    <span class="track">
      <i
        class={`${isCall(node) ? "client" : ""}${span.status === "error" ? " bad" : ""}`}
        style={style(node.startNs, node.endNs)}
      />
      {span.events.slice(0, EVENTS_DRAWN_MAX).map((event, at) => (
        <i key={at} class="event" style={{ left: `${left(event.offsetNs)}%` }} />
      ))}
      {(critical ?? []).slice(0, EVENTS_DRAWN_MAX).map((part) => (
        <i key={part.startNs} class="part" style={style(part.startNs, part.endNs)} />
      ))}
    </span>
  );
}
