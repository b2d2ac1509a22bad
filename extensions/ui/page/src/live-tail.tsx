// SPDX-License-Identifier: Apache-2.0
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { apiUrl, ask, type Parameters } from "./api.ts";
import type { FoundSpan, Search } from "./api-types.ts";
import { formatNs, formatTime, shown } from "./format.ts";
import { Heads, Sheet } from "./parts.tsx";
import { href } from "./route.ts";

const EVERY_MS = 1_000;
/** Spans are stored when their trace is complete, some seconds after they began. */
const LOOK_BACK_US = 15e6;
const ROWS_MAX = 200;
const KNOWN_MAX = 20_000;

/** New spans as they are stored, the newest first. */
export function LiveTail({ parameters }: { parameters: Parameters }): JSX.Element {
  const rows = useSignal<readonly FoundSpan[]>([]);
  const problem = useSignal("");
  const paused = useSignal(false);
  const known = useRef(new Set<string>());
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async (): Promise<void> => {
      if (!paused.peek() && !document.hidden) await take();
      if (!abort.signal.aborted) timer = setTimeout(() => void poll(), EVERY_MS);
    };
    const take = async (): Promise<void> => {
      const endUs = Date.now() * 1e3;
      const times = { start: endUs - LOOK_BACK_US, end: endUs, limit: 500 };
      try {
        const found = await ask<Search>(
          apiUrl("search", { ...parameters, ...times }),
          abort.signal,
        );
        rows.value = merged(found.spans, rows.peek(), known.current);
        problem.value = "";
      } catch (error) {
        if (!abort.signal.aborted) problem.value = error instanceof Error ? error.message : "";
      }
    };
    void poll();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, []);
  return (
    <Sheet
      title="Live tail"
      aside={
        <button
          type="button"
          aria-pressed={paused.value}
          onClick={() => {
            paused.value = !paused.value;
          }}
        >
          Pause
        </button>
      }
    >
      {problem.value === "" ? null : <p class="note bad">{problem.value}</p>}
      {rows.value.length === 0 ? (
        <p class="empty">Waiting for spans…</p>
      ) : (
        <Rows rows={rows.value} />
      )}
    </Sheet>
  );
}

function merged(
  found: readonly FoundSpan[],
  before: readonly FoundSpan[],
  known: Set<string>,
): readonly FoundSpan[] {
  const isNew = found.filter(({ traceId, spanId }) => !known.has(`${traceId}${spanId}`));
  if (isNew.length === 0) return before;
  if (known.size > KNOWN_MAX) known.clear();
  for (const { traceId, spanId } of found) known.add(`${traceId}${spanId}`);
  return [...isNew, ...before].slice(0, ROWS_MAX);
}

function Rows({ rows }: { rows: readonly FoundSpan[] }): JSX.Element {
  const nowMs = Date.now();
  return (
    <div class="scroll">
      <table>
        <Heads names={["Started", "Service", "Span", "Kind", "#Duration", "Status"]} />
        <tbody>
          {rows.map((span) => (
            <tr key={`${span.traceId}${span.spanId}`}>
              <td class="quiet">{formatTime(span.startUs / 1e3, nowMs)}</td>
              <td>{shown(span.service, 80)}</td>
              <td>
                <a href={href(["trace", span.traceId], { span: span.spanId })}>
                  {shown(span.name, 160) || "(no name)"}
                </a>
              </td>
              <td class="quiet">{span.kind}</td>
              <td class="number">{formatNs(span.durationNs)}</td>
              <td class={span.status === "error" ? "bad" : "quiet"}>{span.status}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
