// SPDX-License-Identifier: Apache-2.0
import { type Observable, Subject, type Subscription } from "rxjs";
import { serverAuthenticator } from "../../src/component/auth.ts";
import type { Host, Receiver, ReceiverSettings } from "../../src/component/component.ts";
import type { Batch, Outcome, Signal } from "../../src/model/batch.ts";
import { isOtlpSignal, OTLP_SIGNALS, type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { validateRequest } from "../../src/pdata/validate.ts";
import { offsetOf } from "../../src/pdata/wire.ts";
import { createReceipt } from "../../src/pipeline/receipt.ts";
import {
  type CallPeer,
  GrpcServer,
  OK,
  type UnaryHandler,
} from "../../src/transport/grpc-server.ts";
import { GRPC, type GrpcStatus } from "../../src/transport/grpc-status.ts";
import { HttpServer } from "../../src/transport/http-server.ts";
import { loadServerTls } from "../../src/transport/tls.ts";
import type { GrpcConfig, HttpConfig, OtlpReceiverConfig } from "./config.ts";
import { otlpRoute } from "./http-route.ts";
import { createTransportCounters, type Transport, type TransportCounters } from "./telemetry.ts";

const MIB = 1024 * 1024;
const MESSAGE_MIB_DEFAULT = 4;
const STREAMS_DEFAULT = 256;
const OPEN_BYTES_MAX = 256 * MIB;
const RECEIVE_TIMEOUT_MS = 60_000;
/** Asked of a client while the pipeline is full. */
const RETRY_AFTER_MS = 1_000;

/** Ends one request. */
export type Done = (status: GrpcStatus) => void;

interface Received {
  readonly transport: Transport;
  readonly body: Uint8Array;
  readonly peer: CallPeer;
  /** Do the batches carry the request's headers? */
  readonly includeMetadata: boolean;
}

/** OTLP over gRPC and HTTP: one pair of servers for all signals. */
export class OtlpReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: OtlpReceiverConfig;
  readonly #outputs: Readonly<Record<OtlpSignal, Subject<Batch>>> = {
    traces: new Subject(),
    metrics: new Subject(),
    logs: new Subject(),
  };
  readonly #counters: Readonly<Record<Transport, TransportCounters>>;
  #grpc: GrpcServer | undefined;
  #http: HttpServer | undefined;
  #demand: Subscription | undefined;
  #isOpen = true;
  #shutdown: Promise<void> | undefined;

  constructor(settings: ReceiverSettings, config: OtlpReceiverConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#counters = {
      grpc: createTransportCounters(settings, "grpc"),
      http: createTransportCounters(settings, "http"),
    };
  }

  output(signal: Signal): Observable<Batch> {
    if (!isOtlpSignal(signal)) throw new TypeError(`otlp has no ${signal}`);
    return this.#outputs[signal];
  }

  async start(host: Host): Promise<void> {
    this.#demand = this.#settings.demand.subscribe((isOpen) => {
      this.#isOpen = isOpen;
    });
    const { grpc, http } = this.#config.protocols;
    try {
      if (grpc !== undefined) await this.#startGrpc(grpc, host);
      if (http !== undefined) await this.#startHttp(http, host);
    } catch (error) {
      await this.shutdown(AbortSignal.abort());
      throw error;
    }
  }

  /** The ports listened on, once started. */
  readonly ports: { grpc?: number; http?: number } = {};

  shutdown(signal: AbortSignal): Promise<void> {
    this.#shutdown ??= this.#stop(signal);
    return this.#shutdown;
  }

  async #stop(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#grpc?.shutdown(signal), this.#http?.shutdown(signal)]);
    this.#demand?.unsubscribe();
    for (const signalName of OTLP_SIGNALS) this.#outputs[signalName].complete();
  }

  #signals(): OtlpSignal[] {
    return OTLP_SIGNALS.filter((signal) => this.#settings.signals.has(signal));
  }

  async #startGrpc(config: GrpcConfig, host: Host): Promise<void> {
    const { include_metadata: includeMetadata } = config;
    const methods = new Map<string, UnaryHandler>();
    for (const signal of this.#signals()) {
      methods.set(REQUESTS[signal].grpcPath, (body, reply, peer) =>
        this.#consume(signal, { transport: "grpc", body, peer, includeMetadata }, reply),
      );
    }
    const messageMib = config.max_recv_msg_size_mib || MESSAGE_MIB_DEFAULT;
    this.#grpc = new GrpcServer({
      address: config.endpoint,
      tls: config.tls === undefined ? undefined : await loadServerTls(config.tls),
      methods,
      messageBytesMax: messageMib * MIB,
      concurrentStreamsMax: config.max_concurrent_streams || STREAMS_DEFAULT,
      openBytesMax: Math.max(OPEN_BYTES_MAX, messageMib * MIB),
      receiveTimeoutMs: RECEIVE_TIMEOUT_MS,
      authenticator: serverAuthenticator(host, config.auth),
      keepalive: config.keepalive,
    });
    const { logger } = this.#settings.telemetry;
    logger.info("Starting GRPC server", { endpoint: config.endpoint.text });
    this.ports.grpc = await this.#grpc.start();
  }

  async #startHttp(config: HttpConfig, host: Host): Promise<void> {
    const { include_metadata: includeMetadata } = config;
    const paths: Readonly<Record<OtlpSignal, string>> = {
      traces: config.traces_url_path,
      metrics: config.metrics_url_path,
      logs: config.logs_url_path,
    };
    const routes = new Map(
      this.#signals().map((signal) => [
        paths[signal],
        otlpRoute(signal, {
          consume: (body, peer, done) =>
            this.#consume(signal, { transport: "http", body, peer, includeMetadata }, done),
          malformed: () => this.#counters.http.malformed.add(1),
        }),
      ]),
    );
    this.#http = new HttpServer({
      address: config.endpoint,
      tls: config.tls === undefined ? undefined : await loadServerTls(config.tls),
      routes,
      bodyBytesMax: config.max_request_body_size,
      openBytesMax: Math.max(OPEN_BYTES_MAX, config.max_request_body_size),
      receiveTimeoutMs: RECEIVE_TIMEOUT_MS,
      authenticator: serverAuthenticator(host, config.auth),
      cors: config.cors ?? undefined,
    });
    const { logger } = this.#settings.telemetry;
    logger.info("Starting HTTP server", { endpoint: config.endpoint.text });
    this.ports.http = await this.#http.start();
  }

  /** Validates one request body, hands it on and answers by what becomes of it. */
  #consume(signal: OtlpSignal, received: Received, done: Done): void {
    const { transport, body, peer } = received;
    const counters = this.#counters[transport];
    const items = validateRequest(signal, body);
    if (items < 0) {
      counters.malformed.add(1);
      const message = `malformed ${REQUESTS[signal].request} at byte ${offsetOf(items)}`;
      done({ code: GRPC.invalidArgument, message });
      return;
    }
    if (items === 0) {
      done(OK);
      return;
    }
    if (!this.#isOpen) {
      counters.refused[signal].add(items);
      const message = "data refused: the pipeline cannot take more now";
      done({ code: GRPC.unavailable, message, retryAfterMs: RETRY_AFTER_MS });
      return;
    }
    const receipt = createReceipt((outcome) => done(statusOf(outcome)));
    const chunks = [body];
    const bytes = body.length;
    const { sender } = peer;
    const batch = { signal, chunks, items, bytes, transport, sender, receipt };
    const isPlain = !received.includeMetadata;
    this.#outputs[signal].next(isPlain ? batch : { ...batch, metadata: metadataOf(peer) });
  }
}

/** Without HTTP/2's own fields. */
function metadataOf({ headers }: CallPeer): Readonly<Record<string, readonly string[]>> {
  const metadata: Record<string, readonly string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !name.startsWith(":")) metadata[name] = [value].flat();
  }
  return metadata;
}

/** What was dropped on purpose needs no second try: it is accepted for the client. */
function statusOf(outcome: Outcome): GrpcStatus {
  if (outcome.kind !== "refused") return OK;
  const { message, retryable, retryAfterMs } = outcome;
  const code = retryable ? GRPC.unavailable : GRPC.internal;
  return retryAfterMs === undefined ? { code, message } : { code, message, retryAfterMs };
}
