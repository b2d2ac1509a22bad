// SPDX-License-Identifier: Apache-2.0
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { FoundSpan } from "./api-types.ts";
import { formatNs, formatTime, shown } from "./format.ts";
import { change, go } from "./route.ts";
import { theme } from "./theme.ts";

const LEFT = 56;
const BOTTOM = 18;
const TOP = 6;
const REACH_PX = 10;
const DRAG_PX = 4;

interface Box {
  readonly width: number;
  readonly height: number;
}

interface Scales {
  readonly startUs: number;
  readonly endUs: number;
  /** Decades of nanoseconds. */
  readonly low: number;
  readonly high: number;
}

interface At {
  readonly x: number;
  readonly y: number;
}

function scalesOf(spans: readonly FoundSpan[]): Scales {
  let [startUs, endUs] = [Number.POSITIVE_INFINITY, 0];
  let [leastNs, mostNs] = [Number.POSITIVE_INFINITY, 1];
  for (const span of spans) {
    startUs = Math.min(startUs, span.startUs);
    endUs = Math.max(endUs, span.startUs);
    leastNs = Math.min(leastNs, Math.max(1, span.durationNs));
    mostNs = Math.max(mostNs, span.durationNs);
  }
  const low = Math.log10(leastNs) - 0.1;
  return {
    startUs,
    endUs: Math.max(endUs, startUs + 1e6),
    low,
    high: Math.max(Math.log10(mostNs) + 0.1, low + 1),
  };
}

function placeOf({ startUs, durationNs }: FoundSpan, scales: Scales, box: Box): At {
  const across = (startUs - scales.startUs) / (scales.endUs - scales.startUs);
  const up = (Math.log10(Math.max(1, durationNs)) - scales.low) / (scales.high - scales.low);
  return {
    x: LEFT + across * (box.width - LEFT - 8),
    y: TOP + (1 - up) * (box.height - TOP - BOTTOM),
  };
}

function draw(canvas: HTMLCanvasElement, spans: readonly FoundSpan[], scales: Scales): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const box = { width: canvas.clientWidth, height: canvas.clientHeight };
  const ratio = devicePixelRatio;
  canvas.width = box.width * ratio;
  canvas.height = box.height * ratio;
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name);
  context.font = "11px system-ui, sans-serif";
  context.strokeStyle = color("--line-soft");
  context.fillStyle = color("--quiet");
  for (let decade = Math.ceil(scales.low); decade <= scales.high; decade += 1) {
    const up = (decade - scales.low) / (scales.high - scales.low);
    const y = TOP + (1 - up) * (box.height - TOP - BOTTOM);
    context.beginPath();
    context.moveTo(LEFT, y);
    context.lineTo(box.width, y);
    context.stroke();
    context.fillText(
      formatNs(10 ** decade)
        .replace(".00", "")
        .replace(".0", ""),
      0,
      y + 4,
    );
  }
  const nowMs = Date.now();
  context.fillText(formatTime(scales.startUs / 1e3, nowMs), LEFT, box.height - 4);
  context.textAlign = "right";
  context.fillText(formatTime(scales.endUs / 1e3, nowMs), box.width - 4, box.height - 4);
  for (const isBad of [false, true]) {
    context.fillStyle = color(isBad ? "--bad" : "--accent");
    context.globalAlpha = isBad ? 0.9 : 0.55;
    for (const span of spans) {
      if ((span.status === "error") !== isBad) continue;
      const { x, y } = placeOf(span, scales, box);
      context.beginPath();
      context.arc(x, y, 2.5, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

/** Spans by time and duration; a click opens the trace, a drag narrows the search. */
export function Scatter({ spans }: { spans: readonly FoundSpan[] }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const from = useSignal<At | undefined>(undefined);
  const to = useSignal<At | undefined>(undefined);
  const near = useSignal<FoundSpan | undefined>(undefined);
  const scales = scalesOf(spans);
  const look = theme.value;
  useEffect(() => {
    const { current } = canvas;
    if (current === null) return undefined;
    const observer = new ResizeObserver(() => draw(current, spans, scales));
    observer.observe(current);
    return () => observer.disconnect();
  }, [spans, look]);
  const boxOf = (): Box => ({
    width: canvas.current?.clientWidth ?? 1,
    height: canvas.current?.clientHeight ?? 1,
  });
  const onMove = (event: PointerEvent): void => {
    const at = { x: event.offsetX, y: event.offsetY };
    if (from.value === undefined) near.value = nearest(spans, at, scales, boxOf());
    else to.value = at;
  };
  const onUp = (event: PointerEvent): void => {
    const [start, end] = [from.value, { x: event.offsetX, y: event.offsetY }];
    from.value = undefined;
    to.value = undefined;
    if (start === undefined) return;
    if (Math.hypot(end.x - start.x, end.y - start.y) > DRAG_PX) choose(start, end, scales, boxOf());
    else {
      const span = nearest(spans, end, scales, boxOf());
      if (span !== undefined) go(["trace", span.traceId], { span: span.spanId });
    }
  };
  const errors = spans.reduce((sum, { status }) => sum + Number(status === "error"), 0);
  return (
    <div
      class="scatter"
      onPointerMove={onMove}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        from.value = { x: event.offsetX, y: event.offsetY };
      }}
      onPointerUp={onUp}
      onPointerLeave={() => {
        near.value = undefined;
      }}
    >
      <canvas
        ref={canvas}
        role="img"
        aria-label={`${spans.length} spans by time and duration, ${errors} with errors; the table below has their traces`}
      />
      {from.value !== undefined && to.value !== undefined ? (
        <Brush from={from.value} to={to.value} />
      ) : null}
      {near.value === undefined ? null : (
        <Tip span={near.value} at={placeOf(near.value, scales, boxOf())} />
      )}
    </div>
  );
}

function nearest(
  spans: readonly FoundSpan[],
  at: At,
  scales: Scales,
  box: Box,
): FoundSpan | undefined {
  let best: FoundSpan | undefined;
  let bestPx = REACH_PX;
  for (const span of spans) {
    const { x, y } = placeOf(span, scales, box);
    const px = Math.hypot(x - at.x, y - at.y);
    if (px < bestPx) [best, bestPx] = [span, px];
  }
  return best;
}

function choose(from: At, to: At, scales: Scales, box: Box): void {
  const timeUs = (x: number): number =>
    Math.round(
      scales.startUs + ((x - LEFT) / (box.width - LEFT - 8)) * (scales.endUs - scales.startUs),
    );
  const lengthNs = (y: number): number => {
    const up = 1 - (y - TOP) / (box.height - TOP - BOTTOM);
    return Math.max(0, Math.round(10 ** (scales.low + up * (scales.high - scales.low))));
  };
  change({
    start: Math.max(1, timeUs(Math.min(from.x, to.x))),
    end: timeUs(Math.max(from.x, to.x)),
    min: `${lengthNs(Math.max(from.y, to.y))}ns`,
    max: `${lengthNs(Math.min(from.y, to.y))}ns`,
  });
}

function Brush({ from, to }: { from: At; to: At }): JSX.Element {
  return (
    <div
      class="brush"
      style={{
        left: `${Math.min(from.x, to.x)}px`,
        top: `${Math.min(from.y, to.y)}px`,
        width: `${Math.abs(from.x - to.x)}px`,
        height: `${Math.abs(from.y - to.y)}px`,
      }}
    />
  );
}

function Tip({ span, at }: { span: FoundSpan; at: At }): JSX.Element {
  return (
    <div
      class="tip"
      style={{
        left: `${Math.max(0, at.x - 160)}px`,
        top: `${at.y < 40 ? at.y + 12 : at.y - 34}px`,
      }}
    >
      {formatNs(span.durationNs)} · {shown(span.service, 40)} {shown(span.name, 60)}
    </div>
  );
}
