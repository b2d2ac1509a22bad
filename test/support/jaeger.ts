// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./eventually.ts";
import { freePorts, listeningPorts } from "./proc-net.ts";
import { startProcess } from "./process.ts";

const FOLDER = join(import.meta.dirname, "..", "jaeger");

/** A span as Jaeger's query API shows it. */
export interface JaegerSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root, or where Jaeger does not know the parent. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly service: string;
  readonly tags: ReadonlyMap<string, unknown>;
  /** What Jaeger itself found odd, such as an invalid parent. */
  readonly warnings: readonly string[];
}

export interface Jaeger {
  readonly pid: number;
  /** `HOST:PORT` for OTLP over gRPC, without TLS. */
  readonly otlpGrpcEndpoint: string;
  /** `http://127.0.0.1:PORT` for OTLP over HTTP. */
  readonly otlpHttpEndpoint: string;
  readonly queryUrl: string;
  services(): Promise<readonly string[]>;
  /** The newest traces with a span of this service, up to `limit` (default 1000). */
  traces(service: string, limit?: number): Promise<readonly (readonly JaegerSpan[])[]>;
  output(): string;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a Jaeger with its traces in memory, on free ports of 127.0.0.1, and waits until it
 * answers. Builds it when it is not in the cache: see test/jaeger/README.md.
 */
export async function startJaeger(): Promise<Jaeger> {
  const { stdout } = await promisify(execFile)(join(FOLDER, "build.sh"));
  const [grpc = 0, http = 0, query = 0, queryGrpc = 0] = await freePorts(4);
  const otlpGrpcEndpoint = `127.0.0.1:${grpc}`;
  const child = await startProcess({
    command: stdout.trim(),
    args: ["--config", join(FOLDER, "config.yaml")],
    env: {
      JAEGER_OTLP_GRPC_ENDPOINT: otlpGrpcEndpoint,
      JAEGER_OTLP_HTTP_PORT: String(http),
      JAEGER_QUERY_HTTP_PORT: String(query),
      JAEGER_QUERY_GRPC_PORT: String(queryGrpc),
    },
    readyPort: query,
    readyTimeoutMs: 60_000,
  });
  const wanted = [grpc, http, query];
  await eventually(
    async () => listeningPorts(child.pid),
    (ports) => wanted.every((port) => ports.includes(port)),
  );
  const queryUrl = `http://127.0.0.1:${query}`;
  const stop = async (): Promise<void> => {
    await child.stop();
  };
  return {
    pid: child.pid,
    otlpGrpcEndpoint,
    otlpHttpEndpoint: `http://127.0.0.1:${http}`,
    queryUrl,
    services: async () => (await ask(`${queryUrl}/api/services`)).map(String).sort(),
    traces: async (service, limit = 1000) => {
      const wanted = new URLSearchParams({ service, limit: String(limit) });
      return (await ask(`${queryUrl}/api/traces?${wanted}`)).map(spansOf);
    },
    output: () => child.output(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** The member `data` of an answer of the query API. */
async function ask(url: string): Promise<readonly unknown[]> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text.slice(0, 300)}`);
  return list(record(JSON.parse(text))["data"]);
}

function spansOf(trace: unknown): readonly JaegerSpan[] {
  const { spans, processes } = record(trace);
  const processOf = record(processes);
  return list(spans).map((one) => {
    const span = record(one);
    const references = list(span["references"]).map(record);
    const parent = references.find((reference) => reference["refType"] === "CHILD_OF");
    return {
      traceId: String(span["traceID"]),
      spanId: String(span["spanID"]),
      parentSpanId: String(parent?.["spanID"] ?? ""),
      name: String(span["operationName"]),
      service: String(record(processOf[String(span["processID"])])["serviceName"]),
      tags: new Map(list(span["tags"]).map((tag) => tagOf(record(tag)))),
      warnings: list(span["warnings"]).map(String),
    };
  });
}

function tagOf(tag: Readonly<Record<string, unknown>>): readonly [string, unknown] {
  return [String(tag["key"]), tag["value"]];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value))
    : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
