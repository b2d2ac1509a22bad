// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  METRIC_DB_CLIENT_OPERATION_DURATION,
} from "@opentelemetry/semantic-conventions";
import { DB_SYSTEM_NAME_VALUE_REDIS } from "@opentelemetry/semantic-conventions/incubating";
import {
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
  text: attributeKey(ATTR_DB_QUERY_TEXT),
  status: attributeKey(ATTR_DB_RESPONSE_STATUS_CODE),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

/** By https://opentelemetry.io/docs/specs/semconv/db/redis/: the name has no `db.namespace`. */
export function describeSummary(summary: Summary, sink: SpanSink): void {
  sink.name(summary.operation === "" ? DB_SYSTEM_NAME_VALUE_REDIS : summary.operation);
  describeShared(summary, sink);
  if (summary.text !== "") sink.string(KEYS.text, summary.text);
  if (summary.status !== "" || summary.failure !== "") sink.error("");
}

/** By https://opentelemetry.io/docs/specs/semconv/db/database-metrics/ */
export function measureSummary(summary: Summary, sink: MeasurementSink): void {
  sink.instrument(METRIC_DB_CLIENT_OPERATION_DURATION);
  describeShared(summary, sink);
}

function describeShared(summary: Summary, sink: AttributeSink): void {
  sink.string(KEYS.system, DB_SYSTEM_NAME_VALUE_REDIS);
  if (summary.operation !== "") sink.string(KEYS.operation, summary.operation);
  if (summary.namespace !== "") sink.string(KEYS.namespace, summary.namespace);
  if (summary.status !== "") sink.string(KEYS.status, summary.status);
  const error = summary.failure === "" ? summary.status : summary.failure;
  if (error !== "") sink.string(KEYS.errorType, error);
}
