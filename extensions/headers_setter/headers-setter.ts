// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import {
  type ClientAuthenticator,
  clientAuthenticator,
  type OutgoingRequest,
  type RequestHeaders,
} from "../../src/component/auth.ts";
import type { Host, Settings } from "../../src/component/component.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import { followFile } from "../../src/config/follow-file.ts";
import type { HeaderRule, HeadersSetterConfig } from "./config.ts";

/** Sets headers of what an exporter sends, also from those of the request that brought the data. */
export class HeadersSetter implements ClientAuthenticator {
  readonly #settings: Settings;
  readonly #config: HeadersSetterConfig;
  readonly #files = new Map<string, string>();
  readonly #watches: (() => void)[] = [];
  #first: ClientAuthenticator | undefined;

  constructor(settings: Settings, config: HeadersSetterConfig) {
    this.#settings = settings;
    this.#config = config;
  }

  async start(host: Host): Promise<void> {
    const { additional_auth: first, headers } = this.#config;
    if (first !== "") this.#first = clientAuthenticator(host, { authenticator: first });
    for (const { valueFile } of headers) if (valueFile !== "") this.#follow(valueFile);
  }

  async shutdown(): Promise<void> {
    for (const stop of this.#watches.splice(0)) stop();
  }

  async authorization(request: OutgoingRequest): Promise<RequestHeaders> {
    const headers: Record<string, string | undefined> = {
      ...(await this.#first?.authorization(request)),
    };
    for (const rule of this.#config.headers) {
      const { key, action } = rule;
      const isThere = (key in headers ? headers[key] : request.headers[key]) !== undefined;
      if (action === "delete") {
        headers[key] = undefined;
        continue;
      }
      if (action === "insert" ? isThere : action === "update" && !isThere) continue;
      const value = this.#value(rule, request);
      if (value !== undefined) headers[key] = value;
    }
    return headers;
  }

  #value(rule: HeaderRule, { metadata }: OutgoingRequest): string | undefined {
    if (rule.value !== undefined) return rule.value.reveal();
    if (rule.valueFile !== "") return this.#files.get(rule.valueFile);
    const found = metadata?.[rule.fromContext]?.[0];
    // As the Collector: without value and default an empty header is set.
    return found ?? rule.defaultValue?.reveal() ?? "";
  }

  #follow(path: string): void {
    const read = (): void => {
      this.#files.set(path, readFileSync(path, "utf8").trim());
    };
    this.#watches.push(followFile(path, () => this.#onChange(path, read)));
    try {
      read();
    } catch (cause) {
      const message = `headers_setter: cannot read "${path}": ${messageOf(cause)}`;
      throw new AgentError("BS_START", message, { cause });
    }
  }

  #onChange(path: string, read: () => void): void {
    try {
      read();
    } catch (error) {
      // The value before stays in force: a file is often replaced in two steps.
      const fields = { filename: path, error: messageOf(error) };
      this.#settings.telemetry.logger.error("The value cannot be read", fields);
    }
  }
}
