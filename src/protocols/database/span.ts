// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_DB_COLLECTION_NAME,
  ATTR_DB_NAMESPACE,
  ATTR_DB_OPERATION_BATCH_SIZE,
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_QUERY_SUMMARY,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_STORED_PROCEDURE_NAME,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
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
import type { Summary } from "./statement.ts";

const KEYS = {
  system: attributeKey(ATTR_DB_SYSTEM_NAME),
  namespace: attributeKey(ATTR_DB_NAMESPACE),
  operation: attributeKey(ATTR_DB_OPERATION_NAME),
  collection: attributeKey(ATTR_DB_COLLECTION_NAME),
  procedure: attributeKey(ATTR_DB_STORED_PROCEDURE_NAME),
  summary: attributeKey(ATTR_DB_QUERY_SUMMARY),
  text: attributeKey(ATTR_DB_QUERY_TEXT),
  status: attributeKey(ATTR_DB_RESPONSE_STATUS_CODE),
  errorType: attributeKey(ATTR_ERROR_TYPE),
  batchSize: attributeKey(ATTR_DB_OPERATION_BATCH_SIZE),
  returnedRows: attributeKey(ATTR_DB_RESPONSE_RETURNED_ROWS),
} as const;

/** By https://opentelemetry.io/docs/specs/semconv/db/database-spans/ */
export function describeSummary(summary: Summary, sink: SpanSink): void {
  sink.name(spanName(summary));
  describeShared(summary, sink);
  describeText(KEYS.text, summary.facts.text, sink);
  if (summary.status !== "" || summary.failure !== "") sink.error(summary.detail);
}

/** Summary, else operation and target, else target, else system. */
function spanName({ facts, system, namespace }: Summary): string {
  if (facts.summary !== "") return facts.summary;
  const target = facts.collection === "" ? facts.procedure : facts.collection;
  if (facts.operation !== "")
    return target === "" ? facts.operation : `${facts.operation} ${target}`;
  if (target !== "") return target;
  return namespace === "" ? system : namespace;
}

/** By https://opentelemetry.io/docs/specs/semconv/db/database-metrics/ */
export function measureSummary(summary: Summary, sink: MeasurementSink): void {
  sink.instrument(METRIC_DB_CLIENT_OPERATION_DURATION);
  describeShared(summary, sink);
}

/** What no two exchanges need have in common; `rows` -1 when not known, `batchSize` 0 for no batch. */
export function describeCounts(
  counts: { readonly rows: number; readonly batchSize: number },
  sink: SpanSink,
): void {
  if (counts.rows >= 0) sink.int(KEYS.returnedRows, counts.rows);
  // The conventions: a batch of one is no batch.
  if (counts.batchSize > 1) sink.int(KEYS.batchSize, counts.batchSize);
}

function describeShared(summary: Summary, sink: AttributeSink): void {
  const { facts, status, failure } = summary;
  sink.string(KEYS.system, summary.system);
  describeText(KEYS.namespace, summary.namespace, sink);
  describeText(KEYS.operation, facts.operation, sink);
  describeText(KEYS.collection, facts.collection, sink);
  describeText(KEYS.procedure, facts.procedure, sink);
  describeText(KEYS.summary, facts.summary, sink);
  describeText(KEYS.status, status, sink);
  describeText(KEYS.errorType, failure === "" ? status : failure, sink);
}

function describeText(key: AttributeKey, value: string, sink: AttributeSink): void {
  if (value !== "") sink.string(key, value);
}
