// SPDX-License-Identifier: Apache-2.0
import { durationText, fit, printable, type Style } from "./style.ts";

/** What the tree shows of a span. */
export interface TreeSpan {
  readonly spanId: string;
  /** "" of a span without a parent. */
  readonly parentSpanId: string;
  readonly service: string;
  readonly name: string;
  /** SpanKind of opentelemetry-proto. */
  readonly kind: number;
  readonly startNs: number;
  readonly durationNs: number;
  /** Status, or what the protocol calls it: `200`, `NOT_FOUND`, `error`. */
  readonly status: string;
  readonly isError: boolean;
  /** How the link to the parent was found; "" when nobody says. */
  readonly evidence: string;
  /** 0 to 1. */
  readonly confidence: number | undefined;
  /** Where a client span went to, `host:port`; "" when unknown. */
  readonly peer: string;
}

export interface Tree {
  readonly traceId: string;
  readonly spans: readonly TreeSpan[];
  /** Spans of the trace that came and are not in `spans`. */
  readonly spansLeftOut: number;
}

export interface TreeLook {
  readonly style: Style;
  /** Characters a line. */
  readonly width: number;
}

/** By SpanKind: unspecified, internal, server, client, producer, consumer. */
const SYMBOLS = ["·", "·", "●", "○", "◇", "◆"];
const BAR_WIDTH = 24;
const NARROW_BAR_WIDTH = 14;
const NARROW_BELOW = 120;
const DURATION_WIDTH = 8;
/** Status, evidence and the bar's frame. */
const TAIL_WIDTH = 30;
const SERVICE_WIDTH_MAX = 40;
const NAME_WIDTH_MIN = 12;
const DEPTH_SHOWN_MAX = 12;

/** What the signs mean, in one line. */
export function legend(style: Style): string {
  const signs = "● server  ○ client  ◇ producer  ◆ consumer  · internal";
  return `${style.dim(`${signs}  ▕█▏ when it ran  ← how its parent was found`)}\n\n`;
}

interface Row {
  readonly span: TreeSpan;
  readonly branch: string;
  readonly isLeaf: boolean;
  readonly isOrphan: boolean;
}

/** A trace as lines: one for the trace, one for each span under its parent. */
export function drawTree(tree: Tree, look: TreeLook): string {
  const rows = rowsOf(tree.spans);
  const range = rangeOf(tree.spans);
  const columns = columnsOf(rows, look.width);
  const lines = [
    headline(tree, range, look),
    ...rows.map((row) => rowLine(row, { range, columns, look })),
  ];
  if (tree.spansLeftOut > 0) {
    lines.push(
      look.style.dim(`  … ${tree.spansLeftOut} more ${plural(tree.spansLeftOut, "span")}`),
    );
  }
  return `${lines.join("\n")}\n\n`;
}

interface Range {
  readonly startNs: number;
  readonly endNs: number;
}

function rangeOf(spans: readonly TreeSpan[]): Range {
  let startNs = Number.POSITIVE_INFINITY;
  let endNs = 0;
  for (const span of spans) {
    startNs = Math.min(startNs, span.startNs);
    endNs = Math.max(endNs, span.startNs + span.durationNs);
  }
  return { startNs, endNs };
}

function plural(count: number, word: string): string {
  return count === 1 ? word : `${word}s`;
}

function headline(tree: Tree, range: Range, { style }: TreeLook): string {
  const count = tree.spans.length + tree.spansLeftOut;
  const services = new Set(tree.spans.map((span) => span.service)).size;
  const errors = tree.spans.filter((span) => span.isError).length;
  const facts = [
    `${count} ${plural(count, "span")}`,
    `${services} ${plural(services, "service")}`,
    durationText(range.endNs - range.startNs),
  ];
  const failed = errors === 0 ? "" : style.red(` · ${errors} ${plural(errors, "error")}`);
  return `${style.bold("trace")} ${tree.traceId}  ${style.dim(facts.join(" · "))}${failed}`;
}

/** Depth first, siblings by time. Every span once, whatever its parents say. */
function rowsOf(spans: readonly TreeSpan[]): Row[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const children = new Map<string, TreeSpan[]>();
  const roots: TreeSpan[] = [];
  for (const span of spans) {
    const parent = byId.get(span.parentSpanId);
    if (parent === undefined || parent === span) roots.push(span);
    else children.set(span.parentSpanId, [...(children.get(span.parentSpanId) ?? []), span]);
  }
  const rows: Row[] = [];
  const placed = new Set<TreeSpan>();
  const place = (span: TreeSpan, branch: string, below: string): void => {
    if (placed.has(span)) return;
    placed.add(span);
    const inside = (children.get(span.spanId) ?? []).toSorted(byTime);
    const isOrphan = span.parentSpanId !== "" && !byId.has(span.parentSpanId);
    rows.push({ span, branch, isLeaf: inside.length === 0, isOrphan });
    inside.forEach((child, index) => {
      const isLast = index === inside.length - 1;
      const isDeep = below.length >= DEPTH_SHOWN_MAX * 2;
      const next = isDeep ? below : below + (isLast ? "  " : "│ ");
      place(child, below + (isLast ? "└ " : "├ "), next);
    });
  };
  for (const root of roots.toSorted(byTime)) place(root, "", "");
  // Spans that are each other's parents hang on no root.
  for (const span of spans) place(span, "", "");
  return rows;
}

function byTime(a: TreeSpan, b: TreeSpan): number {
  return a.startNs - b.startNs || b.durationNs - a.durationNs;
}

function labelOf({ span, isLeaf }: Row): string {
  const target = span.kind === 3 && isLeaf && span.peer !== "" ? ` → ${span.peer}` : "";
  return printable(`${span.name}${target}`);
}

interface Columns {
  /** Branch, sign and service. */
  readonly service: number;
  readonly name: number;
  readonly bar: number;
}

function serviceOf({ span, branch }: Row): string {
  return `${branch}${SYMBOLS[span.kind] ?? "·"} ${printable(span.service)}`;
}

function columnsOf(rows: readonly Row[], width: number): Columns {
  let service = 0;
  let name = 0;
  for (const row of rows) {
    service = Math.max(service, serviceOf(row).length);
    name = Math.max(name, labelOf(row).length);
  }
  service = Math.min(service, SERVICE_WIDTH_MAX);
  const bar = width < NARROW_BELOW ? NARROW_BAR_WIDTH : BAR_WIDTH;
  const room = width - service - bar - DURATION_WIDTH - TAIL_WIDTH;
  return { service, name: Math.min(name, Math.max(NAME_WIDTH_MIN, room)), bar };
}

interface RowLook {
  readonly range: Range;
  readonly columns: Columns;
  readonly look: TreeLook;
}

function rowLine(row: Row, { range, columns, look }: RowLook): string {
  const { span, branch, isOrphan } = row;
  const { style } = look;
  const service = fit(serviceOf(row), columns.service).padEnd(columns.service);
  const left = `${style.dim(branch)}${style.byName(span.service, service.slice(branch.length))}`;
  const label = fit(labelOf(row), columns.name).padEnd(columns.name);
  const bar = barOf(span, range, columns.bar);
  const drawn = span.isError ? style.red(bar) : style.byName(span.service, bar);
  const time = durationText(span.durationNs).padStart(DURATION_WIDTH);
  const frame = `${style.dim("▕")}${drawn}${style.dim("▏")}`;
  return `  ${left}  ${label} ${frame}${time}  ${tailOf(span, isOrphan, style)}`.trimEnd();
}

function tailOf(span: TreeSpan, isOrphan: boolean, style: Style): string {
  const status = printable(fit(span.status, 24));
  const shown = span.isError ? style.red(status) : style.green(status);
  const parts = status === "" ? [] : [shown];
  if (span.evidence !== "") {
    const { confidence } = span;
    const isSure = confidence === undefined || confidence >= 0.995;
    const percent = isSure ? "" : ` ${Math.round(confidence * 100)}%`;
    parts.push(style.dim(`← ${printable(span.evidence)}${percent}`));
  }
  if (isOrphan) parts.push(style.yellow("parent not seen"));
  return parts.join("  ");
}

/** When the span ran, to half a cell; never empty. */
function barOf(span: TreeSpan, range: Range, width: number): string {
  const total = Math.max(1, range.endNs - range.startNs);
  const halves = width * 2;
  const clamp = (value: number): number => Math.min(halves, Math.max(0, value));
  const from = Math.min(
    halves - 1,
    clamp(Math.floor(((span.startNs - range.startNs) / total) * halves)),
  );
  const end = span.startNs + span.durationNs - range.startNs;
  const to = Math.max(from + 1, clamp(Math.ceil((end / total) * halves)));
  let bar = "";
  for (let cell = 0; cell < width; cell++) {
    const left = cell * 2 >= from && cell * 2 < to;
    const right = cell * 2 + 1 >= from && cell * 2 + 1 < to;
    bar += left ? (right ? "█" : "▌") : right ? "▐" : " ";
  }
  return bar;
}
