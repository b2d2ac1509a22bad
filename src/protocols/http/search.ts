// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_DB_COLLECTION_NAME,
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  METRIC_DB_CLIENT_OPERATION_DURATION,
} from "@opentelemetry/semantic-conventions";
import {
  DB_SYSTEM_NAME_VALUE_ELASTICSEARCH,
  DB_SYSTEM_NAME_VALUE_OPENSEARCH,
} from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../../model/attribute.ts";
import { describeAuthority } from "./describe-authority.ts";
import type { HttpExchange } from "./exchange.ts";
import { METHOD_NAMES } from "./methods.ts";
import type { Operation, OperationTable } from "./operation.ts";
import type { Summary } from "./span.ts";

export const PRODUCT_NONE = 0;
export const PRODUCT_ELASTICSEARCH = 1;
export const PRODUCT_OPENSEARCH = 2;

const KEYS = {
  system: attributeKey(ATTR_DB_SYSTEM_NAME),
  operation: attributeKey(ATTR_DB_OPERATION_NAME),
  collection: attributeKey(ATTR_DB_COLLECTION_NAME),
  status: attributeKey(ATTR_DB_RESPONSE_STATUS_CODE),
  method: attributeKey(ATTR_HTTP_REQUEST_METHOD),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

/** An index, a data stream, an alias, or a list of them; dates and wildcards included. */
const COLLECTION = /^[a-z0-9.+*,][a-z0-9._+*,-]*$/;
const SEGMENTS_MAX = 5;

/** `_endpoint` to the endpoint's identifier, whatever the method. */
const ENDPOINTS: ReadonlyMap<string, string> = new Map([
  ["_search", "search"],
  ["_msearch", "msearch"],
  ["_bulk", "bulk"],
  ["_count", "count"],
  ["_mget", "mget"],
  ["_create", "create"],
  ["_update", "update"],
  ["_update_by_query", "update_by_query"],
  ["_delete_by_query", "delete_by_query"],
  ["_reindex", "reindex"],
  ["_explain", "explain"],
  ["_field_caps", "field_caps"],
  ["_termvectors", "termvectors"],
  ["_search_template", "search_template"],
  ["_refresh", "indices.refresh"],
  ["_flush", "indices.flush"],
  ["_forcemerge", "indices.forcemerge"],
  ["_analyze", "indices.analyze"],
  ["_open", "indices.open"],
  ["_close", "indices.close"],
  ["_stats", "indices.stats"],
  ["_aliases", "indices.update_aliases"],
  ["_rollover", "indices.rollover"],
  ["_sql", "sql.query"],
]);

/** The same, where it depends on the method: GET (and HEAD when `exists` is missing), PUT or POST, DELETE. */
interface ByMethod {
  readonly get?: string;
  readonly put?: string;
  readonly delete?: string;
  readonly exists?: string;
}

const BY_METHOD: ReadonlyMap<string, ByMethod> = new Map([
  ["_doc", { get: "get", put: "index", delete: "delete", exists: "exists" }],
  ["_source", { get: "get_source", exists: "exists_source" }],
  ["_mapping", { get: "indices.get_mapping", put: "indices.put_mapping" }],
  ["_settings", { get: "indices.get_settings", put: "indices.put_settings" }],
  [
    "_alias",
    { get: "indices.get_alias", put: "indices.put_alias", delete: "indices.delete_alias" },
  ],
  ["_pit", { put: "open_point_in_time", delete: "close_point_in_time" }],
  [
    "",
    {
      get: "indices.get",
      put: "indices.create",
      delete: "indices.delete",
      exists: "indices.exists",
    },
  ],
]);

/** Namespaces whose second segment is part of the identifier: `/_cat/indices`, `/_cluster/health`. */
const NAMESPACES: ReadonlySet<string> = new Set([
  "_cat",
  "_cluster",
  "_nodes",
  "_tasks",
  "_snapshot",
]);
const NAMESPACED = /^[a-z_]+$/;

const LETTER_E = 0x65;
const LETTER_G = 0x67;
const LETTER_O = 0x6f;

/** What the response's X-Elastic-Product, or the request's User-Agent, says. */
export function productOf(bytes: Uint8Array, start: number, end: number): number {
  // Nearly every request has a User-Agent: of most not even a string is made.
  const initial = (bytes[start] ?? 0) | 0x20;
  if (initial !== LETTER_E && initial !== LETTER_G && initial !== LETTER_O) return PRODUCT_NONE;
  const value = new TextDecoder("latin1").decode(bytes.subarray(start, Math.min(end, start + 32)));
  if (/^(elasticsearch|elastic-transport|go-elasticsearch)/i.test(value)) {
    return PRODUCT_ELASTICSEARCH;
  }
  return /^opensearch-/i.test(value) ? PRODUCT_OPENSEARCH : PRODUCT_NONE;
}

/** Undefined for a path that is none of the API's that we know. */
export function searchOperation(
  exchange: HttpExchange,
  operations: OperationTable,
): Operation | undefined {
  const { target, pathStart, pathEnd, methodIndex } = exchange;
  const path = new TextDecoder("latin1").decode(target.subarray(pathStart, pathEnd));
  const segments = path.split("/", SEGMENTS_MAX + 1).slice(1);
  const [first = "", second = ""] = segments;
  if (segments.length > SEGMENTS_MAX) return undefined;
  const method = METHOD_NAMES[methodIndex] ?? "";
  if (first === "") return named(operations, method === "HEAD" ? "ping" : "info", "");
  if (NAMESPACES.has(first)) {
    if (!NAMESPACED.test(second)) return undefined;
    return named(operations, `${first.slice(1)}.${second}`, "");
  }
  if (first === "_search" && second === "scroll") {
    return named(operations, method === "DELETE" ? "clear_scroll" : "scroll", "");
  }
  const isEndpoint = first.startsWith("_") && first !== "_all";
  const name = endpointName(isEndpoint ? first : second, method);
  if (name === undefined) return undefined;
  if (isEndpoint) return named(operations, name, "");
  return COLLECTION.test(first) ? named(operations, name, first) : undefined;
}

function endpointName(endpoint: string, method: string): string | undefined {
  const plain = ENDPOINTS.get(endpoint);
  if (plain !== undefined) return plain;
  const names = BY_METHOD.get(endpoint);
  if (method === "GET") return names?.get;
  if (method === "HEAD") return names?.exists ?? names?.get;
  if (method === "DELETE") return names?.delete;
  return method === "PUT" || method === "POST" ? names?.put : undefined;
}

function named(
  operations: OperationTable,
  name: string,
  collection: string,
): Operation | undefined {
  return operations.byName(name, collection, collection === "" ? name : `${name} ${collection}`);
}

/** By https://opentelemetry.io/docs/specs/semconv/db/elasticsearch/ */
export function describeSearch(summary: Summary, sink: SpanSink): void {
  sink.name(summary.operation?.spanName ?? systemOf(summary));
  describeOperation(summary, sink);
  sink.string(KEYS.method, METHOD_NAMES[summary.methodIndex] ?? "");
  if (errorOf(summary) !== "") sink.error("");
}

/** By https://opentelemetry.io/docs/specs/semconv/db/database-metrics/ */
export function measureSearch(summary: Summary, sink: MeasurementSink): void {
  sink.instrument(METRIC_DB_CLIENT_OPERATION_DURATION);
  describeOperation(summary, sink);
}

function describeOperation(summary: Summary, sink: AttributeSink): void {
  sink.string(KEYS.system, systemOf(summary));
  const operation = summary.operation;
  if (operation !== undefined) sink.string(KEYS.operation, operation.name);
  if (operation !== undefined && operation.collection !== "") {
    sink.string(KEYS.collection, operation.collection);
  }
  if (summary.status > 0) sink.string(KEYS.status, String(summary.status));
  const error = errorOf(summary);
  if (error !== "") sink.string(KEYS.errorType, error);
  describeAuthority(summary, sink);
}

function systemOf(summary: Summary): string {
  return summary.product === PRODUCT_OPENSEARCH
    ? DB_SYSTEM_NAME_VALUE_OPENSEARCH
    : DB_SYSTEM_NAME_VALUE_ELASTICSEARCH;
}

function errorOf(summary: Summary): string {
  if (summary.failure !== "") return summary.failure;
  return summary.status >= 400 ? String(summary.status) : "";
}
