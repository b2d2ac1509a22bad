// SPDX-License-Identifier: Apache-2.0
// The page's files and the routes of docs/store-api.md with answers made up by a scenario: for what
// no live agent can be brought to say within a test.

import { once } from "node:events";
import { createReadStream, existsSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { extname, join } from "node:path";
import type * as api from "../../extensions/ui/page/src/api-types.ts";

const DIST = join(import.meta.dirname, "../../extensions/ui/page/dist");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** What the API answers; a function of the query where it matters. */
export interface Scenario {
  readonly status: api.Status;
  readonly services: api.Services;
  readonly operations: api.Operations;
  readonly map: api.ServiceMap;
  readonly search: (query: URLSearchParams) => api.Search;
  readonly traces: (query: URLSearchParams) => api.Traces;
  readonly trace: (id: string, limit: number) => api.Trace | undefined;
  readonly otlp: unknown;
  readonly agent: () => api.Agent;
  readonly history: api.History;
  readonly processes: api.Processes;
}

export interface FakeApi {
  readonly url: string;
  scenario: Scenario;
  /** Path and query of every API request, oldest first. */
  readonly asked: string[];
  close(): Promise<void>;
}

export async function startFakeApi(scenario: Scenario): Promise<FakeApi> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://page");
    response.setHeader("content-security-policy", POLICY);
    response.setHeader("x-content-type-options", "nosniff");
    if (!url.pathname.startsWith("/api/ui/")) return sendFile(url.pathname, response);
    asked.push(url.pathname + url.search);
    const body = answer(fake.scenario, url);
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? { error: "There is no such trace" }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const fake: FakeApi = {
    url: `http://127.0.0.1:${port}/`,
    scenario,
    asked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return fake;
}

function answer(scenario: Scenario, { pathname, searchParams }: URL): unknown {
  const [route = "", id = "", part] = pathname.slice("/api/ui/".length).split("/");
  if (route === "traces" && part === "otlp") return scenario.otlp;
  if (route === "traces" && id !== "") {
    return scenario.trace(id, Number(searchParams.get("limit")));
  }
  if (route === "traces") return scenario.traces(searchParams);
  if (route === "search") return scenario.search(searchParams);
  if (route === "agent") return id === "history" ? scenario.history : scenario.agent();
  const plain: Readonly<Record<string, unknown>> = {
    status: scenario.status,
    services: scenario.services,
    operations: scenario.operations,
    map: scenario.map,
    processes: scenario.processes,
  };
  return plain[route];
}

function sendFile(path: string, response: ServerResponse): void {
  const file = join(DIST, path === "/" ? "index.html" : path);
  if (!file.startsWith(DIST) || !existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
}
