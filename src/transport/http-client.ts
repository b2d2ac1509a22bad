// SPDX-License-Identifier: Apache-2.0
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { ConnectionOptions } from "node:tls";

export interface HttpClientOptions {
  readonly tls: ConnectionOptions | undefined;
  /** Idle connections are closed after this time. */
  readonly idleTimeoutMs: number;
  /** Connections kept open and unused. */
  readonly idleSocketsMax: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Value of a header by its lower-case name. */
  header(name: string): string | undefined;
  /** At most 64 KiB; the rest is not read. */
  readonly body: Uint8Array;
}

const ANSWER_BYTES_MAX = 64 * 1024;

/** Posts bodies over HTTP/1.1 connections that are kept open. */
export class HttpClient {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: HttpClientOptions) {
    const shared = {
      keepAlive: true,
      maxFreeSockets: options.idleSocketsMax,
      timeout: options.idleTimeoutMs,
      scheduling: "lifo" as const,
    };
    this.#http = new HttpAgent(shared);
    this.#https = new HttpsAgent({ ...shared, ...options.tls });
  }

  /** Rejects when no answer comes: the connection failed or `signal` aborted. */
  post(
    url: URL,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const isPlain = url.protocol === "http:";
    const options = {
      method: "POST",
      headers: { ...headers, "content-length": String(body.length) },
      agent: isPlain ? this.#http : this.#https,
      signal,
    };
    const onAnswer = (answer: IncomingMessage): void => collect(answer, resolve, reject);
    const request = isPlain
      ? httpRequest(url, options, onAnswer)
      : httpsRequest(url, options, onAnswer);
    request.on("error", reject);
    request.end(body);
    return promise;
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

function collect(
  answer: IncomingMessage,
  resolve: (answer: HttpAnswer) => void,
  reject: (error: Error) => void,
): void {
  const chunks: Uint8Array[] = [];
  let received = 0;
  const finish = (): void => {
    resolve({
      status: answer.statusCode ?? 0,
      header: (name) => {
        const value = answer.headers[name];
        return Array.isArray(value) ? value[0] : value;
      },
      body: Buffer.concat(chunks),
    });
  };
  answer.on("data", (chunk: Uint8Array) => {
    if (received + chunk.length > ANSWER_BYTES_MAX) {
      finish();
      answer.destroy();
      return;
    }
    received += chunk.length;
    chunks.push(chunk);
  });
  answer.on("end", finish);
  answer.on("error", reject);
}
