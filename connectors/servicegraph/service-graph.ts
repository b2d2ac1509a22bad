// SPDX-License-Identifier: Apache-2.0
import { Observable } from "rxjs";
import type { Connector, ConnectorSettings } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import { forEachSpan } from "../../src/pdata/span-view.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { ServiceGraphConfig } from "./config.ts";
import { type ClientEnd, type Edge, EdgeStore, type ServerEnd } from "./edge-store.ts";
import { Graph, type Request } from "./graph.ts";
import { type End, SpanReader } from "./span-reader.ts";

const STALE_MS = 15 * 60_000;
const NS_PER_MS = 1_000_000n;
/** The Collector's names for ends that send no span. */
const USER = "user";
const UNKNOWN = "unknown";

/** Which service calls which, how often, how long and with how many errors, as metrics. */
export class ServiceGraph implements Connector {
  readonly #config: ServiceGraphConfig;
  readonly #nowMs: () => number;
  readonly #reader: SpanReader;
  readonly #store: EdgeStore;
  readonly #graph: Graph;
  readonly #log: ThrottledLog;
  readonly #counts: Readonly<Record<"total" | "expired" | "unpaired" | "dropped", Counter>>;
  readonly #timers: NodeJS.Timeout[] = [];
  #emit: ((batch: Batch) => void) | undefined;

  constructor(
    settings: ConnectorSettings,
    config: ServiceGraphConfig,
    nowMs: () => number = Date.now,
  ) {
    this.#config = config;
    this.#nowMs = nowMs;
    this.#reader = new SpanReader(config);
    this.#graph = new Graph(config, BigInt(Math.floor(nowMs())) * NS_PER_MS);
    this.#log = new ThrottledLog(settings.telemetry.logger);
    const counter = (name: string, unit: string, description: string): Counter =>
      settings.telemetry.counter(
        `otelcol_connector_servicegraph_${name}`,
        { description, unit },
        { connector: settings.id },
      );
    this.#counts = {
      total: counter("total_edges", "{edge}", "Requests between two nodes."),
      expired: counter("expired_edges", "{edge}", "Requests of which one end was not seen."),
      unpaired: counter("unpaired_spans", "{span}", "Ends that no node can be named for."),
      dropped: counter("dropped_spans", "{span}", "Spans that there was no room for."),
    };
    this.#store = new EdgeStore({
      ttlMs: config.store.ttl,
      itemsMax: config.store.max_items,
      onComplete: (client, server) => this.#complete(client, server),
      onExpired: (edge) => this.#expired(edge),
    });
  }

  async start(): Promise<void> {
    const every = (ms: number, act: () => void): void => {
      if (ms > 0) this.#timers.push(setInterval(act, ms));
    };
    const { metrics_flush_interval, store_expiration_loop, cache_loop } = this.#config;
    every(metrics_flush_interval, () => this.flush());
    every(store_expiration_loop, () => this.expire());
    every(cache_loop, () => this.forget());
  }

  async shutdown(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  connect(input: Observable<Batch>): Observable<Batch> {
    return new Observable<Batch>((subscriber) => {
      this.#emit = (batch) => subscriber.next(batch);
      return input.subscribe({
        next: (batch) => this.#add(batch),
        error: (error) => subscriber.error(error),
        complete: () => {
          this.#store.expire(Number.POSITIVE_INFINITY);
          this.flush();
          this.#emit = undefined;
          subscriber.complete();
        },
      });
    });
  }

  /** Spans that waited for the configured time become edges to virtual nodes. */
  expire(): void {
    this.#store.expire(this.#nowMs());
  }

  /** Edges without a request in the last 15 minutes are given up. */
  forget(): void {
    this.#graph.forget(this.#nowMs() - STALE_MS);
  }

  flush(): void {
    const written = this.#graph.write(BigInt(Math.floor(this.#nowMs())) * NS_PER_MS);
    if (written === undefined) return;
    const { bytes, points } = written;
    this.#emit?.({ signal: "metrics", chunks: [bytes], items: points, bytes: bytes.length });
  }

  #add(batch: Batch): void {
    try {
      const nowMs = this.#nowMs();
      for (const chunk of batch.chunks) {
        forEachSpan(chunk, (span, { resource }) => {
          const end = this.#reader.read(span, resource);
          if (end !== undefined) this.#take(end, nowMs);
        });
      }
      if (this.#config.metrics_flush_interval === 0) this.flush();
      batch.receipt?.settle({ kind: "accepted" });
    } catch (error) {
      const message = messageOf(error);
      this.#log.write("error", "Spans could not be read for the service graph.", {
        error: message,
      });
      batch.receipt?.settle({ kind: "refused", retryable: false, message });
    }
  }

  #take(given: End, nowMs: number): void {
    if (given.kind === "server") {
      if (given.end.isRoot) this.#expired({ dueMs: nowMs, server: given.end });
      else if (!this.#store.server(given.key, given.end, nowMs)) this.#counts.dropped.add(1);
      return;
    }
    const { end } = given;
    // The Collector's way: a database sends no spans, so nothing is waited for.
    if (end.database !== "" && !this.#config.wait_for_databases) this.#database(end);
    else if (!this.#store.client(given.key, end, nowMs)) this.#counts.dropped.add(1);
  }

  #complete(client: ClientEnd, server: ServerEnd): void {
    const isMessaging = client.isMessaging || server.isMessaging;
    const type = isMessaging ? "messaging_system" : client.database === "" ? "" : "database";
    this.#count({
      ...{ client: client.service, server: server.service, type },
      ...{ clientEnd: client, serverEnd: server },
    });
  }

  #database(client: ClientEnd): void {
    this.#count({
      ...{ client: client.service, server: client.database, type: "database" },
      clientEnd: client,
    });
  }

  /** Only one end was seen: the other is a node by what the span says of it. */
  #expired({ client, server }: Edge): void {
    if (client !== undefined) {
      if (client.database !== "") {
        this.#database(client);
        return;
      }
      this.#counts.expired.add(1);
      this.#count({
        ...{ client: client.service, server: client.peer || UNKNOWN, type: "virtual_node" },
        ...{ virtual: "server", clientEnd: client },
      });
    } else if (server !== undefined) {
      this.#counts.expired.add(1);
      if (server.isRoot) {
        this.#count({
          ...{ client: USER, server: server.service, type: "virtual_node" },
          ...{ virtual: "client", serverEnd: server },
        });
      } else this.#counts.unpaired.add(1);
    }
  }

  #count(request: Request): void {
    if (this.#graph.add(request, this.#nowMs())) this.#counts.total.add(1);
    else this.#counts.dropped.add(1);
  }
}
