// SPDX-License-Identifier: Apache-2.0
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { rewriteBatch } from "../../src/attributes/rewrite-batch.ts";
import { Rewriter } from "../../src/attributes/rewriter.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import type { Telemetry } from "../../src/component/telemetry.ts";
import { ContainerRuntimes } from "../../src/kubernetes/container-runtimes.ts";
import {
  clusterAccess,
  PROCESS_SURROUNDINGS,
  type Surroundings,
} from "../../src/kubernetes/credentials.ts";
import { INFORMER_TIMES, type InformerTimes } from "../../src/kubernetes/informer.ts";
import type { Batch } from "../../src/model/batch.ts";
import { itemPath } from "../../src/pdata/levels.ts";
import { perBatch } from "../../src/pipeline/per-batch.ts";
import { Cluster } from "./cluster.ts";
import type { K8sAttributesConfig } from "./config.ts";
import { addContainer, addSender, ResourceEnricher } from "./enricher.ts";
import { PeerVisitor } from "./peers.ts";

/** Field 1 of the request is a resource with its data, and field 1 of that the resource. */
const RESOURCE_PATH = [1 << 1, 1 << 1];
const RESOURCE_FIELD = 1;
const ATTRIBUTES_FIELD = 1;

export interface World {
  readonly surroundings: Surroundings;
  readonly times: InformerTimes;
}

const WORLD: World = { surroundings: PROCESS_SURROUNDINGS, times: INFORMER_TIMES };

/** One configuration's cluster, used by all pipelines that name the processor. */
class SharedCluster {
  readonly #create: () => Cluster;
  #cluster: Cluster | undefined;
  #users = 0;

  constructor(create: () => Cluster) {
    this.#create = create;
  }

  acquire(): Cluster {
    if (this.#cluster === undefined) {
      this.#cluster = this.#create();
      this.#cluster.start();
    }
    this.#users++;
    return this.#cluster;
  }

  async release(): Promise<void> {
    if (--this.#users > 0) return;
    const cluster = this.#cluster;
    this.#cluster = undefined;
    await cluster?.stop();
  }
}

const sharedClusters = new WeakMap<K8sAttributesConfig, SharedCluster>();

export function createK8sAttributesProcessor(
  settings: PipelineSettings,
  config: K8sAttributesConfig,
  world: World = WORLD,
): Processor {
  const own = new K8sAttributes(settings, config, world);
  return {
    process: (input) => input.pipe(perBatch(settings, (batch) => own.rewrite(batch))),
    start: () => own.start(),
    shutdown: () => own.shutdown(),
  };
}

class K8sAttributes {
  readonly #settings: PipelineSettings;
  readonly #config: K8sAttributesConfig;
  readonly #world: World;
  readonly #list = new AttributeList();
  readonly #rewriter: Rewriter;
  readonly #counts: (isFound: boolean) => void;
  #shared: SharedCluster | undefined;
  #enricher: ResourceEnricher | undefined;
  #peers: Rewriter | undefined;
  #runtimes: ContainerRuntimes | undefined;
  #sender = "";

  constructor(settings: PipelineSettings, config: K8sAttributesConfig, world: World) {
    this.#settings = settings;
    this.#config = config;
    this.#world = world;
    this.#counts = associationCounts(settings.telemetry, settings);
    this.#rewriter = new Rewriter({
      path: RESOURCE_PATH,
      missingField: RESOURCE_FIELD,
      visitor: {
        enter: () => true,
        visit: (bytes, start, stop) => {
          this.#list.read(bytes, start, stop, ATTRIBUTES_FIELD);
          this.#enrich();
          return this.#list.isChanged;
        },
        write: (out) => this.#list.writeTo(out),
      },
    });
  }

  rewrite(batch: Batch): Batch {
    this.#sender = (batch.sender ?? "").replace(/^::ffff:/, "");
    const named = rewriteBatch(batch, this.#rewriter);
    return this.#peers === undefined ? named : rewriteBatch(named, this.#peers);
  }

  #enrich(): void {
    if (this.#config.passthrough) addSender(this.#list, this.#sender);
    else if (this.#enricher !== undefined) {
      const isFound = this.#enricher.enrich(this.#list, this.#sender);
      this.#counts(isFound);
      if (isFound) return;
    }
    if (this.#runtimes !== undefined) addContainer(this.#list, this.#runtimes);
  }

  async start(): Promise<void> {
    const { passthrough, auth_type: authType, container_runtime: runtime } = this.#config;
    if (runtime.endpoints.length > 0) {
      this.#runtimes ??= new ContainerRuntimes({
        endpoints: runtime.endpoints,
        timeoutMs: runtime.timeout,
        telemetry: this.#settings.telemetry,
        nowMs: () => performance.now(),
      });
    }
    if (passthrough || authType === "none" || this.#shared !== undefined) return;
    const shared = this.#sharedCluster();
    const cluster = shared.acquire();
    this.#shared = shared;
    this.#enricher = new ResourceEnricher(this.#config, cluster);
    if (this.#config.peer.enabled && this.#settings.signal === "traces") {
      const visitor = new PeerVisitor(this.#config, cluster);
      this.#peers = new Rewriter({ path: itemPath("traces"), visitor });
    }
    if (this.#config.wait_for_metadata) {
      await cluster.synced(this.#config.wait_for_metadata_timeout);
    }
  }

  async shutdown(): Promise<void> {
    this.#runtimes?.stop();
    const shared = this.#shared;
    this.#shared = undefined;
    await shared?.release();
  }

  #sharedCluster(): SharedCluster {
    const config = this.#config;
    let shared = sharedClusters.get(config);
    if (shared === undefined) {
      const { surroundings, times } = this.#world;
      const { telemetry } = this.#settings;
      const { context } = config;
      const authType = config.auth_type === "kubeConfig" ? "kubeConfig" : "serviceAccount";
      shared = new SharedCluster(() => {
        const access = clusterAccess({ authType, context }, surroundings);
        return new Cluster({ config, access, telemetry, env: surroundings.env, times });
      });
      sharedClusters.set(config, shared);
    }
    return shared;
  }
}

function associationCounts(
  telemetry: Telemetry,
  { id, signal }: PipelineSettings,
): (isFound: boolean) => void {
  const labels = { processor: id, otel_signal: signal };
  const success = telemetry.counter(
    "otelcol_processor_k8sattributes_pod_association_success",
    { description: "Resources whose pod was found.", unit: "{resource}" },
    labels,
  );
  const error = telemetry.counter(
    "otelcol_processor_k8sattributes_pod_association_error",
    { description: "Resources that no association rule leads to a pod.", unit: "{resource}" },
    labels,
  );
  return (isFound) => (isFound ? success : error).add(1);
}
