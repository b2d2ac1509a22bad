// SPDX-License-Identifier: Apache-2.0
import {
  type AttributeValue,
  attributesOf,
  type SpanContext,
  type SpanView,
} from "../pdata/span-view.ts";
import {
  durationNsAt,
  type FilterColumns,
  kindOf,
  startUsAt,
  statusOf,
  type ValueColumns,
} from "./columns.ts";
import { microsecondsAt } from "./epoch-time.ts";
import { mayLackNumber, NAME_OTHER } from "./name-table.ts";
import type { QueryClock } from "./query-clock.ts";
import { serviceNameIn } from "./resource-name.ts";
import type { Segment } from "./segment.ts";
import type { BlockEntry } from "./segment-format.ts";
import { visitRows } from "./span-rows.ts";
import type { StoreReader } from "./store-reader.ts";

/** What a span must be to be found; what is undefined is not asked for. */
export interface SearchQuery {
  readonly service?: string | undefined;
  readonly operation?: string | undefined;
  /** Of opentelemetry-proto. */
  readonly kind?: number | undefined;
  readonly status?: number | undefined;
  readonly minDurationNs?: number | undefined;
  readonly maxDurationNs?: number | undefined;
  /** Of the span or its resource; compared as text; without a value the key is enough. */
  readonly attributes: readonly { readonly key: string; readonly value?: string | undefined }[];
  readonly startUs: number;
  readonly endUs: number;
  readonly limit: number;
}

export interface FoundSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly service: string;
  readonly name: string;
  readonly kind: number;
  readonly status: number;
  readonly startUs: number;
  readonly durationNs: number;
}

export interface SearchResult {
  /** The newest first. */
  readonly spans: readonly FoundSpan[];
  readonly scanned: number;
  readonly truncated: boolean;
}

interface Names {
  /** -1: any. */
  readonly service: number;
  readonly operation: number;
}

/** Finds the newest spans that a query asks for. Reads blocks from new to old until it has enough. */
export async function searchSpans(
  reader: StoreReader,
  query: SearchQuery,
  clock: QueryClock,
): Promise<SearchResult> {
  const found: FoundSpan[] = [];
  let scanned = 0;
  let truncated = false;
  for (const { segment, block, entry } of candidates(reader, query)) {
    // Blocks come by their newest span: what follows cannot push out what was found.
    const oldest = found.length < query.limit ? undefined : found[query.limit - 1];
    if (oldest !== undefined && entry.startUsMax < oldest.startUs) {
      truncated = true;
      break;
    }
    if (clock.isOver) {
      truncated = true;
      break;
    }
    await clock.breathe();
    const names = namesOf(reader, segment, query);
    if (names === undefined) continue;
    scanned += entry.count;
    const newerThanUs = oldest?.startUs ?? -1;
    const rows = matchingRows({ segment, block, entry, names, query, newerThanUs });
    if (rows.length === 0) continue;
    found.push(...readRows({ segment, block, rows: new Set(rows), query }));
    found.sort((one, other) => other.startUs - one.startUs);
    if (found.length > query.limit) {
      truncated = true;
      found.length = query.limit;
    }
  }
  return { spans: found, scanned, truncated };
}

interface Candidate {
  readonly segment: Segment;
  readonly block: number;
  readonly entry: BlockEntry;
}

/** Blocks that may hold matches, those with the newest spans first. */
function candidates(reader: StoreReader, query: SearchQuery): readonly Candidate[] {
  const { startUs, endUs, minDurationNs = 0, maxDurationNs, status } = query;
  if (maxDurationNs !== undefined && maxDurationNs < minDurationNs) return [];
  const all: Candidate[] = [];
  for (const segment of reader.segments()) {
    for (const [block, entry] of segment.blocks.entries()) {
      if (entry.startUsMax < startUs || entry.startUsMin >= endUs) continue;
      if (entry.durationNsMax < minDurationNs || (status === 2 && entry.errors === 0)) continue;
      all.push({ segment, block, entry });
    }
  }
  return all.sort((one, other) => other.entry.startUsMax - one.entry.startUsMax);
}

/** Undefined when the segment has no span with these names. */
function namesOf(reader: StoreReader, segment: Segment, query: SearchQuery): Names | undefined {
  const { service, operation } = query;
  if (service === undefined && operation === undefined) return { service: -1, operation: -1 };
  const ids = reader.nameIds(segment);
  const idOf = (name: string | undefined): number | undefined => {
    if (name === undefined) return -1;
    return ids.get(name) ?? (mayLackNumber(name, ids.size) ? NAME_OTHER : undefined);
  };
  const [serviceId, operationId] = [idOf(service), idOf(operation)];
  if (serviceId === undefined || operationId === undefined) return undefined;
  return { service: serviceId, operation: operationId };
}

interface BlockQuery extends Candidate {
  readonly names: Names;
  readonly newerThanUs: number;
  readonly query: SearchQuery;
}

/** Rows that the columns let through and that are newer than what is found already. */
function matchingRows({
  segment,
  block,
  names,
  query,
  newerThanUs,
}: BlockQuery): readonly number[] {
  const filter = segment.filter(block);
  const rows = filter === undefined ? [] : filterRows(filter, names, query);
  const values = rows.length === 0 ? undefined : segment.values(block);
  if (values === undefined) return [];
  const within = rows.filter((row) => {
    return startUsAt(values, row) > newerThanUs && isWithin(values, row, query);
  });
  const isSure =
    query.attributes.length === 0 && names.service !== NAME_OTHER && names.operation !== NAME_OTHER;
  if (!isSure || within.length <= query.limit) return within;
  // No more of one block than are asked for, and the newest of them.
  return within
    .sort((one, other) => startUsAt(values, other) - startUsAt(values, one))
    .slice(0, query.limit);
}

function isWithin(values: ValueColumns, row: number, query: SearchQuery): boolean {
  const { minDurationNs = 0, maxDurationNs = Number.POSITIVE_INFINITY } = query;
  const startUs = startUsAt(values, row);
  if (startUs < query.startUs || startUs >= query.endUs) return false;
  const durationNs = durationNsAt(values, row);
  return durationNs >= minDurationNs && durationNs <= maxDurationNs;
}

function filterRows(
  { count, service, operation, flags }: FilterColumns,
  names: Names,
  { kind, status }: SearchQuery,
): number[] {
  const rows: number[] = [];
  for (let row = 0; row < count; row++) {
    if (names.service >= 0 && service[row] !== names.service) continue;
    if (names.operation >= 0 && operation[row] !== names.operation) continue;
    const flag = flags[row] ?? 0;
    if (kind !== undefined && kindOf(flag) !== kind) continue;
    if (status !== undefined && statusOf(flag) !== status) continue;
    rows.push(row);
  }
  return rows;
}

interface RowsQuery {
  readonly segment: Segment;
  readonly block: number;
  readonly rows: ReadonlySet<number>;
  readonly query: SearchQuery;
}

/** Decodes the rows that the columns let through, and asks for what no column holds. */
function readRows({ segment, block, rows, query }: RowsQuery): readonly FoundSpan[] {
  const bytes = segment.spans(block);
  if (bytes === undefined) return [];
  const found: FoundSpan[] = [];
  let last: SpanContext | undefined;
  let service = "";
  let resource: ReadonlyMap<string, AttributeValue> = new Map();
  const isWanted = (row: number): boolean => rows.has(row);
  visitRows(bytes, isWanted, (span, context) => {
    if (context !== last) {
      last = context;
      const name = serviceNameIn(context.resource);
      service =
        name === undefined
          ? ""
          : new TextDecoder().decode(name.bytes.subarray(name.start, name.end));
      if (query.attributes.length > 0) resource = attributesOf(context.resource, 1);
    }
    // Names that got no number in this segment are compared here.
    if (query.service !== undefined && service !== query.service) return;
    if (query.operation !== undefined && span.name !== query.operation) return;
    if (!hasAttributes(span, resource, query)) return;
    found.push(foundSpan(span, service));
  });
  return found;
}

function hasAttributes(
  span: SpanView,
  resource: ReadonlyMap<string, AttributeValue>,
  { attributes }: SearchQuery,
): boolean {
  if (attributes.length === 0) return true;
  const own = span.attributes();
  return attributes.every(({ key, value }) => {
    const actual = own.has(key) ? own.get(key) : resource.get(key);
    if (actual === undefined) return false;
    return value === undefined || String(actual) === value;
  });
}

export function foundSpan(span: SpanView, service: string): FoundSpan {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    service,
    name: span.name,
    kind: span.kind,
    status: span.statusCode,
    startUs: microsecondsAt(span.bytes, span.startTimeAt),
    durationNs: span.durationNs,
  };
}
