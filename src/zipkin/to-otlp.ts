// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_NETWORK_LOCAL_ADDRESS,
  ATTR_NETWORK_LOCAL_PORT,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_SERVICE_NAME,
} from "@opentelemetry/semantic-conventions";
import { ATTR_PEER_SERVICE } from "@opentelemetry/semantic-conventions/incubating";
import { OTLP_KIND, TAG, type ZipkinEndpoint, type ZipkinSpan } from "./span.ts";

const KIND_INTERNAL = 1;
const NS_PER_US = 1_000n;
const STATUS: ReadonlyMap<string, number> = new Map([
  ["OK", 1],
  ["ERROR", 2],
]);
const STATUS_ERROR = 2;
const OWN_TAGS: ReadonlySet<string> = new Set<string>([
  TAG.statusCode,
  TAG.scopeName,
  TAG.scopeVersion,
  TAG.traceState,
]);

export interface ToOtlpOptions {
  /** Tags that look like numbers or booleans become such. */
  readonly parseTags: boolean;
}

/** An OTLP/JSON request: a resource for each service, a scope for each instrumentation. */
export function tracesRequestOf(spans: readonly ZipkinSpan[], options: ToOtlpOptions): object {
  const services = new Map<string, Map<string, { scope: object; spans: object[] }>>();
  for (const span of spans) {
    const service = span.localEndpoint?.serviceName ?? "";
    const scopes = services.get(service) ?? new Map();
    services.set(service, scopes);
    const name = span.tags?.[TAG.scopeName] ?? "";
    const version = span.tags?.[TAG.scopeVersion] ?? "";
    const key = `${name}\0${version}`;
    const scope = scopes.get(key) ?? { scope: { name, version }, spans: [] };
    scopes.set(key, scope);
    scope.spans.push(otlpSpan(span, options));
  }
  return {
    resourceSpans: [...services].map(([service, scopes]) => ({
      resource: { attributes: service === "" ? [] : [keyValue(ATTR_SERVICE_NAME, service)] },
      scopeSpans: [...scopes.values()],
    })),
  };
}

function otlpSpan(span: ZipkinSpan, { parseTags }: ToOtlpOptions): object {
  const { tags = {}, kind, annotations = [] } = span;
  const startUs = span.timestamp ?? annotations[0]?.timestamp ?? 0;
  const attributes = Object.entries(tags)
    .filter(([key]) => !OWN_TAGS.has(key))
    .map(([key, value]) => keyValue(key, parseTags ? parsed(value) : value));
  return {
    traceId: span.traceId.padStart(32, "0"),
    spanId: span.id.padStart(16, "0"),
    parentSpanId: span.parentId === undefined ? "" : span.parentId.padStart(16, "0"),
    traceState: tags[TAG.traceState] ?? "",
    name: span.name ?? "",
    kind: kind === undefined ? KIND_INTERNAL : OTLP_KIND[kind],
    startTimeUnixNano: nanosOf(startUs),
    endTimeUnixNano: nanosOf(startUs + (span.duration ?? 0)),
    attributes: [
      ...attributes,
      ...endpointAttributes(span.localEndpoint, {
        address: ATTR_NETWORK_LOCAL_ADDRESS,
        port: ATTR_NETWORK_LOCAL_PORT,
      }),
      ...endpointAttributes(span.remoteEndpoint, {
        service: ATTR_PEER_SERVICE,
        address: ATTR_NETWORK_PEER_ADDRESS,
        port: ATTR_NETWORK_PEER_PORT,
      }),
    ],
    events: annotations.map(({ timestamp, value }) => ({
      timeUnixNano: nanosOf(timestamp),
      name: value,
    })),
    status: statusOf(tags),
  };
}

function statusOf(tags: Readonly<Record<string, string>>): object {
  const code = STATUS.get(tags[TAG.statusCode] ?? "");
  const error = tags[TAG.error];
  if (code !== undefined && code !== STATUS_ERROR) return { code };
  if (code === undefined && (error === undefined || error === "false")) return {};
  return { code: STATUS_ERROR, message: error === "true" ? "" : (error ?? "") };
}

function endpointAttributes(
  endpoint: ZipkinEndpoint | undefined,
  names: { readonly service?: string; readonly address: string; readonly port: string },
): object[] {
  if (endpoint === undefined) return [];
  const { serviceName, ipv4, ipv6, port } = endpoint;
  const address = ipv4 ?? ipv6;
  const { service } = names;
  return [
    service === undefined || serviceName === undefined ? [] : keyValue(service, serviceName),
    address === undefined ? [] : keyValue(names.address, address),
    port === undefined || port === 0 ? [] : keyValue(names.port, port),
  ].flat();
}

function nanosOf(us: number): string {
  return String(BigInt(Math.round(us)) * NS_PER_US);
}

function parsed(value: string): string | number | boolean {
  if (value === "true" || value === "false") return value === "true";
  const number = /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  return Number.isFinite(number) && String(number) === value ? number : value;
}

function keyValue(key: string, value: string | number | boolean): object {
  if (typeof value === "string") return { key, value: { stringValue: value } };
  if (typeof value === "boolean") return { key, value: { boolValue: value } };
  const isWhole = Number.isSafeInteger(value);
  return { key, value: isWhole ? { intValue: String(value) } : { doubleValue: value } };
}
