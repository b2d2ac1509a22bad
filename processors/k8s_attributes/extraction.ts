// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
  ATTR_SERVICE_VERSION,
} from "@opentelemetry/semantic-conventions/incubating";
import {
  type ObjectMeta,
  type Owner,
  type Pod,
  type PodContainer,
  parseImage,
} from "../../src/kubernetes/objects.ts";
import type {
  ExtractConfig,
  FieldRule,
  K8sAttributesConfig,
  Metadata,
  ObjectKind,
} from "./config.ts";

export const OTEL_ANNOTATION = "resource.opentelemetry.io/";
const NAME_LABELS = ["app.kubernetes.io/instance", "app.kubernetes.io/name"];
const VERSION_LABEL = "app.kubernetes.io/version";

/** An attribute's value; nothing is added for an empty one. */
export type Found = Map<string, string | readonly string[]>;

/** What else is known of a pod's surroundings. */
export interface Related {
  /** The object with this uid, if it is known. */
  owner(kind: "replicaset" | ObjectKind, uid: string): ObjectMeta | undefined;
  namespace(name: string): ObjectMeta | undefined;
  node(name: string): ObjectMeta | undefined;
}

/** The workload above a pod, by kind in lower case. */
type Workloads = ReadonlyMap<string, { readonly name: string; readonly uid: string }>;

const WORKLOAD_KINDS = [
  "replicaset",
  "deployment",
  "statefulset",
  "daemonset",
  "job",
  "cronjob",
] as const;
/** The order in which a workload gives a service its name (semantic conventions, Kubernetes). */
const SERVICE_NAME_KINDS = [
  "deployment",
  "replicaset",
  "statefulset",
  "daemonset",
  "cronjob",
  "job",
] as const;

export class Extraction {
  readonly #config: ExtractConfig;
  readonly #metadata: ReadonlySet<Metadata>;
  readonly #related: Related;

  constructor(config: ExtractConfig, related: Related) {
    this.#config = config;
    this.#metadata = new Set(config.metadata);
    this.#related = related;
  }

  /** All that a pod gives, without its containers. */
  ofPod(pod: Pod): Found {
    const found: Found = new Map();
    const workloads = this.#workloads(pod);
    const put = (name: Metadata, value: string | undefined): void => {
      if (value !== undefined && value !== "" && this.#metadata.has(name)) found.set(name, value);
    };
    put("k8s.pod.name", pod.name);
    put("k8s.pod.uid", pod.uid);
    put("k8s.pod.hostname", pod.hostname);
    put("k8s.pod.ip", pod.ips[0]);
    put("k8s.pod.start_time", pod.startTime);
    for (const kind of WORKLOAD_KINDS) {
      const workload = workloads.get(kind);
      put(`k8s.${kind}.name`, workload?.name);
      put(`k8s.${kind}.uid`, workload?.uid);
    }
    this.#fields(found, "pod", pod);
    for (const kind of ["deployment", "statefulset", "daemonset", "job"] as const) {
      const uid = workloads.get(kind)?.uid;
      if (uid !== undefined) this.#fields(found, kind, this.#related.owner(kind, uid));
    }
    this.ofNamespace(pod.namespace, found);
    this.ofNode(pod.node, found);
    this.#service(found, pod, workloads);
    if (this.#config.otel_annotations) {
      for (const [key, value] of pod.annotations) {
        if (key.startsWith(OTEL_ANNOTATION)) found.set(key.slice(OTEL_ANNOTATION.length), value);
      }
    }
    return found;
  }

  ofNamespace(name: string, found: Found): void {
    if (name !== "" && this.#metadata.has("k8s.namespace.name")) {
      found.set("k8s.namespace.name", name);
    }
    if (this.#metadata.has("k8s.cluster.uid")) {
      const uid = this.#related.namespace("kube-system")?.uid;
      if (uid !== undefined) found.set("k8s.cluster.uid", uid);
    }
    this.#fields(found, "namespace", this.#related.namespace(name));
  }

  ofNode(name: string, found: Found): void {
    if (name === "") return;
    if (this.#metadata.has("k8s.node.name")) found.set("k8s.node.name", name);
    const node = this.#related.node(name);
    if (node !== undefined && this.#metadata.has("k8s.node.uid")) {
      found.set("k8s.node.uid", node.uid);
    }
    this.#fields(found, "node", node);
  }

  /** What one container of a pod gives besides. */
  ofContainer(pod: Pod, container: PodContainer, id: string | undefined): Found {
    const found: Found = new Map();
    const put = (name: Metadata, value: string | readonly string[]): void => {
      if (value.length > 0 && this.#metadata.has(name)) found.set(name, value);
    };
    const image = parseImage(container.image);
    const digest = parseImage(container.imageId);
    put("k8s.container.name", container.name);
    put("container.id", id ?? container.ids[0] ?? "");
    put("container.image.name", image.name);
    put("container.image.tag", image.tag);
    put("container.image.tags", image.tag === "" ? [] : [image.tag]);
    put("container.image.repo_digests", digest.digest === "" ? [] : [container.imageId]);
    const given = pod.annotations.get(OTEL_ANNOTATION + ATTR_SERVICE_VERSION);
    const version = given ?? pod.labels.get(VERSION_LABEL) ?? versionOf(image);
    put(ATTR_SERVICE_VERSION, version);
    const instance = pod.annotations.get(OTEL_ANNOTATION + ATTR_SERVICE_INSTANCE_ID);
    put(ATTR_SERVICE_INSTANCE_ID, instance ?? `${pod.namespace}.${pod.name}.${container.name}`);
    return found;
  }

  /** `service.name` by the conventions' rules, whether it is asked for or not. */
  serviceName(pod: Pod): string {
    return serviceNameOf(pod, this.#workloads(pod));
  }

  #service(found: Found, pod: Pod, workloads: Workloads): void {
    const put = (name: Metadata, value: string | undefined): void => {
      if (value !== undefined && value !== "" && this.#metadata.has(name)) found.set(name, value);
    };
    put(ATTR_SERVICE_NAME, serviceNameOf(pod, workloads));
    const namespace = pod.annotations.get(OTEL_ANNOTATION + ATTR_SERVICE_NAMESPACE);
    put(ATTR_SERVICE_NAMESPACE, namespace ?? pod.namespace);
    const version = pod.annotations.get(OTEL_ANNOTATION + ATTR_SERVICE_VERSION);
    put(ATTR_SERVICE_VERSION, version ?? pod.labels.get(VERSION_LABEL));
    put(ATTR_SERVICE_INSTANCE_ID, pod.annotations.get(OTEL_ANNOTATION + ATTR_SERVICE_INSTANCE_ID));
  }

  #workloads(pod: Pod): Workloads {
    const found = new Map<string, { name: string; uid: string }>();
    const { owner } = pod;
    if (owner === undefined) return found;
    const kind = owner.kind.toLowerCase();
    found.set(kind, owner);
    const above = kind === "replicaset" ? this.#deployment(owner) : undefined;
    if (above !== undefined) found.set("deployment", above);
    const schedule = kind === "job" ? this.#cronJob(owner) : undefined;
    if (schedule !== undefined) found.set("cronjob", schedule);
    return found;
  }

  #deployment(replicaSet: Owner): { name: string; uid: string } | undefined {
    if (this.#config.deployment_name_from_replicaset) {
      const name = /^(.+)-[0-9a-z]+$/.exec(replicaSet.name)?.[1];
      return name === undefined ? undefined : { name, uid: "" };
    }
    const above = this.#related.owner("replicaset", replicaSet.uid)?.owner;
    return above?.kind === "Deployment" ? above : undefined;
  }

  /** A CronJob's jobs are its name and the minute they are for. */
  #cronJob(job: Owner): { name: string; uid: string } | undefined {
    const above = this.#related.owner("job", job.uid)?.owner;
    if (above?.kind === "CronJob") return above;
    const name = /^(.+)-\d{8,}$/.exec(job.name)?.[1];
    return name === undefined ? undefined : { name, uid: "" };
  }

  #fields(found: Found, from: ObjectKind, object: ObjectMeta | undefined): void {
    if (object === undefined) return;
    const { labels, annotations } = this.#config;
    for (const rule of labels) {
      if (rule.from === from) applyRule(found, rule, { kind: "label", values: object.labels });
    }
    for (const rule of annotations) {
      if (rule.from !== from) continue;
      applyRule(found, rule, { kind: "annotation", values: object.annotations });
    }
  }
}

function serviceNameOf(pod: Pod, workloads: Workloads): string {
  const given = pod.annotations.get(OTEL_ANNOTATION + ATTR_SERVICE_NAME);
  if (given !== undefined) return given;
  for (const label of NAME_LABELS) {
    const name = pod.labels.get(label);
    if (name !== undefined && name !== "") return name;
  }
  for (const kind of SERVICE_NAME_KINDS) {
    const name = workloads.get(kind)?.name;
    if (name !== undefined) return name;
  }
  return pod.name;
}

/** Tag and digest, whichever there is (semantic conventions, Kubernetes, service.version). */
function versionOf(image: { readonly tag: string; readonly digest: string }): string {
  if (image.tag === "" || image.digest === "") return image.tag || image.digest;
  return `${image.tag}@${image.digest}`;
}

interface Fields {
  readonly kind: "label" | "annotation";
  readonly values: ReadonlyMap<string, string>;
}

function applyRule(found: Found, rule: FieldRule, { kind, values }: Fields): void {
  if (rule.key !== undefined) {
    const value = values.get(rule.key);
    if (value === undefined) return;
    found.set(rule.tagName ?? `k8s.${rule.from}.${kind}.${rule.key}`, value);
    return;
  }
  for (const [key, value] of values) {
    const match = rule.keyPattern?.exec(key);
    if (match === null || match === undefined) continue;
    const name =
      rule.tagName === undefined
        ? `k8s.${rule.from}.${kind}.${key}`
        : expand(rule.tagName, match, rule.groupNames);
    if (name !== "") found.set(name, value);
  }
}

/** `$1`, `${1}` and `$name`, as Go's `Regexp.Expand`. */
function expand(
  template: string,
  match: readonly (string | undefined)[],
  names: readonly string[],
): string {
  return template.replace(/\$(?:\{(\w+)\}|(\w+)|\$)/g, (all, braced, bare) => {
    if (all === "$$") return "$";
    const name = String(braced ?? bare);
    const index = /^\d+$/.test(name) ? Number(name) : names.indexOf(name) + 1;
    return index === 0 && name !== "0" ? "" : (match[index] ?? "");
  });
}

/** Does a rule, or what a service's name is made of, want this label or annotation of `from`? */
export function wantedKeys(
  config: K8sAttributesConfig,
  from: ObjectKind,
): { readonly label: (key: string) => boolean; readonly annotation: (key: string) => boolean } {
  const { labels, annotations } = config.extract;
  const isIn = (rules: readonly FieldRule[], key: string): boolean =>
    rules.some((rule) => rule.from === from && (rule.key === key || rule.keyPattern?.test(key)));
  if (from !== "pod") {
    return { label: (key) => isIn(labels, key), annotation: (key) => isIn(annotations, key) };
  }
  const known = new Set([...NAME_LABELS, VERSION_LABEL]);
  return {
    label: (key) => known.has(key) || isIn(labels, key),
    annotation: (key) => key.startsWith(OTEL_ANNOTATION) || isIn(annotations, key),
  };
}
