// SPDX-License-Identifier: Apache-2.0
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import type {
  ClientAuthenticator,
  HeaderLookup,
  ServerAuthenticator,
} from "../../src/component/auth.ts";
import type { Settings } from "../../src/component/component.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import { followFile } from "../../src/config/follow-file.ts";
import type { BearerTokenAuthConfig } from "./config.ts";

/** A token in a header, both ways: servers check it, clients send it. */
export class BearerTokenAuth implements ServerAuthenticator, ClientAuthenticator {
  readonly #config: BearerTokenAuthConfig;
  readonly #settings: Settings;
  readonly #header: string;
  #unfollow: () => void = () => undefined;
  #tokens: readonly string[] = [];
  #digests: readonly Buffer[] = [];

  constructor(settings: Settings, config: BearerTokenAuthConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#header = config.header.toLowerCase();
  }

  async start(): Promise<void> {
    const { filename, token, tokens } = this.#config;
    if (filename === "") {
      this.#use([...(token === undefined ? [] : [token]), ...tokens].map((one) => one.reveal()));
      return;
    }
    const unfollow = followFile(filename, this.#onChange);
    try {
      this.#read();
    } catch (cause) {
      unfollow();
      const message = `bearertokenauth: cannot read "${filename}": ${messageOf(cause)}`;
      throw new AgentError("BS_START", message, { cause });
    }
    this.#unfollow = unfollow;
  }

  async shutdown(): Promise<void> {
    this.#unfollow();
  }

  async authenticate(header: HeaderLookup): Promise<string | undefined> {
    const value = header(this.#header);
    if (value === undefined || value === "") return "missing or empty authorization header";
    const given = digestOf(value);
    // All are compared, so that the time says nothing about which is near.
    const isKnown = this.#digests.map((digest) => timingSafeEqual(digest, given)).includes(true);
    return isKnown ? undefined : "provided authorization does not match expected scheme or token";
  }

  async authorization(): Promise<Readonly<Record<string, string>>> {
    const [first] = this.#tokens;
    if (first === undefined)
      throw new AgentError("BS_EXPORT", "bearertokenauth: there is no token");
    return { [this.#header]: this.#value(first) };
  }

  readonly #onChange = (): void => {
    const { filename } = this.#config;
    const { logger } = this.#settings.telemetry;
    try {
      this.#read();
      logger.info("The tokens were read again", { filename });
    } catch (error) {
      // The tokens before stay in force: a file is often replaced in two steps.
      logger.error("The tokens cannot be read", { filename, error: messageOf(error) });
    }
  };

  #read(): void {
    const lines = readFileSync(this.#config.filename, "utf8").split(/\r?\n/);
    const tokens = lines.map((line) => line.trim()).filter((line) => line !== "");
    if (tokens.length === 0) throw new Error("there is no token in it");
    this.#use(tokens);
  }

  #use(tokens: readonly string[]): void {
    this.#tokens = tokens;
    this.#digests = tokens.map((token) => digestOf(this.#value(token)));
  }

  #value(token: string): string {
    const { scheme } = this.#config;
    return scheme === "" ? token : `${scheme} ${token}`;
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
