// SPDX-License-Identifier: Apache-2.0
import { parseDurationNs } from "../../src/config/duration.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { type SearchQuery, searchSpans } from "../../src/store/search.ts";
import { traceIdBytes, visitTrace } from "../../src/store/trace.ts";
import { type ApiRequest, HttpProblem } from "./api.ts";
import type { Catalog } from "./catalog.ts";
import { encodeSpans, type SpanPiece } from "./otlp-body.ts";
import { KINDS, numberParameter, textParameter } from "./parameters.ts";

const TRACES_DEFAULT = 100;
const TRACES_MAX = 1_000;
const SPANS_PER_TRACE = 10;
const ATTRIBUTES_MAX = 8;
/** Of one answer. */
const BYTES_MAX = 32 * 1024 * 1024;

/** Version 3 of Jaeger's query API: traces as OTLP/JSON. */
export class JaegerV3 {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  readonly services = async ({ store, clock, nowMs }: ApiRequest): Promise<unknown> => {
    const all = await this.#catalog.operations(store, { clock, nowMs });
    const names = new Set(all.map(({ service }) => service));
    return { services: [...names].filter((name) => name !== "") };
  };

  readonly operations = async ({ store, clock, nowMs, query }: ApiRequest): Promise<unknown> => {
    const wanted = textParameter(query, "service");
    const wantedKind = textParameter(query, "span_kind");
    const all = await this.#catalog.operations(store, { clock, nowMs });
    const shown = all
      .filter(({ service }) => service === wanted)
      .map(({ name, kind: number }) => ({ name, spanKind: number > 0 ? KINDS[number] : undefined }))
      .filter(({ spanKind }) => wantedKind === undefined || spanKind === wantedKind);
    // What is undefined does not appear.
    return { operations: shown };
  };

  readonly trace = async (request: ApiRequest): Promise<unknown> =>
    await tracesOf(request, [request.path[0] ?? ""]);

  readonly traces = async (request: ApiRequest): Promise<unknown> => {
    const query = searchOf(request.query);
    const limit = Math.min(query.limit * SPANS_PER_TRACE, 2 * TRACES_MAX);
    const { spans } = await searchSpans(request.store, { ...query, limit }, request.clock);
    const ids = [...new Set(spans.map(({ traceId }) => traceId))];
    return await tracesOf(request, ids.slice(0, query.limit));
  };
}

/** In the shape of version 3. */
export function jaegerV3Error({ status, message }: HttpProblem): object {
  return { error: { httpCode: status, message } };
}

async function tracesOf({ store, clock }: ApiRequest, ids: readonly string[]): Promise<unknown> {
  const pieces: SpanPiece[] = [];
  let bytes = 0;
  for (const id of ids) {
    const traceId = traceIdBytes(id);
    if (traceId === undefined) {
      const shown = JSON.stringify(id);
      throw new HttpProblem(400, `malformed parameter trace_id: ${shown}: give hex digits`);
    }
    await visitTrace(store, { traceId, clock }, ({ bytes: all, start, end }, context) => {
      bytes += end - start;
      pieces.push({ span: all.subarray(start, end), context });
      return bytes <= BYTES_MAX;
    });
    if (bytes > BYTES_MAX) break;
  }
  if (pieces.length === 0) throw new HttpProblem(404, "No traces found");
  const result = toOtlpJson(REQUESTS.traces.request, encodeSpans(pieces));
  if (!result.ok) throw new HttpProblem(500, "the traces cannot be written as OTLP/JSON");
  return { result: JSON.parse(result.json) };
}

function searchOf(query: URLSearchParams): SearchQuery {
  const startUs = timeParameter(query, "query.start_time_min");
  const endUs = timeParameter(query, "query.start_time_max");
  if (startUs === undefined || endUs === undefined) {
    throw new HttpProblem(400, "query.start_time_min and query.start_time_max are required");
  }
  const rule = { name: "query.num_traces", max: 100_000, advice: "Give how many traces to show" };
  const limit = numberParameter(query, rule) || TRACES_DEFAULT;
  return {
    service: textParameter(query, "query.service_name"),
    operation: textParameter(query, "query.operation_name"),
    minDurationNs: durationParameter(query, "query.duration_min"),
    maxDurationNs: durationParameter(query, "query.duration_max"),
    attributes: attributesOf(query),
    startUs,
    endUs: endUs + 1,
    limit: Math.min(Math.max(1, Math.floor(limit)), TRACES_MAX),
  };
}

/** RFC 3339, as microseconds since the epoch. */
function timeParameter(query: URLSearchParams, name: string): number | undefined {
  const text = textParameter(query, name);
  if (text === undefined) return undefined;
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(text);
  const seconds = Date.parse(`${match?.[1] ?? ""}${match?.[3] ?? ""}`);
  if (!Number.isNaN(seconds)) return seconds * 1000 + Math.floor(Number(match?.[2] ?? 0) * 1e6);
  const shown = JSON.stringify(text);
  throw new HttpProblem(400, `malformed parameter ${name}: ${shown}. Give 2026-01-02T03:04:05Z`);
}

function durationParameter(query: URLSearchParams, name: string): number | undefined {
  const text = textParameter(query, name);
  if (text === undefined) return undefined;
  const ns = parseDurationNs(text);
  if (typeof ns === "number") return ns;
  throw new HttpProblem(400, `malformed parameter ${name}: ${ns}`);
}

/** An object as JSON. */
function attributesOf(query: URLSearchParams): SearchQuery["attributes"] {
  const text = textParameter(query, "query.attributes");
  if (text === undefined) return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new HttpProblem(400, "malformed parameter query.attributes: no JSON");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new HttpProblem(400, "malformed parameter query.attributes: give an object");
  }
  const pairs = Object.entries(parsed);
  if (pairs.length > ATTRIBUTES_MAX) {
    throw new HttpProblem(400, `query.attributes: more than ${ATTRIBUTES_MAX} are given`);
  }
  return pairs.map(([key, value]) => ({ key, value: String(value) }));
}
