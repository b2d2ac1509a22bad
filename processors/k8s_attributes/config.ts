// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { compileRe2 } from "../../src/config/re2.ts";
import { duration } from "../../src/config/types.ts";

/** What `extract.metadata` may name. */
export const METADATA = [
  "k8s.namespace.name",
  "k8s.pod.name",
  "k8s.pod.uid",
  "k8s.pod.hostname",
  "k8s.pod.ip",
  "k8s.pod.start_time",
  "k8s.replicaset.name",
  "k8s.replicaset.uid",
  "k8s.deployment.name",
  "k8s.deployment.uid",
  "k8s.daemonset.name",
  "k8s.daemonset.uid",
  "k8s.statefulset.name",
  "k8s.statefulset.uid",
  "k8s.job.name",
  "k8s.job.uid",
  "k8s.cronjob.name",
  "k8s.cronjob.uid",
  "k8s.node.name",
  "k8s.node.uid",
  "k8s.cluster.uid",
  "k8s.container.name",
  "container.id",
  "container.image.name",
  "container.image.tag",
  "container.image.tags",
  "container.image.repo_digests",
  "service.name",
  "service.namespace",
  "service.version",
  "service.instance.id",
] as const;
export type Metadata = (typeof METADATA)[number];

/** What an association may take from a resource, and a pod has: see README. */
export const ASSOCIATION_NAMES = [
  "k8s.pod.uid",
  "k8s.pod.name",
  "k8s.pod.ip",
  "k8s.pod.hostname",
  "k8s.namespace.name",
  "k8s.node.name",
  "k8s.replicaset.name",
  "k8s.statefulset.name",
  "k8s.daemonset.name",
  "k8s.job.name",
  "container.id",
  "host.name",
  "ip",
] as const;
export type AssociationName = (typeof ASSOCIATION_NAMES)[number];

export const OBJECT_KINDS = [
  "pod",
  "namespace",
  "node",
  "deployment",
  "statefulset",
  "daemonset",
  "job",
] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];

/** One rule of `extract.labels` or `extract.annotations`, compiled. */
export interface FieldRule {
  readonly from: ObjectKind;
  /** The attribute; with `$1` for groups of `keyPattern`. Undefined: the conventions' name. */
  readonly tagName: string | undefined;
  readonly key: string | undefined;
  readonly keyPattern: RegExp | undefined;
  /** Names of the pattern's groups, from the first on. */
  readonly groupNames: readonly string[];
}

const fieldRule = z
  .strictObject({
    tag_name: z.string().default("").describe("The attribute. With key_regex: $$1 is a group."),
    key: z.string().default("").describe("The label's or annotation's key."),
    key_regex: z.string().default("").describe("Or all keys that match this as a whole."),
    from: z.enum(OBJECT_KINDS).default("pod").describe("Whose labels or annotations."),
  })
  .transform((rule, context): FieldRule => {
    const { key, key_regex: pattern } = rule;
    const compiled = pattern === "" ? undefined : compileRe2(`^(?:${pattern})$`);
    if ((key === "") === (pattern === "")) {
      context.addIssue({ code: "custom", message: "needs key or key_regex, one of them" });
      return z.NEVER;
    }
    if (typeof compiled === "string") {
      context.addIssue({ code: "custom", path: ["key_regex"], message: compiled });
      return z.NEVER;
    }
    return {
      from: rule.from,
      tagName: rule.tag_name === "" ? undefined : rule.tag_name,
      key: key === "" ? undefined : key,
      keyPattern: compiled?.regexp,
      groupNames: compiled?.groupNames ?? [],
    };
  });

const podName = z.strictObject({
  name: z
    .string()
    .transform((text, context): RegExp => {
      const compiled = compileRe2(text);
      if (typeof compiled !== "string") return compiled.regexp;
      context.addIssue({ code: "custom", message: compiled });
      return z.NEVER;
    })
    .describe("Pods whose name matches this regular expression get no attributes."),
});

const labelFilter = z.strictObject({
  key: z.string().min(1).describe("The label."),
  value: z.string().default("").describe("For equals and not-equals."),
  op: z
    .enum(["", "equals", "not-equals", "exists", "does-not-exist"])
    .default("equals")
    .describe("equals, not-equals, exists or does-not-exist."),
});
const fieldFilter = z.strictObject({
  key: z.string().min(1).describe("The field, such as spec.nodeName or status.phase."),
  value: z.string().default("").describe("Its value."),
  op: z.enum(["", "equals", "not-equals"]).default("equals").describe("equals or not-equals."),
});

/** Where one value of an association comes from; `name` for `resource_attribute`. */
export interface AssociationSource {
  readonly from: "resource_attribute" | "connection";
  readonly name?: AssociationName | undefined;
}

/** One rule of `pod_association`. */
export interface AssociationRule {
  readonly sources: readonly AssociationSource[];
}

const source: z.ZodType<AssociationSource, unknown> = z
  .strictObject({
    from: z.enum(["resource_attribute", "connection"]).describe("Where the value comes from."),
    name: z
      .enum(ASSOCIATION_NAMES)
      .optional()
      .describe("For resource_attribute: the attribute, which the pod has too."),
  })
  .refine(({ from, name }) => (from === "connection") === (name === undefined), {
    error: "resource_attribute needs a name, connection has none",
  });

const metadata = z.array(z.enum(METADATA, { error: `is not one of: ${METADATA.join(", ")}` }));
const DEFAULT_METADATA: readonly Metadata[] = [
  "k8s.namespace.name",
  "k8s.pod.name",
  "k8s.pod.uid",
  "k8s.pod.start_time",
  "k8s.deployment.name",
  "k8s.node.name",
  "k8s.container.name",
  "container.image.name",
  "container.image.tag",
];

const extract = z.strictObject({
  metadata: metadata.default([...DEFAULT_METADATA]).describe("Attributes to add."),
  labels: z.array(fieldRule).default([]).describe("Labels that become attributes."),
  annotations: z.array(fieldRule).default([]).describe("Annotations that become attributes."),
  otel_annotations: z
    .boolean()
    .default(false)
    .describe("Pod annotations resource.opentelemetry.io/X become the attribute X."),
  deployment_name_from_replicaset: z
    .boolean()
    .default(false)
    .describe("Cut the Deployment's name from the ReplicaSet's; ReplicaSets are not watched."),
});

const filter = z.strictObject({
  node: z.string().default("").describe("Only pods on this node."),
  node_from_env_var: z.string().default("").describe("Or on the node that this variable names."),
  namespace: z
    .union([z.string(), z.array(z.string())])
    .default("")
    .transform((names) => (Array.isArray(names) ? names : [names]).filter((name) => name !== ""))
    .describe("Only pods in this namespace, or in these; needs no cluster-wide role."),
  fields: z.array(fieldFilter).default([]).describe("Only pods with these fields."),
  labels: z.array(labelFilter).default([]).describe("Only pods with these labels."),
});

const peer = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe("Name the other end of each span, by its network.peer.address."),
});

const containerRuntime = z.strictObject({
  endpoints: z
    .array(z.string().startsWith("unix://", { error: "write unix:///path/of/the.sock" }))
    .default([])
    .describe("Sockets of Docker, containerd or CRI-O; asked for containers without a pod."),
  timeout: duration({ positive: true }).default(2_000).describe("For one answer."),
});

export interface ExtractConfig {
  readonly metadata: readonly Metadata[];
  readonly labels: readonly FieldRule[];
  readonly annotations: readonly FieldRule[];
  readonly otel_annotations: boolean;
  readonly deployment_name_from_replicaset: boolean;
}

interface FieldFilter {
  readonly key: string;
  readonly value: string;
  readonly op: string;
}

export interface K8sAttributesConfig {
  readonly auth_type: "serviceAccount" | "kubeConfig" | "none";
  readonly context: string;
  readonly passthrough: boolean;
  readonly extract: ExtractConfig;
  readonly filter: {
    readonly node: string;
    readonly node_from_env_var: string;
    readonly namespace: readonly string[];
    readonly fields: readonly FieldFilter[];
    readonly labels: readonly FieldFilter[];
  };
  readonly pod_association: readonly AssociationRule[];
  readonly exclude: { readonly pods: readonly { readonly name: RegExp }[] };
  readonly wait_for_metadata: boolean;
  readonly wait_for_metadata_timeout: number;
  readonly deleted_pods_grace_period: number;
  readonly resync_period: number;
  readonly overwrite: readonly string[];
  readonly peer: { readonly enabled: boolean };
  readonly container_runtime: { readonly endpoints: readonly string[]; readonly timeout: number };
}

export const configSchema: z.ZodType<K8sAttributesConfig> = z.strictObject({
  auth_type: z
    .enum(["serviceAccount", "kubeConfig", "none"])
    .default("serviceAccount")
    .describe("serviceAccount in a pod, kubeConfig outside; none: the API is not asked."),
  context: z.string().default("").describe("Context of the kubeconfig; empty: its current one."),
  passthrough: z
    .boolean()
    .default(false)
    .describe("Add only k8s.pod.ip, the sender's address; the API is not asked."),
  extract: extract.prefault({}).describe("What is added."),
  filter: filter.prefault({}).describe("Which pods are known."),
  pod_association: z
    .array(
      z.strictObject({
        sources: z.array(source).min(1).max(4).describe("All of these must match."),
      }),
    )
    .default([])
    .describe("How a resource finds its pod; the first rule that does. Default: see README."),
  exclude: z
    .strictObject({ pods: z.array(podName).describe("By name.") })
    .prefault({ pods: [{ name: "jaeger-agent" }, { name: "jaeger-collector" }] })
    .describe("Pods that get no attributes."),
  wait_for_metadata: z
    .boolean()
    .default(false)
    .describe("Start only when all is known; fail after wait_for_metadata_timeout."),
  wait_for_metadata_timeout: duration({ positive: true }).default(10_000).describe("See above."),
  deleted_pods_grace_period: duration()
    .default(120_000)
    .describe("How long a pod that is gone still gives attributes."),
  resync_period: duration().default(0).describe("Read all lists again after this; 0s: never."),
  overwrite: z
    .array(z.string())
    .default([])
    .describe("Attributes that are replaced when the resource has them, as service.name."),
  peer: peer.prefault({}).describe("The remote end of a connection."),
  container_runtime: containerRuntime
    .prefault({})
    .describe("Names of containers that are not Kubernetes'."),
});
