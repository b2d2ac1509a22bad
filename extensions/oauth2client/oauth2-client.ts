// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { ClientAuthenticator, RequestHeaders } from "../../src/component/auth.ts";
import type { Settings } from "../../src/component/component.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import { type HttpAnswer, HttpClient } from "../../src/transport/http-client.ts";
import { loadClientTls } from "../../src/transport/tls.ts";
import type { Oauth2ClientConfig } from "./config.ts";

const TIMEOUT_MS = 30_000;
const MS_PER_S = 1_000;

/** RFC 6749, 5.1. */
const tokenSchema = z.object({
  access_token: z.string().min(1),
  token_type: z.string().default("Bearer"),
  expires_in: z.coerce.number().optional(),
});

interface Token {
  readonly header: string;
  /** ms of the monotonic clock; infinite when it has no end. */
  readonly untilMs: number;
}

type Style = "header" | "body";

/** Gets tokens by client credentials (RFC 6749, 4.4) and shows them to servers. */
export class Oauth2Client implements ClientAuthenticator {
  readonly #settings: Settings;
  readonly #config: Oauth2ClientConfig;
  #client: HttpClient | undefined;
  #token: Token | undefined;
  #asking: Promise<Token> | undefined;
  /** How this server takes credentials, once known. */
  #style: Style | undefined;

  constructor(settings: Settings, config: Oauth2ClientConfig) {
    this.#settings = settings;
    this.#config = config;
  }

  async start(): Promise<void> {
    const isPlain = this.#config.token_url.startsWith("http:");
    this.#client = new HttpClient({
      tls: isPlain ? undefined : await loadClientTls(this.#config.tls),
      idleTimeoutMs: TIMEOUT_MS,
      idleSocketsMax: 1,
    });
  }

  async shutdown(): Promise<void> {
    this.#client?.close();
  }

  async authorization(): Promise<RequestHeaders> {
    if (this.#token === undefined || performance.now() >= this.#token.untilMs) {
      // Requests at the same time wait for one token.
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
      this.#token = await this.#asking;
    }
    return { authorization: this.#token.header };
  }

  async #ask(): Promise<Token> {
    const askedMs = performance.now();
    const styles: readonly Style[] = this.#style === undefined ? ["header", "body"] : [this.#style];
    let answer: HttpAnswer | undefined;
    for (const style of styles) {
      answer = await this.#post(style);
      if (answer.status === 200) {
        this.#style = style;
        return this.#read(answer, askedMs);
      }
      if (answer.status >= 500) break;
    }
    throw this.#failure(`the server answers ${answer?.status}`, (answer?.status ?? 0) >= 500);
  }

  async #post(style: Style): Promise<HttpAnswer> {
    const { token_url: url, scopes, endpoint_params: params, timeout } = this.#config;
    if (this.#client === undefined) throw new AgentError("BS_INTERNAL", "not started");
    const [id, secret] = await this.#credentials();
    const form = new URLSearchParams({ grant_type: "client_credentials" });
    if (scopes.length > 0) form.set("scope", scopes.join(" "));
    for (const [name, values] of Object.entries(params)) {
      for (const value of values) form.append(name, value);
    }
    const headers: Record<string, string> = {
      "content-type": "application/x-www-form-urlencoded",
      accept: "application/json",
    };
    if (style === "header") {
      // RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
      const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
      headers["authorization"] = `Basic ${Buffer.from(pair).toString("base64")}`;
    } else {
      form.set("client_id", id);
      form.set("client_secret", secret);
    }
    const limit = AbortSignal.timeout(timeout || TIMEOUT_MS);
    try {
      return await this.#client.post(new URL(url), headers, Buffer.from(form.toString()), limit);
    } catch (error) {
      throw this.#failure(messageOf(error), true);
    }
  }

  async #credentials(): Promise<[string, string]> {
    const { client_id: id, client_id_file: idFile, client_secret: secret } = this.#config;
    const secretFile = this.#config.client_secret_file;
    const read = async (path: string): Promise<string> => (await readFile(path, "utf8")).trim();
    try {
      return [
        idFile === "" ? id : await read(idFile),
        secretFile === "" ? (secret?.reveal() ?? "") : await read(secretFile),
      ];
    } catch (error) {
      throw this.#failure(messageOf(error), true);
    }
  }

  #read(answer: HttpAnswer, askedMs: number): Token {
    const parsed = tokenSchema.safeParse(jsonOf(answer.body));
    if (!parsed.success) throw this.#failure("the answer has no access_token", true);
    const { access_token: token, token_type: type, expires_in: seconds } = parsed.data;
    const lifeMs = seconds === undefined ? Number.POSITIVE_INFINITY : seconds * MS_PER_S;
    // A life shorter than the buffer: half of it, else every request would ask for a token.
    const usableMs = Math.max(lifeMs - this.#config.expiry_buffer, lifeMs / 2);
    const scheme = type.toLowerCase() === "bearer" ? "Bearer" : type;
    return { header: `${scheme} ${token}`, untilMs: askedMs + usableMs };
  }

  #failure(what: string, retryable: boolean): AgentError {
    const url = URL.parse(this.#config.token_url);
    const message = `${this.#settings.id}: no token from ${url?.origin}${url?.pathname}: ${what}`;
    return new AgentError("BS_EXPORT", message, { retryable });
  }
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
}
