// SPDX-License-Identifier: Apache-2.0
import { BehaviorSubject, type Observable, type Subscription } from "rxjs";
import type { Exporter, ExporterSettings, Host } from "../../src/component/component.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import { splitReceipt } from "../../src/pipeline/receipt.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import { JointWriter } from "../../src/stitching/joints.ts";
import { configSchema as otlpSchema } from "../otlp_grpc/config.ts";
import { createOtlpGrpcExporter } from "../otlp_grpc/otlp-grpc.ts";
import type { LoadBalancingConfig } from "./config.ts";
import { HashRing } from "./hash-ring.ts";
import { createResolver, type Resolver } from "./resolver.ts";
import { type RoutingKey, Splitter } from "./splitter.ts";

/** An endpoint that is gone may send what it has for this long. */
const DRAIN_MS = 30_000;

interface Backend {
  readonly exporter: Exporter;
  readonly watched: Subscription;
  isReady: boolean;
}

/** Sends what belongs together to one of several backends, each by an OTLP exporter of its own. */
export class LoadBalancing implements Exporter {
  readonly #settings: ExporterSettings;
  readonly #config: LoadBalancingConfig;
  readonly #splitter: Splitter;
  readonly #joints: JointWriter | undefined;
  readonly #resolver: Resolver;
  readonly #log: ThrottledLog;
  readonly #refused: Counter;
  readonly #ready = new BehaviorSubject(true);
  readonly #backends = new Map<string, Backend>();
  readonly #leaving = new Set<Promise<void>>();
  #ring = new HashRing([]);
  #host: Host | undefined;
  #stopGauge: (() => void) | undefined;
  #changes: Promise<void> = Promise.resolve();
  #failure: unknown;

  constructor(settings: ExporterSettings, config: LoadBalancingConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#splitter = new Splitter(routingKey(settings, config));
    this.#joints = config.routing_key === "stitch" ? new JointWriter() : undefined;
    this.#resolver = createResolver(config.resolver, settings.telemetry, settings.id);
    this.#log = new ThrottledLog(settings.telemetry.logger);
    this.#refused = settings.telemetry.counter(
      "backstitch_load_balancing_refused_items",
      { description: "Items that the queue of their backend had no room for.", unit: "{item}" },
      { exporter: settings.id },
    );
  }

  get ready(): Observable<boolean> {
    return this.#ready;
  }

  async start(host: Host): Promise<void> {
    this.#host = host;
    this.#stopGauge = this.#settings.telemetry.gauge(
      "otelcol_loadbalancer_num_backends",
      { description: "Current number of backends in use.", unit: "{backend}" },
      () => this.#ring.endpoints.length,
      { exporter: this.#settings.id },
    );
    await this.#resolver.start((endpoints) => this.#change(endpoints));
    await this.#changes;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Changes come one after the other; one that fails leaves the backends as they were. */
  #change(endpoints: readonly string[]): void {
    this.#changes = this.#changes
      .then(() => this.#use(endpoints))
      .catch((error: unknown) => {
        this.#failure = error;
        const fields = { endpoints: endpoints.join(), error: messageOf(error) };
        this.#log.write("error", "Backends cannot be used.", fields);
      });
  }

  accept(batch: Batch): boolean {
    if (this.#backends.size === 0) {
      this.#log.write("error", "There is no backend. Rejecting data.", {
        rejected_items: batch.items,
      });
      return false;
    }
    let parts: Map<number, Batch>;
    try {
      parts = this.#splitter.split(batch, this.#ring);
      if (this.#joints !== undefined) this.#addJoints(this.#joints, parts);
    } catch (error) {
      this.#log.write("error", "A batch cannot be read. Rejecting data.", {
        error: messageOf(error),
      });
      return false;
    }
    // Nothing in it: nothing to wait for.
    if (parts.size === 0) batch.receipt?.settle({ kind: "accepted" });
    const receipts = batch.receipt === undefined ? [] : splitReceipt(batch.receipt, parts.size);
    let at = 0;
    for (const [owner, part] of parts) {
      const receipt = receipts[at++];
      this.#send(owner, receipt === undefined ? part : { ...part, receipt });
    }
    return true;
  }

  /** Every backend learns what it needs to join the pieces that others have the rest of. */
  #addJoints(writer: JointWriter, parts: Map<number, Batch>): void {
    const owners = this.#ring.endpoints.length;
    if (owners < 2) return;
    for (const [from, part] of [...parts]) {
      const joints = writer.jointsOf(part);
      if (joints === undefined) continue;
      for (let owner = 0; owner < owners; owner++) {
        if (owner === from) continue;
        const own = parts.get(owner);
        parts.set(owner, own === undefined ? joints : joined(joints, own));
      }
    }
  }

  #send(owner: number, part: Batch): void {
    const backend = this.#backends.get(this.#ring.endpoints[owner] ?? "");
    if (backend?.exporter.accept(part) === true) return;
    this.#refused.add(part.items);
    part.receipt?.settle({
      ...{ kind: "refused", retryable: true, message: "the backend's sending queue is full" },
    });
  }

  async #use(endpoints: readonly string[]): Promise<void> {
    const ring = new HashRing(endpoints);
    for (const endpoint of ring.endpoints) {
      if (!this.#backends.has(endpoint)) await this.#add(endpoint);
    }
    this.#ring = ring;
    for (const [endpoint, backend] of this.#backends) {
      if (!ring.endpoints.includes(endpoint)) this.#remove(endpoint, backend);
    }
    this.#publishReady();
  }

  async #add(endpoint: string): Promise<void> {
    const { telemetry, id } = this.#settings;
    const settings = { ...this.#settings, id: `${id}/${endpoint}` };
    const exporter = createOtlpGrpcExporter(
      settings,
      otlpSchema.parse({ ...this.#config.protocol.otlp, endpoint }),
    );
    const host = this.#host;
    if (host === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    await exporter.start(host);
    const backend: Backend = {
      exporter,
      isReady: true,
      watched: exporter.ready.subscribe((isReady) => {
        const known = this.#backends.get(endpoint);
        if (known === undefined) return;
        known.isReady = isReady;
        this.#publishReady();
      }),
    };
    this.#backends.set(endpoint, backend);
    telemetry.logger.info("A backend is used from now on.", { endpoint });
  }

  #remove(endpoint: string, backend: Backend): void {
    this.#backends.delete(endpoint);
    this.#settings.telemetry.logger.info("A backend is gone.", { endpoint });
    const leaving = stop(backend, AbortSignal.timeout(DRAIN_MS));
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }

  #publishReady(): void {
    const isReady = [...this.#backends.values()].every((backend) => backend.isReady);
    if (isReady !== this.#ready.value) this.#ready.next(isReady);
  }

  async shutdown(signal: AbortSignal): Promise<void> {
    this.#resolver.stop();
    await this.#changes;
    this.#stopGauge?.();
    this.#stopGauge = undefined;
    const backends = [...this.#backends.values()];
    this.#backends.clear();
    await Promise.all([...this.#leaving, ...backends.map((backend) => stop(backend, signal))]);
  }
}

async function stop({ exporter, watched }: Backend, signal: AbortSignal): Promise<void> {
  watched.unsubscribe();
  await exporter.shutdown(signal);
}

function joined(joints: Batch, own: Batch): Batch {
  return {
    ...own,
    chunks: [...joints.chunks, ...own.chunks],
    items: joints.items + own.items,
    bytes: joints.bytes + own.bytes,
  };
}

function routingKey({ signal }: ExporterSettings, config: LoadBalancingConfig): RoutingKey {
  const { routing_key: key } = config;
  if (signal === "traces") {
    if (key === "service") return "service";
    if (key !== "resource") return "traceID";
  } else if (key === "" || key === "service" || key === "resource") return key || "service";
  throw new AgentError("BS_CONFIG", `routing_key: ${key} does not work for ${signal}`);
}
