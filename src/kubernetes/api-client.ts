// SPDX-License-Identifier: Apache-2.0
import * as http from "node:http";
import * as https from "node:https";
import { AgentError } from "../component/errors.ts";
import type { ClusterAccess } from "./credentials.ts";
import { objectOf, parseJson, textOf } from "./json.ts";

const ANSWER_BYTES_MAX = 256 << 20;
const ERROR_BYTES_MAX = 64 << 10;
/** One object is at most what etcd takes, 1.5 MiB, and some for the event around it. */
const LINE_LENGTH_MAX = 8 << 20;
const REQUEST_TIMEOUT_MS = 30_000;

/** The API server's answer to a request that it refused: an HTTP status, or a watch's ERROR. */
export class ApiStatusError extends Error {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  constructor(status: number, message: string, retryAfterMs?: number) {
    super(message);
    this.name = "ApiStatusError";
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface ApiRequest {
  /** With the query. */
  readonly path: string;
  readonly accept: string;
  readonly signal: AbortSignal;
}

/** GET of lists and watches, over HTTP/1.1 with connections kept. */
export class ApiClient {
  readonly #access: ClusterAccess;
  readonly #base: URL;
  readonly #agent: http.Agent;

  constructor(access: ClusterAccess) {
    this.#access = access;
    this.#base = new URL(access.server);
    const kept = { keepAlive: true, keepAliveMsecs: 15_000, maxFreeSockets: 2 };
    this.#agent = this.#base.protocol === "http:" ? new http.Agent(kept) : new https.Agent(kept);
  }

  /** The parsed answer. Rejects with ApiStatusError when the server refuses. */
  async json(request: ApiRequest): Promise<unknown> {
    const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const signal = AbortSignal.any([request.signal, timeout]);
    const response = await this.#open({ ...request, signal });
    const body = await textOfBody(response, ANSWER_BYTES_MAX);
    const value = parseJson(body);
    if (value === undefined) {
      throw new AgentError("BS_INTERNAL", `${request.path}: the API server's answer is no JSON`);
    }
    return value;
  }

  /**
   * Gives each line of the answer as it comes; resolves when the server ends it. A connection
   * without a byte for `silenceMaxMs` is given up.
   */
  async lines(
    request: ApiRequest & { readonly silenceMaxMs: number },
    onLine: (line: string) => void,
  ): Promise<void> {
    const response = await this.#open(request);
    response.setEncoding("utf8");
    const { silenceMaxMs } = request;
    const silence = setTimeout(() => {
      response.destroy(new Error(`no word from the API server for ${silenceMaxMs} ms`));
    }, silenceMaxMs).unref();
    let rest = "";
    try {
      for await (const chunk of response) {
        silence.refresh();
        rest = eachLine(rest + String(chunk), onLine);
        if (rest.length > LINE_LENGTH_MAX) throw new Error("an event of a watch is too long");
      }
    } finally {
      clearTimeout(silence);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #open(request: ApiRequest): Promise<http.IncomingMessage> {
    let response = await this.#send(request, false);
    if (response.statusCode === 401) {
      response.resume();
      response = await this.#send(request, true);
    }
    const status = response.statusCode ?? 0;
    if (status === 200) return response;
    const body = await textOfBody(response, ERROR_BYTES_MAX).catch(() => "");
    const said = textOf(objectOf(parseJson(body))["message"]) || body.slice(0, 200).trim();
    const after = Number(response.headers["retry-after"]);
    throw new ApiStatusError(
      status,
      said === "" ? `HTTP status ${status}` : said,
      Number.isFinite(after) ? after * 1000 : undefined,
    );
  }

  #send(request: ApiRequest, isRefused: boolean): Promise<http.IncomingMessage> {
    const access = this.#access;
    const authorization = access.authorization(isRefused);
    const headers = { accept: request.accept, ...(authorization && { authorization }) };
    const prefix = this.#base.pathname.replace(/\/$/, "");
    const isPlain = this.#base.protocol === "http:";
    return new Promise((resolve, reject) => {
      const options: https.RequestOptions = {
        host: this.#base.hostname.replace(/^\[|\]$/g, ""),
        port: this.#base.port || (isPlain ? 80 : 443),
        path: prefix + request.path,
        headers,
        agent: this.#agent,
        signal: request.signal,
        ...(isPlain ? {} : tlsOptions(access)),
      };
      const sent = (isPlain ? http : https).request(options, resolve);
      sent.on("error", reject).end();
    });
  }
}

/** Gives all complete lines on; returns what is left. */
function eachLine(text: string, onLine: (line: string) => void): string {
  let from = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
    if (at > from) onLine(text.slice(from, at));
    from = at + 1;
  }
  return from === 0 ? text : text.slice(from);
}

function tlsOptions(access: ClusterAccess): https.RequestOptions {
  return {
    rejectUnauthorized: !access.skipsVerify,
    ...(access.ca && { ca: access.ca }),
    ...(access.clientCertificate && { cert: access.clientCertificate }),
    ...(access.clientKey && { key: access.clientKey }),
    ...(access.serverName && { servername: access.serverName }),
  };
}

async function textOfBody(response: http.IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > bytesMax)
      throw new Error(`the API server's answer has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
