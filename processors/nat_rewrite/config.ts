// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

/** Options of `nat_rewrite`, durations in milliseconds. */
export interface NatRewriteConfig {
  readonly conntrack: ConntrackConfig;
  readonly pairs: PairsConfig;
  readonly kubernetes: KubernetesConfig;
}

export interface KubernetesConfig {
  readonly enabled: boolean;
  readonly auth_type: "serviceAccount" | "kubeConfig";
  readonly context: string;
  readonly namespaces: readonly string[];
  readonly node_ports: boolean;
  readonly remember: number;
}

export interface ConntrackConfig {
  readonly enabled: boolean;
  readonly namespaces: readonly string[];
  readonly max_namespaces: number;
  readonly max_entries: number;
  readonly resync_interval: number;
  readonly remember: number;
}

export interface PairsConfig {
  readonly enabled: boolean;
  readonly wait: number;
  readonly max_pairs: number;
  readonly max_held_mib: number;
}

const conntrackSchema = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether connection tracking is read."),
  namespaces: z
    .array(z.string().min(1))
    .default(["self"])
    .describe(
      "Network namespaces that translate addresses: `self` (the agent's own, a node's with " +
        "`hostNetwork`), `all` (of every process, and named ones), or files such as " +
        "`/run/netns/NAME`.",
    ),
  max_namespaces: z
    .int()
    .min(1)
    .max(4096)
    .default(256)
    .describe("Network namespaces followed at most, 1 to 4096."),
  max_entries: z
    .int()
    .min(1000)
    .max(4_000_000)
    .default(262_144)
    .describe("Translated connections kept at most, 1000 to 4000000; 120 bytes each."),
  resync_interval: duration({ minMs: 1000, maxMs: 86_400_000 })
    .default(60_000)
    .describe("How often all connections are listed again, 1s to 24h."),
  remember: duration({ minMs: 0, maxMs: 3_600_000 })
    .default(120_000)
    .describe("How long a connection that ended is remembered for late spans, up to 1h."),
});

const pairsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe("Whether the two spans of one request tell each other's addresses."),
  wait: duration({ minMs: 0, maxMs: 10_000 })
    .default(50)
    .describe("How long spans wait for the other end's span, up to 10s."),
  max_pairs: z
    .int()
    .min(1024)
    .max(1_048_576)
    .default(65_536)
    .describe("Requests remembered at most, 1024 to 1048576; the oldest are forgotten first."),
  max_held_mib: z
    .int()
    .min(1)
    .max(1024)
    .default(32)
    .describe("Bytes of waiting spans at most, MiB; beyond, the oldest go on."),
});

const kubernetesSchema = z.strictObject({
  enabled: z.boolean().default(false).describe("Whether Services and EndpointSlices are read."),
  auth_type: z
    .enum(["serviceAccount", "kubeConfig"])
    .default("serviceAccount")
    .describe("In a pod, or outside with a kubeconfig (`KUBECONFIG`, else `~/.kube/config`)."),
  context: z.string().default("").describe("Of the kubeconfig; empty: its current one."),
  namespaces: z
    .array(z.string().min(1))
    .default([])
    .describe("Only their Services; none: all. A Role in each is then enough."),
  node_ports: z
    .boolean()
    .default(true)
    .describe("Also NodePorts: nodes are read for their addresses."),
  remember: duration({ minMs: 0, maxMs: 3_600_000 })
    .default(120_000)
    .describe("How long it is known who answered before, for late spans, up to 1h."),
});

export const configSchema: z.ZodType<NatRewriteConfig> = z.strictObject({
  conntrack: conntrackSchema.prefault({}).describe("The kernel's connection tracking, by netlink."),
  pairs: pairsSchema
    .prefault({})
    .describe("Client and server spans that name the same byte, after `span_stitch`."),
  kubernetes: kubernetesSchema
    .prefault({})
    .describe("Services' addresses that one endpoint stands behind, where nothing else tells."),
});
