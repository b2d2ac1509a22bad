// SPDX-License-Identifier: Apache-2.0
import { AgentError } from "../../src/component/errors.ts";
import type { Telemetry } from "../../src/component/telemetry.ts";
import { ApiClient } from "../../src/kubernetes/api-client.ts";
import type { ClusterAccess } from "../../src/kubernetes/credentials.ts";
import { type ApiResource, Informer, type InformerTimes } from "../../src/kubernetes/informer.ts";
import {
  type ClusterService,
  decodeMeta,
  decodePod,
  decodeService,
  type ObjectMeta,
} from "../../src/kubernetes/objects.ts";
import type { K8sAttributesConfig, ObjectKind } from "./config.ts";
import { type Related, wantedKeys } from "./extraction.ts";
import { PodDirectory } from "./pod-directory.ts";

const SWEEP_INTERVAL_MS = 10_000;

const PODS: ApiResource = { name: "pods", group: "", isNamespaced: true, metadataOnly: false };
const SERVICES: ApiResource = {
  name: "services",
  group: "",
  isNamespaced: true,
  metadataOnly: false,
};
type MetaKind = "replicaset" | Exclude<ObjectKind, "pod">;
const META_RESOURCES: Readonly<Record<MetaKind, ApiResource>> = {
  replicaset: { name: "replicasets", group: "apps", isNamespaced: true, metadataOnly: true },
  deployment: { name: "deployments", group: "apps", isNamespaced: true, metadataOnly: true },
  statefulset: { name: "statefulsets", group: "apps", isNamespaced: true, metadataOnly: true },
  daemonset: { name: "daemonsets", group: "apps", isNamespaced: true, metadataOnly: true },
  job: { name: "jobs", group: "batch", isNamespaced: true, metadataOnly: true },
  namespace: { name: "namespaces", group: "", isNamespaced: false, metadataOnly: true },
  node: { name: "nodes", group: "", isNamespaced: false, metadataOnly: true },
};

export interface ClusterOptions {
  readonly config: K8sAttributesConfig;
  readonly access: ClusterAccess;
  readonly telemetry: Telemetry;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly times: InformerTimes;
}

/** What is known of one cluster, as the configuration needs it; nothing else is watched. */
export class Cluster implements Related {
  readonly pods: PodDirectory;
  readonly #options: ClusterOptions;
  readonly #client: ApiClient;
  readonly #informers: { start(): void; stop(): Promise<void> }[] = [];
  readonly #syncs: { readonly synced: Promise<void>; readonly what: () => string | undefined }[] =
    [];
  /** By uid; namespaces and nodes by name. */
  readonly #objects = new Map<MetaKind, Map<string, ObjectMeta>>();
  readonly #services = new Map<string, ClusterService>();
  #others = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { config } = options;
    this.#client = new ApiClient(options.access);
    this.pods = new PodDirectory({
      rules: associationRules(config),
      graceMs: config.deleted_pods_grace_period,
      nowMs: () => performance.now(),
    });
    for (const namespace of this.#namespaces()) {
      this.#follow({
        resource: PODS,
        namespace,
        ...podSelectors(config, options.env),
        decode: (object) => decodePod(object, wantedKeys(config, "pod")),
        onChange: (next, previous) => this.pods.change(next, previous),
      });
    }
    for (const kind of neededKinds(config)) this.#followMeta(kind);
    if (config.peer.enabled) this.#followServices();
  }

  /** Changes when anything does that an attribute is made of. */
  get generation(): number {
    return this.pods.generation + this.#others;
  }

  owner(kind: "replicaset" | ObjectKind, uid: string): ObjectMeta | undefined {
    return kind === "pod" ? undefined : this.#objects.get(kind)?.get(uid);
  }

  namespace(name: string): ObjectMeta | undefined {
    return this.#objects.get("namespace")?.get(name);
  }

  node(name: string): ObjectMeta | undefined {
    return this.#objects.get("node")?.get(name);
  }

  serviceByIp(ip: string): ClusterService | undefined {
    return this.#services.get(ip);
  }

  start(): void {
    for (const informer of this.#informers) informer.start();
    this.#sweeper ??= setInterval(() => this.pods.sweep(), SWEEP_INTERVAL_MS).unref();
  }

  /** Resolves when all first lists are read; rejects after `timeoutMs` with what is missing. */
  async synced(timeoutMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      const reasons = this.#syncs.map(({ what }) => what()).filter((text) => text !== undefined);
      const why = [...new Set(reasons)].join("; ");
      late.reject(
        new AgentError(
          "BS_START",
          `no Kubernetes metadata within ${timeoutMs} ms (wait_for_metadata_timeout): ${why}`,
        ),
      );
    }, timeoutMs);
    try {
      await Promise.race([Promise.all(this.#syncs.map(({ synced }) => synced)), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    await Promise.all(this.#informers.map((informer) => informer.stop()));
    this.#client.close();
  }

  /** One watch a namespace; the empty name is all of them. */
  #namespaces(): readonly string[] {
    const { namespace } = this.#options.config.filter;
    return namespace.length === 0 ? [""] : namespace;
  }

  #followMeta(kind: MetaKind): void {
    const resource = META_RESOURCES[kind];
    const { config, env } = this.#options;
    const known = new Map<string, ObjectMeta>();
    this.#objects.set(kind, known);
    const kept = wantedKeys(config, kind === "replicaset" ? "job" : kind);
    const nameOf = (object: ObjectMeta): string =>
      resource.isNamespaced ? object.uid : object.name;
    for (const namespace of resource.isNamespaced ? this.#namespaces() : [""]) {
      this.#follow<ObjectMeta>({
        resource,
        namespace,
        labelSelector: "",
        fieldSelector: kind === "node" ? nodeSelector(config, env) : "",
        decode: (object) => decodeMeta(object, kept),
        onChange: (next, previous) => {
          this.#others++;
          if (next !== undefined) known.set(nameOf(next), next);
          else if (previous !== undefined) known.delete(nameOf(previous));
        },
      });
    }
  }

  #followServices(): void {
    const kept = { label: () => false, annotation: () => false };
    for (const namespace of this.#namespaces()) {
      this.#follow<ClusterService>({
        resource: SERVICES,
        namespace,
        labelSelector: "",
        fieldSelector: "",
        decode: (object) => decodeService(object, kept),
        onChange: (next, previous) => {
          this.#others++;
          for (const ip of previous?.ips ?? []) {
            if (this.#services.get(ip)?.uid === previous?.uid) this.#services.delete(ip);
          }
          for (const ip of next?.ips ?? []) if (next !== undefined) this.#services.set(ip, next);
        },
      });
    }
  }

  #follow<T>(
    what: Omit<ConstructorParameters<typeof Informer<T>>[0], "client" | "telemetry" | "times">,
  ): void {
    const { telemetry, times, config } = this.#options;
    const informer = new Informer<T>({
      ...what,
      client: this.#client,
      telemetry,
      times: { ...times, resyncMs: config.resync_period },
    });
    this.#informers.push(informer);
    this.#syncs.push({
      synced: informer.synced,
      what: () => {
        if (informer.isSynced) return undefined;
        return informer.problem ?? `${what.resource.name}: no answer yet`;
      },
    });
  }
}

const DEFAULT_RULES: K8sAttributesConfig["pod_association"] = [
  { sources: [{ from: "resource_attribute", name: "k8s.pod.uid" }] },
  { sources: [{ from: "resource_attribute", name: "container.id" }] },
  { sources: [{ from: "resource_attribute", name: "k8s.pod.ip" }] },
  { sources: [{ from: "connection" }] },
];

export function associationRules(
  config: K8sAttributesConfig,
): K8sAttributesConfig["pod_association"] {
  return config.pod_association.length === 0 ? DEFAULT_RULES : config.pod_association;
}

function neededKinds(config: K8sAttributesConfig): ReadonlySet<MetaKind> {
  const { metadata, labels, annotations, deployment_name_from_replicaset } = config.extract;
  const needed = new Set<MetaKind>();
  for (const { from } of [...labels, ...annotations]) if (from !== "pod") needed.add(from);
  const asksDeployment = metadata.some(
    (name) => name.startsWith("k8s.deployment.") || name === "service.name",
  );
  const isDeploymentAsked = asksDeployment || config.peer.enabled || needed.has("deployment");
  if (isDeploymentAsked && !deployment_name_from_replicaset) needed.add("replicaset");
  if (metadata.includes("k8s.cronjob.uid")) needed.add("job");
  if (metadata.includes("k8s.cluster.uid")) needed.add("namespace");
  if (metadata.includes("k8s.node.uid")) needed.add("node");
  return needed;
}

function nodeOf(config: K8sAttributesConfig, env: ClusterOptions["env"]): string {
  const { node, node_from_env_var: variable } = config.filter;
  if (variable === "") return node;
  const name = env[variable] ?? "";
  if (name !== "") return name;
  throw new AgentError(
    "BS_CONFIG",
    `filter::node_from_env_var: ${variable} is not set. Set it from spec.nodeName (downward API)`,
  );
}

function nodeSelector(config: K8sAttributesConfig, env: ClusterOptions["env"]): string {
  const node = nodeOf(config, env);
  return node === "" ? "" : `metadata.name=${node}`;
}

function podSelectors(
  config: K8sAttributesConfig,
  env: ClusterOptions["env"],
): { readonly labelSelector: string; readonly fieldSelector: string } {
  // The other ends of connections are pods of other nodes, too.
  const node = nodeOf(config, env);
  const fields = config.filter.fields.map(
    ({ key, op, value }) => `${key}${op === "not-equals" ? "!=" : "="}${value}`,
  );
  if (node !== "" && !config.peer.enabled) fields.push(`spec.nodeName=${node}`);
  const labels = config.filter.labels.map(({ key, op, value }) => {
    if (op === "exists") return key;
    if (op === "does-not-exist") return `!${key}`;
    return `${key}${op === "not-equals" ? "!=" : "="}${value}`;
  });
  return { labelSelector: labels.join(","), fieldSelector: fields.join(",") };
}
