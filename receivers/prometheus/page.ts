// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { gunzipSync } from "node:zlib";
import { loadClientTls } from "../../src/transport/tls.ts";
import type { ScrapeConfig } from "./config.ts";

const ACCEPT =
  "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
/** Of a page without `body_size_limit`. */
const BODY_MAX = 256 << 20;
const REDIRECTS_MAX = 10;

export interface Page {
  readonly text: string;
  readonly isOpenMetrics: boolean;
  readonly bytes: number;
}

/** Asks for the pages of one job over connections that are kept open. */
export class PageReader {
  readonly #config: ScrapeConfig;
  readonly #userAgent: string;
  readonly #timeoutMs: number;
  #http: HttpAgent | undefined;
  #https: HttpsAgent | undefined;

  constructor(
    config: ScrapeConfig,
    options: { readonly timeoutMs: number; readonly userAgent: string },
  ) {
    this.#config = config;
    this.#timeoutMs = options.timeoutMs;
    this.#userAgent = options.userAgent;
  }

  /** Rejects when the files of `tls_config` cannot be read. */
  async start(): Promise<void> {
    const tls = this.#config.tls_config;
    this.#http = new HttpAgent({ keepAlive: true });
    const files =
      tls === undefined
        ? {}
        : await loadClientTls({ ...tls, server_name_override: tls.server_name });
    this.#https = new HttpsAgent({ keepAlive: true, ...files });
  }

  close(): void {
    this.#http?.destroy();
    this.#https?.destroy();
  }

  /** Rejects with what a human should read. */
  async read(url: URL, stop: AbortSignal): Promise<Page> {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(this.#timeoutMs)]);
    const headers = await this.#headers();
    let at = url;
    for (let turn = 0; ; turn++) {
      const answer = await this.#get(at, headers, signal);
      const status = answer.statusCode ?? 0;
      const { location } = answer.headers;
      const isRedirect = status >= 300 && status < 400 && location !== undefined;
      if (isRedirect && this.#config.follow_redirects && turn < REDIRECTS_MAX) {
        answer.resume();
        at = new URL(location, at);
        continue;
      }
      if (status !== 200) {
        answer.resume();
        throw new Error(`server returned HTTP status ${status} ${answer.statusMessage ?? ""}`);
      }
      return await this.#page(answer);
    }
  }

  async #page(answer: IncomingMessage): Promise<Page> {
    const bytesMax = this.#config.body_size_limit || BODY_MAX;
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of answer) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Error("body size limit exceeded");
      chunks.push(chunk);
    }
    const isGzip = answer.headers["content-encoding"] === "gzip";
    const whole = Buffer.concat(chunks);
    const body = isGzip ? gunzipSync(whole, { maxOutputLength: bytesMax }) : whole;
    const type = answer.headers["content-type"] ?? "";
    const isOpenMetrics = type.startsWith("application/openmetrics-text");
    return { text: body.toString(), isOpenMetrics, bytes: body.length };
  }

  async #headers(): Promise<Record<string, string>> {
    const authorization = await this.#authorization();
    return {
      accept: ACCEPT,
      "accept-encoding": "gzip",
      "user-agent": this.#userAgent,
      "x-prometheus-scrape-timeout-seconds": String(this.#timeoutMs / 1000),
      ...(authorization === undefined ? {} : { authorization }),
    };
  }

  async #authorization(): Promise<string | undefined> {
    const { basic_auth: basic, authorization, bearer_token, bearer_token_file } = this.#config;
    if (basic !== undefined) {
      const password = basic.password?.reveal() ?? (await secretIn(basic.password_file));
      return `Basic ${Buffer.from(`${basic.username}:${password}`).toString("base64")}`;
    }
    if (authorization !== undefined) {
      const { type, credentials, credentials_file } = authorization;
      return `${type} ${credentials?.reveal() ?? (await secretIn(credentials_file))}`;
    }
    if (bearer_token === undefined && bearer_token_file === "") return undefined;
    return `Bearer ${bearer_token?.reveal() ?? (await secretIn(bearer_token_file))}`;
  }

  #get(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { headers, signal, agent: this.#https }, resolve)
        : httpRequest(url, { headers, signal, agent: this.#http }, resolve);
    request.on("error", reject);
    request.end();
    return promise;
  }
}

async function secretIn(path: string): Promise<string> {
  return path === "" ? "" : (await readFile(path, "utf8")).trim();
}
