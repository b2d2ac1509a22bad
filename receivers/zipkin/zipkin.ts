// SPDX-License-Identifier: Apache-2.0
import type { Observable } from "rxjs";
import { serverAuthenticator } from "../../src/component/auth.ts";
import type { Host, Receiver, ReceiverSettings } from "../../src/component/component.ts";
import type { Batch } from "../../src/model/batch.ts";
import {
  type HttpPost,
  type HttpResponse,
  type HttpRoute,
  HttpServer,
} from "../../src/transport/http-server.ts";
import { SpanIntake } from "../../src/transport/span-intake.ts";
import { loadServerTls } from "../../src/transport/tls.ts";
import { decodeZipkinProto } from "../../src/zipkin/protobuf.ts";
import type { ZipkinSpan } from "../../src/zipkin/span.ts";
import { tracesRequestOf } from "../../src/zipkin/to-otlp.ts";
import type { ZipkinReceiverConfig } from "./config.ts";
import { checked, readZipkinJson } from "./zipkin-json.ts";

const PATH = "/api/v2/spans";
const JSON_TYPE = "application/json";
const PROTOBUF_TYPE = "application/x-protobuf";
const OPEN_BYTES_MAX = 256 * 1024 * 1024;
const RECEIVE_TIMEOUT_MS = 60_000;
const RETRY_AFTER_MS = 1_000;
const TRANSPORT = "http";

/** Takes Zipkin's version 2 over HTTP. */
export class ZipkinReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: ZipkinReceiverConfig;
  readonly #intake: SpanIntake;
  #server: HttpServer | undefined;
  #shutdown: Promise<void> | undefined;
  /** Listened on, once started. */
  port = 0;

  constructor(settings: ReceiverSettings, config: ZipkinReceiverConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#intake = new SpanIntake(settings);
  }

  output(): Observable<Batch> {
    return this.#intake.output;
  }

  async start(host: Host): Promise<void> {
    const { endpoint, tls, auth, cors, max_request_body_size: bodyBytesMax } = this.#config;
    this.#intake.open();
    this.#server = new HttpServer({
      address: endpoint,
      tls: tls === undefined || tls === null ? undefined : await loadServerTls(tls),
      routes: new Map([[PATH, this.#route()]]),
      bodyBytesMax,
      openBytesMax: Math.max(OPEN_BYTES_MAX, bodyBytesMax),
      receiveTimeoutMs: RECEIVE_TIMEOUT_MS,
      authenticator: serverAuthenticator(host, auth),
      cors: cors ?? undefined,
    });
    const { logger } = this.#settings.telemetry;
    logger.info("Starting HTTP server", { endpoint: endpoint.text });
    this.port = await this.#server.start();
  }

  shutdown(signal: AbortSignal): Promise<void> {
    this.#shutdown ??= this.#stop(signal);
    return this.#shutdown;
  }

  async #stop(signal: AbortSignal): Promise<void> {
    await this.#server?.shutdown(signal);
    this.#intake.close();
  }

  #route(): HttpRoute {
    return {
      contentTypes: [JSON_TYPE, PROTOBUF_TYPE],
      handle: (post, respond) => this.#take(post, respond),
      failure: (_type, status, message) => plain(status, message),
    };
  }

  #take(post: HttpPost, respond: (response: HttpResponse) => void): void {
    const spans = spansOf(post);
    if (typeof spans === "string") {
      this.#intake.malformed(TRANSPORT);
      respond(plain(400, spans));
      return;
    }
    if (spans.length === 0) {
      respond(plain(202, ""));
      return;
    }
    const options = { parseTags: this.#config.parse_string_tags };
    const source = { transport: TRANSPORT, sender: post.sender };
    this.#intake.take(tracesRequestOf(spans, options), spans.length, source, (outcome) => {
      if (outcome.kind !== "refused") respond(plain(202, ""));
      else if (!outcome.retryable) respond(plain(500, outcome.message));
      else respond({ ...plain(503, outcome.message), retryAfterMs: RETRY_AFTER_MS });
    });
  }
}

function spansOf({ contentType, body }: HttpPost): readonly ZipkinSpan[] | string {
  if (contentType === JSON_TYPE) return readZipkinJson(body);
  const spans = decodeZipkinProto(body);
  return spans === undefined ? "the body is no zipkin.proto3.ListOfSpans" : checked(spans);
}

function plain(status: number, body: string): HttpResponse {
  return { status, contentType: "text/plain; charset=utf-8", body };
}
