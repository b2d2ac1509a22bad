// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  METRIC_DB_CLIENT_OPERATION_DURATION,
} from "@opentelemetry/semantic-conventions";
import { ATTR_DB_RESPONSE_RETURNED_ROWS } from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../model/attribute.ts";
import type { Description, PooledExchange } from "./pooled-exchange.ts";

/** What an operation on a store of named things tells; empty and -1 are left out of the span. */
export interface StoreDetails {
  operation: string;
  /** What it is applied to, obfuscated unless raw statements are wanted. */
  text: string;
  /** As the system writes it, of errors only. */
  status: string;
  rows: number;
  /** For the parser: which request it is. */
  code: number;
}

export type StoreExchange = PooledExchange<StoreDetails>;

const KEYS = {
  system: attributeKey(ATTR_DB_SYSTEM_NAME),
  operation: attributeKey(ATTR_DB_OPERATION_NAME),
  text: attributeKey(ATTR_DB_QUERY_TEXT),
  status: attributeKey(ATTR_DB_RESPONSE_STATUS_CODE),
  rows: attributeKey(ATTR_DB_RESPONSE_RETURNED_ROWS),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

/**
 * By https://opentelemetry.io/docs/specs/semconv/db/database-spans/, for directories and
 * coordination services: the conventions have none of their own for these.
 */
export function storeDescription(system: string): Description<StoreDetails> {
  return {
    createDetails: () => ({ operation: "", text: "", status: "", rows: -1, code: 0 }),
    resetDetails: (details) => {
      details.operation = "";
      details.text = "";
      details.status = "";
      details.rows = -1;
      details.code = 0;
    },
    describe: (exchange, sink) => describe(system, exchange, sink),
    measure: (exchange, sink) => {
      if (exchange.role !== "client") return;
      sink.instrument(METRIC_DB_CLIENT_OPERATION_DURATION);
      describeShared(system, exchange, sink);
    },
  };
}

function describe(system: string, exchange: StoreExchange, sink: SpanSink): void {
  const { operation, text, rows } = exchange.details;
  sink.name(operation === "" ? system : operation);
  describeShared(system, exchange, sink);
  if (text !== "") sink.string(KEYS.text, text);
  if (rows >= 0) sink.int(KEYS.rows, rows);
  if (exchange.errorType !== "") sink.error("");
}

function describeShared(
  system: string,
  exchange: StoreExchange,
  sink: AttributeSink & (SpanSink | MeasurementSink),
): void {
  const { operation, status } = exchange.details;
  sink.string(KEYS.system, system);
  if (operation !== "") sink.string(KEYS.operation, operation);
  if (status !== "") sink.string(KEYS.status, status);
  if (exchange.errorType !== "") sink.string(KEYS.errorType, exchange.errorType);
}
