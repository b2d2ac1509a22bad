// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_DB_COLLECTION_NAME,
  ATTR_DB_NAMESPACE,
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_QUERY_SUMMARY,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
  METRIC_DB_CLIENT_OPERATION_DURATION,
} from "@opentelemetry/semantic-conventions";
import { ATTR_DB_RESPONSE_RETURNED_ROWS } from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeKey,
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../../model/attribute.ts";
import type { Summary } from "./statements.ts";

const KEYS = {
  system: attributeKey(ATTR_DB_SYSTEM_NAME),
  namespace: attributeKey(ATTR_DB_NAMESPACE),
  operation: attributeKey(ATTR_DB_OPERATION_NAME),
  collection: attributeKey(ATTR_DB_COLLECTION_NAME),
  summary: attributeKey(ATTR_DB_QUERY_SUMMARY),
  text: attributeKey(ATTR_DB_QUERY_TEXT),
  status: attributeKey(ATTR_DB_RESPONSE_STATUS_CODE),
  errorType: attributeKey(ATTR_ERROR_TYPE),
  returnedRows: attributeKey(ATTR_DB_RESPONSE_RETURNED_ROWS),
} as const;

/** By https://opentelemetry.io/docs/specs/semconv/db/postgresql/ */
export function describeSummary(summary: Summary, sink: SpanSink): void {
  const { sql, namespace } = summary;
  const target = namespace === "" ? DB_SYSTEM_NAME_VALUE_POSTGRESQL : namespace;
  sink.name(sql.summary === "" ? target : sql.summary);
  describeShared(summary, sink);
  if (sql.text !== "") sink.string(KEYS.text, sql.text);
  if (summary.status !== "" || summary.failure !== "") sink.error("");
}

/** By https://opentelemetry.io/docs/specs/semconv/db/database-metrics/ */
export function measureSummary(summary: Summary, sink: MeasurementSink): void {
  sink.instrument(METRIC_DB_CLIENT_OPERATION_DURATION);
  describeShared(summary, sink);
}

export function describeRows(rows: number, sink: SpanSink): void {
  if (rows >= 0) sink.int(KEYS.returnedRows, rows);
}

function describeShared(summary: Summary, sink: AttributeSink): void {
  const { sql, namespace, status, failure } = summary;
  sink.string(KEYS.system, DB_SYSTEM_NAME_VALUE_POSTGRESQL);
  describeText(KEYS.namespace, namespace, sink);
  describeText(KEYS.operation, sql.operation, sink);
  describeText(KEYS.collection, sql.collection, sink);
  describeText(KEYS.summary, sql.summary, sink);
  describeText(KEYS.status, status, sink);
  describeText(KEYS.errorType, failure === "" ? status : failure, sink);
}

function describeText(key: AttributeKey, value: string, sink: AttributeSink): void {
  if (value !== "") sink.string(key, value);
}
