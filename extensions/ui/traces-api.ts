// SPDX-License-Identifier: Apache-2.0
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { searchSpans } from "../../src/store/search.ts";
import { traceIdBytes, visitTrace } from "../../src/store/trace.ts";
import { type ApiRequest, HttpProblem } from "./api.ts";
import { encodeSpans, type SpanPiece } from "./otlp-body.ts";
import { KINDS, limitOf, STATUSES, searchOf } from "./parameters.ts";
import { warningsOf } from "./span-warnings.ts";
import {
  microseconds,
  nsBetween,
  PAGE_BOUNDS,
  type SpanJson,
  TraceJson,
  WHOLE_BOUNDS,
} from "./trace-json.ts";
import { summarizeTrace } from "./trace-summary.ts";

const TRACES_DEFAULT = 20;
const TRACES_MAX = 100;
/** Spans of one that may be looked through to find different traces. */
const SPANS_PER_TRACE = 10;
const SPANS_DEFAULT = 10_000;
const SPANS_MAX = 100_000;
const MIB = 1024 ** 2;
const ANSWER_BYTES_MAX = 64 * MIB;
const SPAN_BYTES_MAX = 16 * MIB;
/** JSON that a span has besides its OTLP bytes. */
const SPAN_JSON_BYTES = 300;

/** Single spans, the newest first. */
export async function search(request: ApiRequest): Promise<unknown> {
  const { spans, ...rest } = await searchSpans(request.store, searchOf(request), request.clock);
  return {
    spans: spans.map((span) => ({
      ...span,
      kind: KINDS[span.kind] ?? "unspecified",
      status: STATUSES[span.status] ?? "unset",
    })),
    ...rest,
    elapsedMs: request.clock.elapsedMs,
  };
}

/** The traces of the newest matching spans, summed up. */
export async function traces(request: ApiRequest): Promise<unknown> {
  const { store, clock } = request;
  const query = searchOf(request, { preset: TRACES_DEFAULT, max: TRACES_MAX });
  const wide = { ...query, limit: query.limit * SPANS_PER_TRACE };
  const { spans, scanned, truncated } = await searchSpans(store, wide, clock);
  const ids = [...new Set(spans.map(({ traceId }) => traceId))].slice(0, query.limit);
  const summaries: unknown[] = [];
  for (const id of ids) {
    if (clock.isOver) break;
    const traceId = traceIdBytes(id);
    const summary = traceId && (await summarizeTrace(store, traceId, clock));
    if (summary !== undefined) summaries.push(summary);
  }
  const isShort = truncated || summaries.length < ids.length;
  return { traces: summaries, scanned, elapsedMs: clock.elapsedMs, truncated: isShort };
}

/** One trace with its spans in the order of their starts. */
export async function trace(request: ApiRequest): Promise<unknown> {
  const limit = limitOf(request.query, SPANS_DEFAULT, SPANS_MAX);
  const json = new TraceJson(PAGE_BOUNDS);
  const spans: SpanJson[] = [];
  let bytesLeft = ANSWER_BYTES_MAX;
  let total = 0;
  let isShort = false;
  const { store, clock } = request;
  const traceId = idOf(request);
  const visit = await visitTrace(store, { traceId, clock }, (span, context) => {
    total++;
    if (spans.length >= limit || bytesLeft <= 0) isShort = true;
    else {
      const one = json.span(span, context);
      spans.push(one);
      bytesLeft -= one.isCut ? jsonBytes(one) : 2 * (span.end - span.start) + SPAN_JSON_BYTES;
    }
    return true;
  });
  if (total === 0) throw notFound(request);
  const truncated = isShort || visit.truncated;
  return { ...placed(spans, traceId.toString("hex"), json), spansTotal: total, truncated };
}

function jsonBytes(span: SpanJson): number {
  return JSON.stringify(span).length;
}

function placed(spans: SpanJson[], traceId: string, json: TraceJson): object {
  const first = spans.reduce((start, span) => {
    const isEarlier = nsBetween(start, span.start) < 0;
    return isEarlier ? span.start : start;
  }, spans[0]?.start ?? { low: 0, high: 0 });
  const withOffsets = spans
    .map((span) => ({ span, offsetNs: nsBetween(first, span.start), ...idsOf(span) }))
    .sort((one, other) => one.offsetNs - other.offsetNs);
  const warnings = warningsOf(withOffsets);
  const shown = withOffsets.map(({ span, offsetNs }, at) => {
    const { start, isCut, events, ...rest } = span;
    return {
      ...rest,
      offsetNs,
      events: events.map(({ at: time, ...event }) => ({
        offsetNs: nsBetween(first, time),
        ...event,
      })),
      warnings: isCut ? [...(warnings[at] ?? []), "cut"] : (warnings[at] ?? []),
    };
  });
  const durationNs = shown.reduce(
    (most, { offsetNs, durationNs }) => Math.max(most, offsetNs + durationNs),
    0,
  );
  const startUs = microseconds(first);
  const { resources, scopes } = json;
  return { traceId, startUs, durationNs, resources, scopes, spans: shown };
}

function idsOf({ spanId, parentSpanId }: SpanJson): {
  readonly spanId: string;
  readonly parentSpanId: string;
} {
  return { spanId, parentSpanId };
}

/** One span with all that it has. */
export async function span(request: ApiRequest): Promise<unknown> {
  const wanted = (request.path[1] ?? "").toLowerCase();
  if (!/^[0-9a-f]{16}$/.test(wanted)) throw new HttpProblem(400, "span id: not 16 hex digits");
  const json = new TraceJson(WHOLE_BOUNDS);
  const found: SpanJson[] = [];
  let isTooLarge = false;
  const { store, clock } = request;
  const traceId = idOf(request);
  await visitTrace(store, { traceId, clock }, (one, context) => {
    if (one.spanId !== wanted) return true;
    if (one.end - one.start > SPAN_BYTES_MAX) isTooLarge = true;
    else found.push(json.span(one, context));
    return false;
  });
  if (isTooLarge) throw new HttpProblem(413, "the span is larger than 16 MiB");
  if (found.length === 0) throw notFound(request);
  return placed(found, traceId.toString("hex"), json);
}

/** The trace as OTLP/JSON, to be copied. */
export async function otlp(request: ApiRequest): Promise<unknown> {
  const pieces: SpanPiece[] = [];
  let bytes = 0;
  const { store, clock } = request;
  const visit = await visitTrace(store, { traceId: idOf(request), clock }, (one, context) => {
    bytes += one.end - one.start;
    pieces.push({ span: one.bytes.subarray(one.start, one.end), context });
    return bytes <= ANSWER_BYTES_MAX;
  });
  if (pieces.length === 0) throw notFound(request);
  if (bytes > ANSWER_BYTES_MAX) throw new HttpProblem(413, "the trace is larger than 64 MiB");
  if (visit.truncated) throw new HttpProblem(503, "the trace takes too long to read");
  const result = toOtlpJson(REQUESTS.traces.request, encodeSpans(pieces));
  if (!result.ok) throw new HttpProblem(500, "the trace cannot be written as OTLP/JSON");
  return JSON.parse(result.json);
}

function idOf({ path }: ApiRequest): Buffer {
  const id = traceIdBytes(path[0] ?? "");
  if (id === undefined) throw new HttpProblem(400, "trace id: not 1 to 32 hex digits");
  return id;
}

function notFound({ path }: ApiRequest): HttpProblem {
  return new HttpProblem(404, `trace ${path[0] ?? ""} is not in the store`);
}
