// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

export interface LoadOptions {
  /** IP literal; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly requests: number;
  /** Requests in flight at once. */
  readonly concurrency: number;
  /** `{id}` becomes the request's id: `/order/{id}`. Taken in turn. */
  readonly paths: readonly string[];
  readonly method?: string;
  readonly body?: string;
  /** `{id}` as in paths. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default true: at most `concurrency` connections, used again. */
  readonly keepAlive?: boolean;
  /** Ids are firstId, firstId + 1, … Default 1. */
  readonly firstId?: number;
  /** After each answer, before the same connection's next request. Default 0. */
  readonly pauseMs?: number;
  /** As soon as there is such a file no further request is sent. */
  readonly stopFile?: string;
  /** For one request. Default 10,000. */
  readonly timeoutMs?: number;
  /** For the whole load; what is left is then counted as errors. Default 60,000. */
  readonly totalTimeoutMs?: number;
}

export interface LoadResult {
  /** How many answers had each status code. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Requests that got no whole answer, by message. */
  readonly errors: Readonly<Record<string, number>>;
  readonly durationMs: number;
}

/** Sends requests with distinct ids and waits for every answer, in bounded time. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { concurrency, keepAlive = true, totalTimeoutMs = 60_000 } = options;
  const agent = new Agent({ keepAlive, maxSockets: concurrency });
  const statuses: Record<string, number> = {};
  const errors: Record<string, number> = {};
  const startMs = performance.now();
  const deadline = AbortSignal.timeout(totalTimeoutMs);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < options.requests; index = next++) {
      if (options.stopFile !== undefined && existsSync(options.stopFile)) return;
      try {
        const status = await exchange({ options, agent, index, deadline });
        statuses[status] = (statuses[status] ?? 0) + 1;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        errors[message] = (errors[message] ?? 0) + 1;
      }
      if (options.pauseMs !== undefined) await delay(options.pauseMs);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  agent.destroy();
  return { statuses, errors, durationMs: performance.now() - startMs };
}

interface Exchange {
  readonly options: LoadOptions;
  readonly agent: Agent;
  readonly index: number;
  readonly deadline: AbortSignal;
}

function exchange({ options, agent, index, deadline }: Exchange): Promise<number> {
  const { host, port, method = "GET", body, paths, firstId = 1, timeoutMs = 10_000 } = options;
  const id = String(firstId + index);
  const path = (paths[index % paths.length] ?? "/").replace("{id}", id);
  const given = Object.entries(options.headers ?? {});
  const headers = {
    ...Object.fromEntries(given.map(([name, value]) => [name, value.replace("{id}", id)])),
    ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
  };
  const signal = AbortSignal.any([deadline, AbortSignal.timeout(timeoutMs)]);
  return new Promise((resolve, reject) => {
    const sending = request({ host, port, path, method, headers, agent, signal });
    sending.once("error", reject);
    sending.once("response", (response: IncomingMessage) => {
      response.once("error", reject);
      response.once("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    sending.end(body);
  });
}
