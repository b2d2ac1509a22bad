// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_CLIENT_CALL_DURATION,
  METRIC_RPC_SERVER_CALL_DURATION,
} from "@opentelemetry/semantic-conventions";
import {
  type AttributeKey,
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../model/attribute.ts";
import type { Description, PooledExchange } from "./pooled-exchange.ts";

/** What a remote call tells; empty is left out of the span. */
export interface RpcDetails {
  /** With its service, as in `com.example.Shop/buy`. */
  method: string;
  /** As the system names it; that of success, too, where there is one. */
  status: string;
  /** What only this system has: see `RpcSystem.extra`. */
  extra: string;
}

export type RpcExchange = PooledExchange<RpcDetails>;

const KEYS = {
  system: attributeKey(ATTR_RPC_SYSTEM_NAME),
  method: attributeKey(ATTR_RPC_METHOD),
  status: attributeKey(ATTR_RPC_STATUS_CODE),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

export interface RpcSystem {
  /** `rpc.system.name` */
  readonly name: string;
  /** Key of `RpcDetails.extra`. */
  readonly extra?: AttributeKey;
}

/** By https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/ and rpc-metrics. */
export function rpcDescription(system: RpcSystem): Description<RpcDetails> {
  return {
    createDetails: () => ({ method: "", status: "", extra: "" }),
    resetDetails: (details) => {
      details.method = "";
      details.status = "";
      details.extra = "";
    },
    describe: (exchange, sink) => describe(system, exchange, sink),
    measure: (exchange, sink) => measure(system, exchange, sink),
  };
}

function describe(system: RpcSystem, exchange: RpcExchange, sink: SpanSink): void {
  const { details } = exchange;
  sink.name(details.method === "" ? system.name : details.method);
  describeShared(system, exchange, sink);
  if (system.extra !== undefined && details.extra !== "") sink.string(system.extra, details.extra);
  if (exchange.errorType !== "") sink.error("");
}

function measure(system: RpcSystem, exchange: RpcExchange, sink: MeasurementSink): void {
  const isServer = exchange.role === "server";
  sink.instrument(isServer ? METRIC_RPC_SERVER_CALL_DURATION : METRIC_RPC_CLIENT_CALL_DURATION);
  describeShared(system, exchange, sink);
}

function describeShared(system: RpcSystem, exchange: RpcExchange, sink: AttributeSink): void {
  const { method, status } = exchange.details;
  sink.string(KEYS.system, system.name);
  if (method !== "") sink.string(KEYS.method, method);
  if (status !== "") sink.string(KEYS.status, status);
  if (exchange.errorType !== "") sink.string(KEYS.errorType, exchange.errorType);
}

/** Of a service and its method; both may be empty. */
export function methodName(service: string, method: string): string {
  if (service === "" || method === "") return service + method;
  return `${service}/${method}`;
}
