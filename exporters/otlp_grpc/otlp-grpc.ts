// SPDX-License-Identifier: Apache-2.0
import { type ClientAuthenticator, clientAuthenticator } from "../../src/component/auth.ts";
import type { Exporter, ExporterSettings, Host } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { decodePartialSuccess } from "../../src/pdata/partial-success.ts";
import { isOtlpSignal, type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { createQueuedExporter } from "../../src/pipeline/export-helper.ts";
import { logPartialSuccess, userAgent } from "../../src/transport/export-log.ts";
import { GrpcClient } from "../../src/transport/grpc-client.ts";
import { GRPC, type GrpcStatus, grpcCodeName } from "../../src/transport/grpc-status.ts";
import type { ClientKeepalive } from "../../src/transport/http2-connection.ts";
import { loadClientTls } from "../../src/transport/tls.ts";
import type { OtlpGrpcConfig } from "./config.ts";

const RETRYABLE: ReadonlySet<number> = new Set([
  GRPC.canceled,
  GRPC.deadlineExceeded,
  GRPC.aborted,
  GRPC.outOfRange,
  GRPC.unavailable,
  GRPC.dataLoss,
]);

/** Sends a signal's batches over gRPC, as the bytes that they are. */
export function createOtlpGrpcExporter(
  settings: ExporterSettings,
  config: OtlpGrpcConfig,
): Exporter {
  const { signal } = settings;
  if (!isOtlpSignal(signal)) throw new AgentError("BS_CONFIG", `otlp_grpc has no ${signal}`);
  const own = ownHeaders(config);
  let client: GrpcClient | undefined;
  let authenticator: ClientAuthenticator | undefined;
  const start = async (host: Host): Promise<void> => {
    authenticator = clientAuthenticator(host, config.auth);
    client = await connect(settings, config);
  };
  const shutdown = async (): Promise<void> => client?.close();
  const push = async (batch: Batch, abort: AbortSignal): Promise<void> => {
    if (client === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    const headers = await authenticator?.authorization({ headers: own, metadata: batch.metadata });
    const options = { timeoutMs: config.timeout, signal: abort, headers };
    const result = await client.unary(REQUESTS[signal].grpcPath, batch.chunks, options);
    if (result.code !== GRPC.ok) throw exportError(result);
    reportPartialSuccess(settings, signal, result.body);
  };
  const helper = {
    timeoutMs: config.timeout,
    sendingQueue: config.sending_queue,
    retryOnFailure: config.retry_on_failure,
  };
  return createQueuedExporter(settings, helper, push, { start, shutdown });
}

/** gRPC's own lower bound: servers end connections that are pinged more often. */
const PING_MIN_MS = 10_000;

function keepaliveOf({ keepalive }: OtlpGrpcConfig): ClientKeepalive | undefined {
  if (keepalive === undefined || keepalive === null || keepalive.time === 0) return undefined;
  return {
    timeMs: Math.max(keepalive.time, PING_MIN_MS),
    timeoutMs: keepalive.timeout,
    permitWithoutStream: keepalive.permit_without_stream,
  };
}

function ownHeaders({ headers }: OtlpGrpcConfig): Readonly<Record<string, string>> {
  const pairs = [...headers].map(([name, value]) => [name.toLowerCase(), value.reveal()]);
  return Object.fromEntries(pairs);
}

async function connect(settings: ExporterSettings, config: OtlpGrpcConfig): Promise<GrpcClient> {
  const { endpoint, tls } = config;
  const isPlain = endpoint.scheme === "http" || (tls.insecure && endpoint.scheme !== "https");
  return new GrpcClient({
    host: endpoint.host === "" ? "localhost" : endpoint.host,
    port: endpoint.port,
    tls: isPlain ? undefined : await loadClientTls(tls),
    compression: config.compression,
    headers: ownHeaders(config),
    userAgent: config.user_agent || userAgent(settings.buildInfo.version),
    authority: config.authority || undefined,
    keepalive: keepaliveOf(config),
  });
}

function reportPartialSuccess(
  settings: ExporterSettings,
  signal: OtlpSignal,
  body: Uint8Array,
): void {
  if (body.length === 0) return;
  logPartialSuccess(settings.telemetry.logger, signal, decodePartialSuccess(body));
}

/** The Collector's table: ResourceExhausted is worth a retry only when the server says when. */
function exportError(status: GrpcStatus): AgentError {
  const { code, message, retryAfterMs } = status;
  const isThrottled = code === GRPC.resourceExhausted && retryAfterMs !== undefined;
  return new AgentError("BS_EXPORT", `rpc error: code = ${grpcCodeName(code)} desc = ${message}`, {
    retryable: RETRYABLE.has(code) || isThrottled,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
