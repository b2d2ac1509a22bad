// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type JsonObject, objectOf, textOf } from "../json.ts";

interface Watcher {
  readonly resource: string;
  readonly response: ServerResponse;
}

export interface Asked {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly authorization: string;
}

interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers lists in pages and watches as the Kubernetes API describes them
 * (kubernetes.io/docs/reference/using-api/api-concepts), from objects that the test puts in, and
 * does on request what servers do on bad days.
 */
export class ScriptedApi {
  readonly asked: Asked[] = [];
  /** Refusals by resource; all requests for it get one. */
  readonly refusals: Map<string, Refusal> = new Map();
  /** Only these values of the header are taken, when there are any. */
  readonly credentials: Set<string> = new Set();
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));
  readonly #objects = new Map<string, Map<string, JsonObject>>();
  readonly #watchers = new Set<Watcher>();
  readonly #events: {
    readonly resource: string;
    readonly version: number;
    readonly line: string;
  }[] = [];
  #version = 100;
  /** Versions before this one are compacted. */
  #oldest = 0;
  #url = "";

  static async start(): Promise<ScriptedApi> {
    const api = new ScriptedApi();
    await api.listen(0);
    return api;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (typeof address === "object" && address !== null) {
      this.#url = `http://127.0.0.1:${address.port}`;
    }
  }

  get url(): string {
    return this.#url;
  }

  /** A kubeconfig that leads here. */
  get kubeConfig(): string {
    return JSON.stringify({
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: this.#url } }],
      users: [{ name: "u", user: { token: "secret-1" } }],
    });
  }

  put(resource: string, object: JsonObject): void {
    const objects = this.#of(resource);
    const uid = uidOf(object);
    this.#change(resource, objects.has(uid) ? "MODIFIED" : "ADDED", object);
  }

  delete(resource: string, uid: string): void {
    const object = this.#of(resource).get(uid);
    if (object !== undefined) this.#change(resource, "DELETED", object);
  }

  bookmark(resource: string): void {
    const metadata = { resourceVersion: String(++this.#version) };
    this.#tell(resource, JSON.stringify({ type: "BOOKMARK", object: { metadata } }));
  }

  /** Forgets the history: what asks for older versions is told 410 Gone. */
  compact(): void {
    this.#oldest = ++this.#version;
    this.#events.length = 0;
  }

  /** Ends all watches as a restart does: in the middle. */
  breakWatches(): void {
    for (const { response } of this.#watchers) response.destroy();
    this.#watchers.clear();
  }

  /** Ends all watches as a server does whose time for them is over. */
  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
    this.#watchers.clear();
  }

  get watches(): number {
    return this.#watchers.size;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #of(resource: string): Map<string, JsonObject> {
    let objects = this.#objects.get(resource);
    if (objects === undefined) {
      objects = new Map();
      this.#objects.set(resource, objects);
    }
    return objects;
  }

  #change(resource: string, type: string, object: JsonObject): void {
    const version = ++this.#version;
    const metadata = { ...objectOf(object["metadata"]), resourceVersion: String(version) };
    const stored = { ...object, metadata };
    const objects = this.#of(resource);
    if (type === "DELETED") objects.delete(uidOf(object));
    else objects.set(uidOf(object), stored);
    const line = JSON.stringify({ type, object: stored });
    this.#events.push({ resource, version, line });
    this.#tell(resource, line);
  }

  #tell(resource: string, line: string): void {
    for (const watcher of this.#watchers) {
      if (watcher.resource === resource) watcher.response.write(`${line}\n`);
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://localhost");
    const { accept = "", authorization = "" } = request.headers;
    this.asked.push({ path: pathname, query, accept, authorization });
    const resource = pathname.split("/").at(-1) ?? "";
    const refusal =
      this.credentials.size > 0 && !this.credentials.has(authorization)
        ? { status: 401, message: "Unauthorized" }
        : this.refusals.get(resource);
    if (refusal !== undefined) {
      response.writeHead(refusal.status, refusal.headers);
      response.end(JSON.stringify(statusOf(refusal.status, refusal.message)));
    } else if (query.get("watch") === "true") this.#watch(resource, query, response);
    else this.#list(resource, query, response);
  }

  #list(resource: string, query: URLSearchParams, response: ServerResponse): void {
    const all = [...this.#of(resource).values()];
    const limit = Number(query.get("limit") ?? all.length);
    const [from = 0, version = this.#version] = (query.get("continue") ?? "")
      .split("-")
      .filter((part) => part !== "")
      .map(Number);
    if (version < this.#oldest) {
      response.writeHead(410).end(JSON.stringify(statusOf(410, "the continue token is too old")));
      return;
    }
    const items = all.slice(from, from + limit);
    const token = from + limit < all.length ? `${from + limit}-${version}` : "";
    const metadata = { resourceVersion: String(version), continue: token };
    response.end(JSON.stringify({ metadata, items }));
  }

  #watch(resource: string, query: URLSearchParams, response: ServerResponse): void {
    const since = Number(query.get("resourceVersion"));
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    if (since < this.#oldest) {
      const object = statusOf(410, `too old resource version: ${since}`);
      response.end(`${JSON.stringify({ type: "ERROR", object })}\n`);
      return;
    }
    for (const event of this.#events) {
      if (event.resource === resource && event.version > since) response.write(`${event.line}\n`);
    }
    const watcher = { resource, response };
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
  }
}

function statusOf(code: number, message: string): JsonObject {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, message };
}

function uidOf(object: JsonObject): string {
  return textOf(objectOf(object["metadata"])["uid"]);
}
