// SPDX-License-Identifier: Apache-2.0
/** A span of Zipkin's version 2 (openzipkin/zipkin-api, zipkin2-api.yaml and zipkin.proto). */
export interface ZipkinSpan {
  /** 16 or 32 hex digits. */
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string | undefined;
  readonly kind?: ZipkinKind | undefined;
  readonly name?: string | undefined;
  /** Microseconds since 1970. */
  readonly timestamp?: number | undefined;
  /** Microseconds. */
  readonly duration?: number | undefined;
  readonly localEndpoint?: ZipkinEndpoint | undefined;
  readonly remoteEndpoint?: ZipkinEndpoint | undefined;
  readonly annotations?: readonly ZipkinAnnotation[] | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly debug?: boolean | undefined;
  readonly shared?: boolean | undefined;
}

export const ZIPKIN_KINDS = ["CLIENT", "SERVER", "PRODUCER", "CONSUMER"] as const;
export type ZipkinKind = (typeof ZIPKIN_KINDS)[number];

export interface ZipkinEndpoint {
  readonly serviceName?: string | undefined;
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly port?: number | undefined;
}

export interface ZipkinAnnotation {
  /** Microseconds since 1970. */
  readonly timestamp: number;
  readonly value: string;
}

/** SpanKind of opentelemetry-proto by Zipkin's, and back. */
export const OTLP_KIND: Readonly<Record<ZipkinKind, number>> = {
  SERVER: 2,
  CLIENT: 3,
  PRODUCER: 4,
  CONSUMER: 5,
};

/** Tags that stand for what Zipkin has no place for (OpenTelemetry's mapping to Zipkin). */
export const TAG = {
  statusCode: "otel.status_code",
  error: "error",
  scopeName: "otel.scope.name",
  scopeVersion: "otel.scope.version",
  traceState: "w3c.tracestate",
} as const;
