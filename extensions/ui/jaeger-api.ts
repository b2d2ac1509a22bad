// SPDX-License-Identifier: Apache-2.0
import { parseDurationNs } from "../../src/config/duration.ts";
import { type SearchQuery, searchSpans } from "../../src/store/search.ts";
import { sumSeries } from "../../src/store/series-query.ts";
import { traceIdBytes, visitTrace } from "../../src/store/trace.ts";
import { type ApiRequest, HttpProblem } from "./api.ts";
import type { Catalog, CatalogOperation } from "./catalog.ts";
import { JaegerTrace } from "./jaeger-json.ts";
import { KINDS, numberParameter, textParameter } from "./parameters.ts";

const DAY_US = 86_400_000_000;
const TRACES_DEFAULT = 100;
const TRACES_MAX = 1_000;
const TRACE_IDS_MAX = 100;
const TAGS_MAX = 8;
const KIND_NAMES: readonly string[] = KINDS;
const SPANS_PER_TRACE = 10;
/** Of one answer. */
const SPANS_MAX = 100_000;
const BYTES_MAX = 32 * 1024 * 1024;

/** Jaeger's query API, in Jaeger's shapes. */
export class JaegerApi {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  readonly services = async (request: ApiRequest): Promise<unknown> => {
    const all = await this.#operations(request);
    return listed([...new Set(all.map(({ service }) => service))].filter((name) => name !== ""));
  };

  readonly operationNames = async (request: ApiRequest): Promise<unknown> => {
    const service = request.path[0] ?? "";
    const all = await this.#operations(request);
    return listed([...new Set(all.filter((one) => one.service === service).map(nameOf))]);
  };

  readonly operations = async (request: ApiRequest): Promise<unknown> => {
    const service = required(request.query, "service");
    const wanted = textParameter(request.query, "spanKind");
    const found = (await this.#operations(request))
      .filter((one) => one.service === service)
      .map(({ name, kind }) => ({ name, spanKind: kind > 0 ? (KINDS[kind] ?? "") : "" }));
    return listed(found.filter(({ spanKind }) => wanted === undefined || spanKind === wanted));
  };

  readonly traces = async (request: ApiRequest): Promise<unknown> => {
    const ids = request.query.getAll("traceID");
    if (ids.length > TRACE_IDS_MAX) {
      throw new HttpProblem(400, `traceID: more than ${TRACE_IDS_MAX} are given`);
    }
    const wanted = ids.length > 0 ? ids : await foundTraces(request);
    return answer(await readTraces(request, wanted));
  };

  readonly trace = async (request: ApiRequest): Promise<unknown> => {
    const found = await readTraces(request, [request.path[0] ?? ""]);
    if (found.length === 0) throw new HttpProblem(404, "trace not found");
    return answer(found);
  };

  /** The page has rates; Jaeger's "Monitor" asks Prometheus. */
  readonly metrics = (): never => {
    throw new HttpProblem(501, "metrics querying is not supported: see the page's overview");
  };

  readonly dependencies = async ({ query, store, clock, nowMs }: ApiRequest): Promise<unknown> => {
    const advice = "Give milliseconds";
    const endMs = numberParameter(query, { name: "endTs", advice }) ?? nowMs;
    const lookbackMs = numberParameter(query, { name: "lookback", advice }) ?? DAY_US / 1000;
    const range = { startMs: endMs - lookbackMs, endMs };
    const { edges } = await sumSeries(store, { range, clock });
    const calls = new Map<string, { parent: string; child: string; callCount: number }>();
    for (const { one, tally } of edges) {
      if (one.from.kind !== "service" || one.to.kind !== "service") continue;
      const key = JSON.stringify([one.from.name, one.to.name]);
      const sum = calls.get(key) ?? { parent: one.from.name, child: one.to.name, callCount: 0 };
      sum.callCount += tally.requests;
      calls.set(key, sum);
    }
    return answer([...calls.values()]);
  };

  #operations({ store, clock, nowMs }: ApiRequest): Promise<readonly CatalogOperation[]> {
    return this.#catalog.operations(store, { clock, nowMs });
  }
}

function nameOf({ name }: CatalogOperation): string {
  return name;
}

/** The ids of the newest traces that the parameters ask for. */
async function foundTraces(request: ApiRequest): Promise<readonly string[]> {
  const query = jaegerSearch(request);
  const wide = { ...query, limit: Math.min(query.limit * SPANS_PER_TRACE, TRACES_MAX * 2) };
  const { spans } = await searchSpans(request.store, wide, request.clock);
  return [...new Set(spans.map(({ traceId }) => traceId))].slice(0, query.limit);
}

function jaegerSearch({ query, nowMs }: ApiRequest): SearchQuery {
  const service = required(query, "service");
  const advice = "Give microseconds since the epoch";
  const endUs = numberParameter(query, { name: "end", advice }) ?? nowMs * 1000 + 1;
  const startUs = numberParameter(query, { name: "start", advice }) ?? endUs - 2 * DAY_US;
  const limitAdvice = "Give how many traces to show";
  const limit =
    numberParameter(query, { name: "limit", min: 0, max: 100_000, advice: limitAdvice }) ||
    TRACES_DEFAULT;
  const tags = tagsOf(query);
  const isError = tags.some(({ key, value }) => key === "error" && value === "true");
  const wanted = tags.find(({ key }) => key === "span.kind")?.value;
  const kind = KIND_NAMES.indexOf(wanted ?? "");
  const operation = textParameter(query, "operation");
  return {
    service,
    operation: operation === "all" ? undefined : operation,
    kind: kind < 0 ? undefined : kind,
    status: isError ? 2 : undefined,
    minDurationNs: durationParameter(query, "minDuration"),
    maxDurationNs: durationParameter(query, "maxDuration"),
    attributes: tags.filter(({ key, value }) => {
      return key !== "span.kind" && !(key === "error" && value === "true");
    }),
    startUs,
    endUs: endUs + 1,
    limit: Math.min(Math.floor(limit), TRACES_MAX),
  };
}

interface TagQuery {
  readonly key: string;
  readonly value: string;
}

/** `tags` is an object as JSON, `tag` is `key:value` and may repeat. */
function tagsOf(query: URLSearchParams): readonly TagQuery[] {
  const tags: TagQuery[] = [];
  for (const text of query.getAll("tag")) {
    const at = text.indexOf(":");
    if (at < 1) throw new HttpProblem(400, "malformed 'tag' parameter, expecting key:value");
    tags.push({ key: text.slice(0, at), value: text.slice(at + 1) });
  }
  for (const text of query.getAll("tags")) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      throw new HttpProblem(400, "malformed 'tags' parameter, cannot unmarshal JSON");
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      throw new HttpProblem(400, "malformed 'tags' parameter, expecting an object");
    }
    for (const [key, value] of Object.entries(parsed)) tags.push({ key, value: String(value) });
  }
  if (tags.length > TAGS_MAX) throw new HttpProblem(400, `tags: more than ${TAGS_MAX} are given`);
  return tags;
}

function durationParameter(query: URLSearchParams, name: string): number | undefined {
  const text = textParameter(query, name);
  if (text === undefined) return undefined;
  const ns = parseDurationNs(text);
  if (typeof ns === "number") return ns;
  throw new HttpProblem(400, `unable to parse param '${name}': ${ns}`);
}

function required(query: URLSearchParams, name: string): string {
  const text = textParameter(query, name);
  if (text === undefined) throw new HttpProblem(400, `parameter '${name}' is required`);
  return text;
}

/** Those that the store has, within the bounds of an answer. */
async function readTraces(
  { store, clock }: ApiRequest,
  ids: readonly string[],
): Promise<readonly object[]> {
  const found: object[] = [];
  let spansLeft = SPANS_MAX;
  let bytesLeft = BYTES_MAX;
  for (const id of ids) {
    const traceId = traceIdBytes(id);
    if (traceId === undefined) {
      throw new HttpProblem(400, `malformed trace id ${JSON.stringify(id)}: give hex digits`);
    }
    const trace = new JaegerTrace(traceId.toString("hex"));
    await visitTrace(store, { traceId, clock }, (span, context) => {
      trace.add(span, context);
      bytesLeft -= span.end - span.start;
      return --spansLeft > 0 && bytesLeft > 0;
    });
    if (trace.spans > 0) found.push(trace.toJson());
    if (spansLeft <= 0 || bytesLeft <= 0 || clock.isOver) break;
  }
  return found;
}

function answer(data: readonly unknown[]): object {
  return { data, total: 0, limit: 0, offset: 0, errors: null };
}

/** Lists of names say how many there are. */
function listed(data: readonly unknown[]): object {
  return { data, total: data.length, limit: 0, offset: 0, errors: null };
}

/** In Jaeger's shape. */
export function jaegerError({ status, message }: HttpProblem): object {
  return { data: null, total: 0, limit: 0, offset: 0, errors: [{ code: status, msg: message }] };
}
