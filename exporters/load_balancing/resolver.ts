// SPDX-License-Identifier: Apache-2.0
import { lookup } from "node:dns/promises";
import { messageOf } from "../../src/component/errors.ts";
import type { Counter, Telemetry } from "../../src/component/telemetry.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { DnsConfig, ResolverConfig } from "./config.ts";

const DEFAULT_PORT = "4317";

export interface Resolver {
  /** Gives the backends once, then when they change. */
  start(onBackends: (endpoints: readonly string[]) => void): Promise<void>;
  stop(): void;
}

type LookUp = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

export function createResolver(
  config: ResolverConfig,
  telemetry: Telemetry,
  id: string,
  lookUp: LookUp = (hostname) => lookup(hostname, { all: true }),
): Resolver {
  const { static: fixed, dns } = config;
  if (dns !== undefined) return new DnsResolver(dns, telemetry, id, lookUp);
  return {
    start: async (onBackends) => onBackends((fixed?.hostnames ?? []).map(withPort)),
    stop: () => {},
  };
}

function withPort(hostname: string): string {
  return /(^[^:]*|\]):\d+$/.test(hostname) ? hostname : `${hostname}:${DEFAULT_PORT}`;
}

/** Looks a name up again and again; what was known stays while nothing can be looked up. */
class DnsResolver implements Resolver {
  readonly #config: DnsConfig;
  readonly #lookUp: LookUp;
  readonly #log: ThrottledLog;
  readonly #failures: Counter;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(config: DnsConfig, telemetry: Telemetry, id: string, lookUp: LookUp) {
    this.#config = config;
    this.#lookUp = lookUp;
    this.#log = new ThrottledLog(telemetry.logger);
    this.#failures = telemetry.counter(
      "backstitch_load_balancing_resolver_failures",
      { description: "Times that the backends' name could not be looked up.", unit: "{lookup}" },
      { exporter: id },
    );
  }

  async start(onBackends: (endpoints: readonly string[]) => void): Promise<void> {
    const look = async (): Promise<void> => {
      await this.#look(onBackends);
      if (this.#isStopped) return;
      this.#timer = setTimeout(() => void look(), this.#config.interval);
    };
    await look();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #look(onBackends: (endpoints: readonly string[]) => void): Promise<void> {
    const { hostname, port, timeout } = this.#config;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`no answer within ${timeout} ms`)),
      timeout,
    );
    try {
      const found = await Promise.race([this.#lookUp(hostname), late.promise]);
      if (this.#isStopped || found.length === 0) return;
      onBackends(
        found.map(({ address, family }) => `${family === 6 ? `[${address}]` : address}:${port}`),
      );
    } catch (error) {
      this.#failures.add(1);
      const fields = { hostname, error: messageOf(error) };
      this.#log.write("warn", "The backends' name cannot be looked up.", fields);
    } finally {
      clearTimeout(timer);
    }
  }
}
