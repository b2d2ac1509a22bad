// SPDX-License-Identifier: Apache-2.0
import {
  type AttributeValue,
  attributesOf,
  type MessageView,
  type SpanContext,
  type SpanView,
} from "../pdata/span-view.ts";
import {
  AttributeMatcher,
  mayHaveAttributes,
  type WantedAttribute,
  type WantedHashes,
  wantedHashes,
} from "./attribute-filter.ts";
import { durationNsAt, kindOf, startUsAt, statusOf, type TimeColumns } from "./columns.ts";
import { type DetailColumns, idsAt } from "./detail-columns.ts";
import { microsecondsAt } from "./epoch-time.ts";
import { mayLackNumber, NAME_OTHER } from "./name-table.ts";
import type { QueryClock } from "./query-clock.ts";
import { serviceNameIn } from "./resource-name.ts";
import { durationCodeOf, type SearchColumns } from "./search-columns.ts";
import type { Segment } from "./segment.ts";
import type { SegmentNames, StoreReader } from "./store-reader.ts";

const SPAN_ATTRIBUTES = 9;
const RESOURCE_ATTRIBUTES = 1;
const decoder = new TextDecoder();

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
  readonly attributes: readonly WantedAttribute[];
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

/** A segment's numbers for the names that are asked for; -1: any. */
interface Numbers {
  readonly service: number;
  readonly operation: number;
  readonly known: SegmentNames;
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
  const numbers = new Map<Segment, Numbers | undefined>();
  const plan = planOf(query);
  for (const { segment, block, newestUs } of candidates(reader, query)) {
    // Blocks come by their newest span: what follows cannot push out what was found.
    const oldest = found.length < query.limit ? undefined : found[query.limit - 1];
    if ((oldest !== undefined && newestUs < oldest.startUs) || clock.isOver) {
      truncated = true;
      break;
    }
    await clock.breathe();
    if (!numbers.has(segment)) numbers.set(segment, numbersOf(reader, segment, query));
    const known = numbers.get(segment);
    if (known === undefined) continue;
    scanned += segment.blocks.spans(block);
    const newerThanUs = oldest?.startUs ?? -1;
    const some = searchBlock({ segment, block, numbers: known, newerThanUs, plan });
    if (some.length === 0) continue;
    found.push(...some);
    found.sort((one, other) => other.startUs - one.startUs);
    if (found.length > query.limit) {
      truncated = true;
      found.length = query.limit;
    }
  }
  return { spans: found, scanned, truncated };
}

/** A query with what is worked out once. */
interface Plan {
  readonly query: SearchQuery;
  readonly attributes: WantedHashes;
  readonly matcher: AttributeMatcher;
  readonly minCode: number;
  readonly maxCode: number;
}

function planOf(query: SearchQuery): Plan {
  const { minDurationNs = 0, maxDurationNs = Number.POSITIVE_INFINITY } = query;
  const attributes = wantedHashes(query.attributes);
  return {
    query,
    attributes,
    matcher: new AttributeMatcher(attributes),
    minCode: durationCodeOf(minDurationNs),
    maxCode: durationCodeOf(maxDurationNs),
  };
}

interface Candidate {
  readonly segment: Segment;
  readonly block: number;
  readonly newestUs: number;
}

/** Blocks that may hold matches, those with the newest spans first. */
function candidates(reader: StoreReader, query: SearchQuery): readonly Candidate[] {
  const { startUs, endUs, minDurationNs = 0, maxDurationNs, status } = query;
  if (maxDurationNs !== undefined && maxDurationNs < minDurationNs) return [];
  const all: Candidate[] = [];
  for (const segment of reader.segments()) {
    const { blocks } = segment;
    // Nearly the order that is wanted, which is sorted quickly.
    for (let block = blocks.count - 1; block >= 0; block--) {
      const newestUs = blocks.startUsMax(block);
      if (newestUs < startUs || blocks.startUsMin(block) >= endUs) continue;
      if (blocks.durationNsMax(block) < minDurationNs) continue;
      if (status === 2 && blocks.errors(block) === 0) continue;
      all.push({ segment, block, newestUs });
    }
  }
  return all.sort((one, other) => other.newestUs - one.newestUs);
}

/** Undefined when the segment has no span with these names. */
function numbersOf(reader: StoreReader, segment: Segment, query: SearchQuery): Numbers | undefined {
  const known = reader.namesOf(segment);
  const idOf = (name: string | undefined): number | undefined => {
    if (name === undefined) return -1;
    const id = known.ids.get(name);
    return id ?? (mayLackNumber(name, known.ids.size) ? NAME_OTHER : undefined);
  };
  const [service, operation] = [idOf(query.service), idOf(query.operation)];
  return service === undefined || operation === undefined
    ? undefined
    : { service, operation, known };
}

interface BlockQuery {
  readonly segment: Segment;
  readonly block: number;
  readonly numbers: Numbers;
  readonly newerThanUs: number;
  readonly plan: Plan;
}

/** What of a block is found, and newer than what is found already. */
function searchBlock(asked: BlockQuery): readonly FoundSpan[] {
  const { segment, block, numbers, newerThanUs, plan } = asked;
  const { query } = plan;
  const columns = segment.search(block);
  if (columns === undefined || !mayHaveAttributes(columns.attributes, plan.attributes)) return [];
  const rows = rowsThrough(columns, asked);
  const details = rows.length === 0 ? undefined : segment.details(block);
  if (details === undefined) return [];
  let within = rows.filter(
    (row) => startUsAt(details, row) > newerThanUs && isWithin(details, row, query),
  );
  const { known } = numbers;
  const isNamed = within.every((row) => {
    const set = columns.set[row] ?? 0;
    return hasName(known, columns.service[set]) && hasName(known, columns.operation[set]);
  });
  // Whether a span without a number or with an attribute is wanted, only the span itself can tell.
  const isSure = isNamed && query.attributes.length === 0;
  if (isSure && within.length > query.limit) {
    // No more of one block than are asked for, and the newest of them.
    within = within
      .sort((one, other) => startUsAt(details, other) - startUsAt(details, one))
      .slice(0, query.limit);
  }
  return isSure && details.ids !== undefined
    ? within.map((row) => spanOfColumns(columns, { details, row, known }))
    : readRows({ segment, block, rows: new Set(within), plan });
}

function hasName({ names }: SegmentNames, id: number | undefined): boolean {
  return id !== undefined && id < names.length;
}

function isWithin(times: TimeColumns, row: number, query: SearchQuery): boolean {
  const { minDurationNs = 0, maxDurationNs = Number.POSITIVE_INFINITY } = query;
  const startUs = startUsAt(times, row);
  if (startUs < query.startUs || startUs >= query.endUs) return false;
  const durationNs = durationNsAt(times, row);
  return durationNs >= minDurationNs && durationNs <= maxDurationNs;
}

/** Rows of the sets that are wanted, with durations that may be. */
function rowsThrough(columns: SearchColumns, { numbers, plan }: BlockQuery): number[] {
  const { count, set, durations } = columns;
  const isWanted = wantedSets(columns, numbers, plan.query);
  const rows: number[] = [];
  if (isWanted === undefined) return rows;
  const { minCode, maxCode } = plan;
  for (let row = 0; row < count; row++) {
    if (isWanted[set[row] ?? 0] === 0) continue;
    const code = durations?.[row];
    if (code !== undefined && (code < minCode || code > maxCode)) continue;
    rows.push(row);
  }
  return rows;
}

/** 1 for each set that is wanted; undefined when none is. */
function wantedSets(
  { service, operation, flags }: SearchColumns,
  numbers: Numbers,
  { kind, status }: SearchQuery,
): Uint8Array | undefined {
  const wanted = new Uint8Array(flags.length);
  let isAny = false;
  for (let set = 0; set < wanted.length; set++) {
    if (numbers.service >= 0 && service[set] !== numbers.service) continue;
    if (numbers.operation >= 0 && operation[set] !== numbers.operation) continue;
    const flag = flags[set] ?? 0;
    if (kind !== undefined && kindOf(flag) !== kind) continue;
    if (status !== undefined && statusOf(flag) !== status) continue;
    wanted[set] = 1;
    isAny = true;
  }
  return isAny ? wanted : undefined;
}

function spanOfColumns(
  { set, service, operation, flags }: SearchColumns,
  {
    details,
    row,
    known,
  }: { readonly details: DetailColumns; readonly row: number; readonly known: SegmentNames },
): FoundSpan {
  const { ids } = details;
  const place = set[row] ?? 0;
  const flag = flags[place] ?? 0;
  const nameOf = (id: number | undefined): string => known.names[id ?? -1] ?? "";
  return {
    ...(ids === undefined ? { traceId: "", spanId: "", parentSpanId: "" } : idsAt(ids, row)),
    service: nameOf(service[place]),
    name: nameOf(operation[place]),
    kind: kindOf(flag),
    status: statusOf(flag),
    startUs: startUsAt(details, row),
    durationNs: durationNsAt(details, row),
  };
}

interface RowsQuery {
  readonly segment: Segment;
  readonly block: number;
  readonly rows: ReadonlySet<number>;
  readonly plan: Plan;
}

/** Decodes the rows that the columns let through, and asks for what no column holds. */
function readRows({ segment, block, rows, plan }: RowsQuery): readonly FoundSpan[] {
  const spans = rows.size === 0 ? undefined : segment.spans(block);
  if (spans === undefined) return [];
  const { query, matcher } = plan;
  const found: FoundSpan[] = [];
  let last: SpanContext | undefined;
  let service = "";
  let resource: ReadonlyMap<string, AttributeValue> = new Map();
  let metInResource = 0;
  const mayMatch = (span: SpanView, context: SpanContext): boolean => {
    if (context !== last) {
      last = context;
      const view = context.resource;
      service = textOf(serviceNameIn(view));
      if (query.attributes.length > 0) resource = attributesOf(view, RESOURCE_ATTRIBUTES);
      metInResource = matcher.read(view.bytes, view, RESOURCE_ATTRIBUTES);
    }
    return matcher.isAll(metInResource | matcher.read(span.bytes, span, SPAN_ATTRIBUTES));
  };
  const take = (span: SpanView): void => {
    // Names that got no number in this segment are compared here.
    if (query.service !== undefined && service !== query.service) return;
    if (query.operation !== undefined && span.name !== query.operation) return;
    if (hasAttributes(span, resource, query)) found.push(foundSpan(span, service));
  };
  spans.visit(rows, take, mayMatch);
  return found;
}

function textOf(view: MessageView | undefined): string {
  return view === undefined ? "" : decoder.decode(view.bytes.subarray(view.start, view.end));
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
