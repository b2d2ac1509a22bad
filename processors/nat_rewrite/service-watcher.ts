// SPDX-License-Identifier: Apache-2.0
import type { Telemetry } from "../../src/component/telemetry.ts";
import { ApiClient } from "../../src/kubernetes/api-client.ts";
import {
  clusterAccess,
  PROCESS_SURROUNDINGS,
  type Surroundings,
} from "../../src/kubernetes/credentials.ts";
import {
  type ApiResource,
  INFORMER_TIMES,
  Informer,
  type InformerTimes,
} from "../../src/kubernetes/informer.ts";
import type { JsonObject } from "../../src/kubernetes/json.ts";
import { ServiceEndpoints } from "../../src/kubernetes/service-endpoints.ts";
import {
  decodeEndpointSlice,
  decodeNodeAddresses,
  decodeServiceFront,
} from "../../src/kubernetes/service-objects.ts";
import type { KubernetesConfig } from "./config.ts";

const SWEEP_MS = 10_000;
const SERVICES: ApiResource = {
  ...{ name: "services", group: "", isNamespaced: true, metadataOnly: false },
};
const SLICES: ApiResource = {
  ...{ name: "endpointslices", group: "discovery.k8s.io", isNamespaced: true, metadataOnly: false },
};
const NODES: ApiResource = {
  ...{ name: "nodes", group: "", isNamespaced: false, metadataOnly: false },
};

export interface World {
  readonly surroundings: Surroundings;
  readonly times: InformerTimes;
}

const WORLD: World = { surroundings: PROCESS_SURROUNDINGS, times: INFORMER_TIMES };

/** Follows Services, EndpointSlices and nodes' addresses. */
export class ServiceWatcher {
  readonly endpoints: ServiceEndpoints;
  readonly #config: KubernetesConfig;
  readonly #telemetry: Telemetry;
  readonly #id: string;
  readonly #world: World;
  readonly #informers: { start(): void; stop(): Promise<void> }[] = [];
  #client: ApiClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopGauge: (() => void) | undefined;

  constructor(
    options: {
      readonly config: KubernetesConfig;
      readonly telemetry: Telemetry;
      readonly id: string;
      readonly nowMs: () => number;
    },
    world: World = WORLD,
  ) {
    this.#config = options.config;
    this.#telemetry = options.telemetry;
    this.#id = options.id;
    this.#world = world;
    this.endpoints = new ServiceEndpoints(options.config.remember, () => options.nowMs() * 1e6);
  }

  /** Throws an AgentError (BS_START) where there is no way to the API. */
  start(): void {
    const { auth_type: authType, context, namespaces } = this.#config;
    const access = clusterAccess({ authType, context }, this.#world.surroundings);
    const client = new ApiClient(access);
    this.#client = client;
    const { endpoints } = this;
    const follow = <T>(
      resource: ApiResource,
      namespace: string,
      decode: (object: JsonObject) => T | undefined,
      onChange: (next: T | undefined, previous: T | undefined) => void,
    ): void => {
      this.#informers.push(
        new Informer<T>({
          ...{ client, telemetry: this.#telemetry, times: this.#world.times },
          ...{ resource, namespace, labelSelector: "", fieldSelector: "", decode, onChange },
        }),
      );
    };
    for (const namespace of namespaces.length === 0 ? [""] : namespaces) {
      follow(SERVICES, namespace, decodeServiceFront, (next, before) =>
        endpoints.changeService(next, before),
      );
      follow(SLICES, namespace, decodeEndpointSlice, (next, before) =>
        endpoints.changeSlice(next, before),
      );
    }
    if (this.#config.node_ports) {
      follow(NODES, "", decodeNodeAddresses, (next, before) => endpoints.changeNode(next, before));
    }
    for (const informer of this.#informers) informer.start();
    this.#timer = setInterval(() => endpoints.sweep(), SWEEP_MS).unref();
    this.#stopGauge = this.#telemetry.gauge(
      "backstitch_nat_rewrite_service_addresses",
      { description: "Addresses and ports of Services that are known.", unit: "{address}" },
      () => endpoints.size,
      { processor: this.#id },
    );
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopGauge?.();
    this.#stopGauge = undefined;
    await Promise.all(this.#informers.splice(0).map((informer) => informer.stop()));
    this.#client?.close();
    this.#client = undefined;
  }
}
