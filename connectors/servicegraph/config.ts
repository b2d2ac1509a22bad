// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface ServiceGraphConfig {
  /** ms; empty: the default ones. */
  readonly latency_histogram_buckets?: readonly number[] | undefined;
  /** 0: explicit buckets. */
  readonly exponential_histogram_max_size: number;
  readonly dimensions: readonly string[];
  readonly store: { readonly ttl: number; readonly max_items: number };
  readonly cache_loop: number;
  readonly store_expiration_loop: number;
  readonly virtual_node_peer_attributes: readonly string[];
  readonly virtual_node_extra_label: boolean;
  readonly metrics_flush_interval: number;
  readonly database_name_attributes: readonly string[];
  readonly wait_for_databases: boolean;
}

/** What k8s_attributes and SDKs name the other end by, then addresses. */
const PEER_ATTRIBUTES: readonly string[] = [
  ...["service.peer.name", "peer.service", "peer.k8s.service.name", "db.namespace", "db.name"],
  ...["rpc.service", "server.address", "net.peer.name", "network.peer.address"],
  ...["net.sock.peer.addr", "url.full", "http.url"],
];

const accepted = z.string().optional().describe("Accepted, without effect.");

export const configSchema: z.ZodType<ServiceGraphConfig> = z
  .strictObject({
    latency_histogram_buckets: z
      .array(duration({ positive: true }))
      .optional()
      .describe("Upper bounds, as durations; 2ms to 15s by default."),
    exponential_histogram_max_size: z
      .int()
      .min(0, { error: "`exponential_histogram_max_size` can not be negative" })
      .default(0)
      .describe("Exponential buckets, so many at most; 0: explicit ones."),
    dimensions: z
      .array(z.string().min(1))
      .default([])
      .describe("Attributes of spans or resources that become `client_…` and `server_…` labels."),
    store: z
      .strictObject({
        ttl: duration({ positive: true })
          .default(2000)
          .describe("How long a span waits for its other."),
        max_items: z.int().min(1).default(1000).describe("Spans that wait at most."),
      })
      .prefault({}),
    cache_loop: duration({ positive: true })
      .default(60_000)
      .describe("How often series of the last 15 minutes without a request are looked for."),
    store_expiration_loop: duration({ positive: true })
      .default(2000)
      .describe("How often spans that waited in vain are looked for."),
    virtual_node_peer_attributes: z
      .array(z.string().min(1))
      .default([...PEER_ATTRIBUTES])
      .describe("What names a server that sends no spans; the first that a span has."),
    virtual_node_extra_label: z
      .boolean()
      .default(false)
      .describe("Label `virtual_node` (`client` or `server`) on edges to such nodes."),
    metrics_flush_interval: duration()
      .default(60_000)
      .describe("How often metrics are given out; 0: after each batch of spans."),
    database_name_attributes: z
      .array(z.string().min(1))
      .default(["db.name", "db.namespace"])
      .describe("What names a client span's database; the first that it has."),
    wait_for_databases: z
      .boolean()
      .default(false)
      .describe("Databases send spans, too: their service's name comes before the database's."),
    metrics_exporter: accepted,
    database_name_attribute: accepted,
  })
  .refine(
    (config) =>
      config.latency_histogram_buckets === undefined || config.exponential_histogram_max_size === 0,
    { error: "use either `latency_histogram_buckets` or `exponential_histogram_max_size`" },
  );
