// SPDX-License-Identifier: Apache-2.0
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Trace } from "./api-types.ts";
import { formatNs } from "./format.ts";
import { route } from "./route.ts";
import { SpanDetails } from "./span-details.tsx";
import { ROW_PX, SpanRow } from "./span-row.tsx";
import { type CriticalPart, type TraceModel, visibleRows } from "./trace-model.ts";
import { keyAction, type Look } from "./waterfall-keys.ts";

const OVERSCAN_ROWS = 8;
const TICKS = [0, 0.25, 0.5, 0.75] as const;
/** Above it the tree begins folded below the second level: what one can read at once. */
const FOLDED_FROM = 20_000;

function criticalByNode(
  parts: readonly CriticalPart[],
): ReadonlyMap<number, readonly CriticalPart[]> {
  const byNode = new Map<number, CriticalPart[]>();
  for (const part of parts) {
    const list = byNode.get(part.node);
    if (list === undefined) byNode.set(part.node, [part]);
    else list.push(part);
  }
  return byNode;
}

function foldedAtFirst(model: TraceModel): ReadonlySet<number> {
  if (model.nodes.length < FOLDED_FROM) return new Set();
  return new Set(
    model.nodes
      .filter(({ depth, children }) => depth >= 1 && children.length > 0)
      .map(({ index }) => index),
  );
}

interface Frame {
  readonly frame: { current: HTMLDivElement | null };
  readonly rows: readonly number[];
  readonly look: Look;
  /** Of the frame's content. */
  readonly view: Signal<{ readonly topPx: number; readonly heightPx: number }>;
  show(look: Look): void;
}

/** What is folded and chosen, and the part of the rows that is in sight. */
function useFrame(model: TraceModel): Frame {
  const state = useSignal<Look>({
    folded: foldedAtFirst(model),
    chosen: chosenAtFirst(model),
    details: route.value.query.get("span") !== null,
    critical: true,
  });
  const view = useSignal({ topPx: 0, heightPx: 800 });
  const frame = useRef<HTMLDivElement>(null);
  const { folded } = state.value;
  const rows = useMemo(() => visibleRows(model, folded), [model, folded]);
  useEffect(() => {
    const { current } = frame;
    if (current === null) return undefined;
    const observer = new ResizeObserver(() => {
      view.value = { topPx: current.scrollTop, heightPx: current.clientHeight };
    });
    observer.observe(current);
    reveal(current, rows.indexOf(state.peek().chosen));
    return () => observer.disconnect();
  }, []);
  const show = (look: Look): void => {
    const isOther = look.chosen !== state.peek().chosen;
    state.value = look;
    if (isOther && frame.current !== null) {
      reveal(frame.current, visibleRows(model, look.folded).indexOf(look.chosen));
    }
  };
  return { frame, rows, look: state.value, view, show };
}

/** The spans of a trace in time; only the rows in sight are drawn. */
export function Waterfall({ trace, model }: { trace: Trace; model: TraceModel }): JSX.Element {
  const { frame, rows, look, view, show } = useFrame(model);
  const parts = useMemo(() => criticalByNode(model.critical), [model]);
  const onKey = (event: KeyboardEvent): void => {
    const next = keyAction(event.key, model, rows, look);
    if (next === undefined) return;
    event.preventDefault();
    show(next);
  };
  const first = Math.max(0, Math.floor(view.value.topPx / ROW_PX) - OVERSCAN_ROWS);
  const count = Math.ceil(view.value.heightPx / ROW_PX) + 2 * OVERSCAN_ROWS;
  const toggle = (index: number): void => {
    const folded = new Set(look.folded);
    if (!folded.delete(index)) folded.add(index);
    show({ ...look, folded });
  };
  return (
    <section class={look.details ? "sheet trace open" : "sheet trace"} aria-label="Waterfall">
      <div>
        <Controls look={look} model={model} show={show} />
        <Axis model={model} />
        <div
          class="rows"
          ref={frame}
          role="tree"
          tabIndex={0}
          aria-label="Spans"
          aria-activedescendant={`span-${look.chosen}`}
          onKeyDown={onKey}
          onScroll={({ currentTarget }) => {
            view.value = { topPx: currentTarget.scrollTop, heightPx: currentTarget.clientHeight };
          }}
        >
          <div style={{ height: `${rows.length * ROW_PX}px` }} role="none" />
          {rows.slice(first, first + count).map((index, at) => (
            <SpanRow
              key={index}
              model={model}
              index={index}
              topPx={(first + at) * ROW_PX}
              folded={look.folded.has(index)}
              chosen={index === look.chosen}
              critical={look.critical ? parts.get(index) : undefined}
              toggle={toggle}
              choose={() => show({ ...look, chosen: index, details: true })}
            />
          ))}
        </div>
      </div>
      {look.details ? (
        <SpanDetails
          trace={trace}
          model={model}
          index={look.chosen}
          choose={(index) => show({ ...unfolded(model, look, index), chosen: index })}
          close={() => show({ ...look, details: false })}
        />
      ) : null}
    </section>
  );
}

function unfolded(model: TraceModel, look: Look, index: number): Look {
  const folded = new Set(look.folded);
  for (let at = model.nodes[index]?.parent ?? -1; at !== -1; at = model.nodes[at]?.parent ?? -1) {
    folded.delete(at);
  }
  return { ...look, folded };
}

function chosenAtFirst(model: TraceModel): number {
  const spanId = route.value.query.get("span");
  const found = model.nodes.find((node) => spanId !== null && node.spanId === spanId);
  return found?.index ?? model.roots[0] ?? 0;
}

function reveal(frame: HTMLElement, row: number): void {
  if (row < 0) return;
  const topPx = row * ROW_PX;
  if (topPx < frame.scrollTop) frame.scrollTop = topPx;
  else if (topPx + ROW_PX > frame.scrollTop + frame.clientHeight) {
    frame.scrollTop = topPx + ROW_PX - frame.clientHeight;
  }
}

function Controls(props: {
  look: Look;
  model: TraceModel;
  show: (look: Look) => void;
}): JSX.Element {
  const { look, model, show } = props;
  const foldAll = (): ReadonlySet<number> =>
    new Set(model.nodes.filter(({ children }) => children.length > 0).map(({ index }) => index));
  return (
    <div class="row pad">
      <button
        type="button"
        aria-pressed={look.critical}
        onClick={() => show({ ...look, critical: !look.critical })}
      >
        ▁ Critical path
      </button>
      <button type="button" onClick={() => show({ ...look, folded: new Set() })}>
        Unfold all
      </button>
      <button type="button" onClick={() => show({ ...look, folded: foldAll() })}>
        Fold all
      </button>
      <span class="quiet">● asked of the service ○ asked by it ⇥ the other end was not seen</span>
    </div>
  );
}

function Axis({ model }: { model: TraceModel }): JSX.Element {
  return (
    <div class="axis" aria-hidden="true">
      <span>Service and span</span>
      <span class="evidence">Parent by</span>
      <span class="ticks">
        {TICKS.map((share) => (
          <span key={share} style={{ left: `${share * 100}%` }}>
            {formatNs(share * (model.endNs - model.startNs))}
          </span>
        ))}
      </span>
      <span class="number">Duration</span>
    </div>
  );
}
