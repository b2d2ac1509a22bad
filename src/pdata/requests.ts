// SPDX-License-Identifier: Apache-2.0
import type { Signal } from "../model/batch.ts";

/** The signals that OTLP carries today with stable messages. */
export type OtlpSignal = Exclude<Signal, "profiles">;

export const OTLP_SIGNALS: readonly OtlpSignal[] = ["traces", "metrics", "logs"];

interface RequestNames {
  readonly request: string;
  readonly response: string;
  /** The gRPC method's path. */
  readonly grpcPath: string;
  /** The default path of OTLP/HTTP. */
  readonly httpPath: string;
  /** Plural in the Collector's metric names: `otelcol_exporter_sent_spans`. */
  readonly items: string;
}

function names(signal: OtlpSignal, service: string, items: string): RequestNames {
  const grpcPath = `/opentelemetry.proto.collector.${signal === "traces" ? "trace" : signal}.v1.${service}Service/Export`;
  return {
    request: `Export${service}ServiceRequest`,
    response: `Export${service}ServiceResponse`,
    grpcPath,
    httpPath: `/v1/${signal}`,
    items,
  };
}

/** How each signal's request is called on the wire (opentelemetry-proto, `collector/…`). */
export const REQUESTS: Readonly<Record<OtlpSignal, RequestNames>> = {
  traces: names("traces", "Trace", "spans"),
  metrics: names("metrics", "Metrics", "metric_points"),
  logs: names("logs", "Logs", "log_records"),
};

export function isOtlpSignal(signal: Signal): signal is OtlpSignal {
  return signal !== "profiles";
}
