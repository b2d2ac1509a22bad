// SPDX-License-Identifier: Apache-2.0
import type { OwnExporter, OwnOtlpExporter } from "../config/telemetry-otlp.ts";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { type OtlpSignal, REQUESTS } from "../pdata/requests.ts";
import { compress } from "./compression.ts";
import { userAgent } from "./export-log.ts";
import { GrpcClient } from "./grpc-client.ts";
import { GRPC, grpcCodeName } from "./grpc-status.ts";
import { HttpClient } from "./http-client.ts";
import { loadClientTls } from "./tls.ts";

/** Takes requests of the agent's own telemetry. */
export interface OwnSink {
  /** `request` in the form of OTLP/JSON. Rejects when it did not arrive before `signal` aborts. */
  send(signal: OtlpSignal, request: object, abort: AbortSignal): Promise<void>;
  close(): void;
}

const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 16_000;
const RETRYABLE_HTTP: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const RETRYABLE_GRPC: ReadonlySet<number> = new Set([
  GRPC.canceled,
  GRPC.deadlineExceeded,
  GRPC.aborted,
  GRPC.outOfRange,
  GRPC.unavailable,
  GRPC.dataLoss,
]);
const IDLE_MS = 90_000;

/** What one try gave: undefined when it arrived. */
interface Failure {
  readonly message: string;
  readonly retryable: boolean;
}

interface Transport {
  post(signal: OtlpSignal, body: Body, abort: AbortSignal): Promise<Failure | undefined>;
  close(): void;
}

interface Body {
  readonly json: string;
  /** The same as protobuf. */
  readonly bytes: Uint8Array;
}

export function createOwnSink(
  { otlp }: OwnExporter,
  options: { readonly version: string; readonly print: (line: string) => void },
): OwnSink {
  if (otlp === undefined) {
    return {
      send: async (_signal, request) => options.print(`${JSON.stringify(request)}\n`),
      close: () => undefined,
    };
  }
  let transport: Promise<Transport> | undefined;
  return {
    send: async (signal, request, abort) => {
      const json = JSON.stringify(request);
      const encoded = fromOtlpJson(REQUESTS[signal].request, json);
      if (!encoded.ok) throw new Error(`own telemetry is no OTLP: ${encoded.message}`);
      transport ??= connect(otlp, options.version);
      await untilSent(await transport, signal, { json, bytes: encoded.bytes }, abort);
    },
    close: () => {
      transport?.then(
        (made) => made.close(),
        () => undefined,
      );
    },
  };
}

async function untilSent(
  transport: Transport,
  signal: OtlpSignal,
  body: Body,
  abort: AbortSignal,
): Promise<void> {
  for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)) {
    const failure = await transport.post(signal, body, abort);
    if (failure === undefined) return;
    if (!failure.retryable || abort.aborted) throw new Error(failure.message);
    if (!(await elapsed(waitMs, abort))) throw new Error(failure.message);
  }
}

/** False when `abort` ended the wait. */
function elapsed(waitMs: number, abort: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (isElapsed: boolean): void => {
      clearTimeout(timer);
      abort.removeEventListener("abort", onAbort);
      resolve(isElapsed);
    };
    const onAbort = (): void => done(false);
    const timer = setTimeout(() => done(true), waitMs);
    abort.addEventListener("abort", onAbort, { once: true });
  });
}

async function connect(config: OwnOtlpExporter, version: string): Promise<Transport> {
  const tls = config.isPlain
    ? undefined
    : await loadClientTls({
        ca_file: config.caFile,
        cert_file: config.certFile,
        key_file: config.keyFile,
        insecure_skip_verify: false,
        server_name_override: "",
      });
  const headers = Object.fromEntries(
    [...config.headers].map(([name, value]) => [name.toLowerCase(), value.reveal()]),
  );
  const link = { config, tls, headers, agent: userAgent(version) };
  return config.protocol === "grpc" ? overGrpc(link) : overHttp(link);
}

interface Link {
  readonly config: OwnOtlpExporter;
  readonly tls: Awaited<ReturnType<typeof loadClientTls>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: string;
}

function overGrpc({ config, tls, headers, agent }: Link): Transport {
  const { endpoint, compression, timeoutMs } = config;
  const client = new GrpcClient({
    host: endpoint.hostname.replace(/^\[|\]$/g, ""),
    port: Number(endpoint.port || (config.isPlain ? 80 : 443)),
    tls,
    compression,
    headers,
    userAgent: agent,
    authority: undefined,
  });
  return {
    post: async (signal, { bytes }, abort) => {
      const timed = withLimit(abort, timeoutMs);
      const call = { timeoutMs, signal: timed };
      const { code, message } = await client.unary(REQUESTS[signal].grpcPath, [bytes], call);
      if (code === GRPC.ok) return undefined;
      const retryable = RETRYABLE_GRPC.has(code);
      return { message: `${grpcCodeName(code)}: ${message}`, retryable };
    },
    close: () => client.close(),
  };
}

function overHttp({ config, tls, headers, agent }: Link): Transport {
  const { endpoint, compression, timeoutMs, protocol } = config;
  const client = new HttpClient({ tls, idleTimeoutMs: IDLE_MS, idleSocketsMax: 1 });
  const isJson = protocol === "http/json";
  const sent = {
    "user-agent": agent,
    ...headers,
    "content-type": isJson ? "application/json" : "application/x-protobuf",
    ...(compression === "none" ? {} : { "content-encoding": compression }),
  };
  return {
    post: async (signal, { json, bytes }, abort) => {
      // As for traces the Collector takes a path as it is, and adds the signal's to a bare host.
      const isBare = endpoint.pathname === "/" || endpoint.pathname === "";
      const url = isBare ? new URL(REQUESTS[signal].httpPath, endpoint) : endpoint;
      const body = await compress(compression, isJson ? Buffer.from(json) : bytes);
      try {
        const { status } = await client.post(url, sent, body, withLimit(abort, timeoutMs));
        if (status >= 200 && status < 300) return undefined;
        return { message: `HTTP status ${status}`, retryable: RETRYABLE_HTTP.has(status) };
      } catch (error) {
        const message = error instanceof Error ? error.message || error.name : String(error);
        return { message, retryable: true };
      }
    },
    close: () => client.close(),
  };
}

function withLimit(abort: AbortSignal, timeoutMs: number): AbortSignal {
  return timeoutMs === 0 ? abort : AbortSignal.any([abort, AbortSignal.timeout(timeoutMs)]);
}
