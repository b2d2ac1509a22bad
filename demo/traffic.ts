// SPDX-License-Identifier: Apache-2.0
import { Agent, request } from "node:http";

const INTERVAL_MS = 500;
const TIMEOUT_MS = 5_000;

interface Kind {
  readonly method: "GET" | "POST";
  readonly path: (id: number) => string;
  readonly body?: string;
}

const ORDER: Kind = { method: "GET", path: (id) => `/order/${id}` };
const KINDS: readonly Kind[] = [
  ORDER,
  { method: "POST", path: (id) => `/order/${id}`, body: JSON.stringify({ item: "tea", count: 2 }) },
  ORDER,
  { method: "GET", path: (id) => `/slow/${id}?ms=120` },
  ORDER,
  { method: "GET", path: (id) => `/chunked/${id}` },
  ORDER,
  { method: "GET", path: (id) => `/fail/${id}` },
];

export interface Traffic {
  /** Requests that got a whole answer, and those that did not. */
  readonly answered: number;
  readonly failed: number;
  stop(): void;
}

/** Asks 127.0.0.1:`port` twice a second, with a few kinds of requests in turn. */
export function startTraffic(port: number): Traffic {
  const agent = new Agent({ keepAlive: true });
  const counts = { answered: 0, failed: 0, stop };
  let id = 0;
  const timer = setInterval(() => {
    const { method, path, body } = KINDS[id % KINDS.length] ?? ORDER;
    id += 1;
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const sending = request({
      ...{ host: "127.0.0.1", port, method, path: path(id), headers, agent, signal },
    });
    sending.once("error", () => {
      counts.failed += 1;
    });
    sending.once("response", (response) => {
      response.once("end", () => {
        counts.answered += 1;
      });
      response.once("error", () => undefined).resume();
    });
    sending.end(body);
  }, INTERVAL_MS);
  function stop(): void {
    clearInterval(timer);
    agent.destroy();
  }
  return counts;
}
