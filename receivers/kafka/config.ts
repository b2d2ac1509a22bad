// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { byteSize, duration } from "../../src/config/types.ts";
import {
  ENCODINGS,
  type KafkaClientConfig,
  type KafkaEncoding,
  kafkaClientShape,
} from "../../src/transport/kafka.ts";

export interface KafkaReceiverConfig extends KafkaClientConfig {
  readonly traces: TracesTopics;
  readonly metrics: Topics;
  readonly logs: Topics;
  readonly group_id: string;
  readonly group_instance_id: string;
  readonly initial_offset: "latest" | "earliest";
  readonly session_timeout: number;
  readonly heartbeat_interval: number;
  readonly min_fetch_size: number;
  readonly max_fetch_size: number;
  readonly max_fetch_wait: number;
  readonly max_partition_fetch_size: number;
  readonly autocommit: { readonly enable: boolean; readonly interval: number };
  readonly message_marking: { readonly after: boolean; readonly on_error: boolean };
  readonly max_in_flight_mib: number;
}

interface Topics {
  readonly topics: readonly string[];
  readonly encoding: KafkaEncoding;
}

interface TracesTopics extends Topics {
  /** Empty: off. */
  readonly stitch_topic: string;
  readonly stitch_lookback: number;
}

const topics = (name: string) => ({
  topics: z.array(z.string().min(1)).min(1).default([name]).describe("Topics to read."),
  encoding: z.enum(ENCODINGS).default("otlp_proto").describe("What a record's value is."),
});

const signal = (name: string): z.ZodType<Topics> => z.strictObject(topics(name)).prefault({});

const accepted = z.unknown().optional().describe("Accepted, without effect.");

export const configSchema: z.ZodType<KafkaReceiverConfig> = z.strictObject({
  ...kafkaClientShape,
  traces: z
    .strictObject({
      ...topics("otlp_spans"),
      stitch_topic: z
        .string()
        .default("")
        .describe("All of it is read, by each gateway: what joins pieces; empty: off."),
      stitch_lookback: duration({ maxMs: 86_400_000 })
        .default(60_000)
        .describe("How far back it is read at start, up to 24h."),
    })
    .prefault({}),
  metrics: signal("otlp_metrics"),
  logs: signal("otlp_logs"),
  group_id: z.string().min(1).default("otel-collector").describe("Who shares the partitions."),
  group_instance_id: z
    .string()
    .default("")
    .describe("A name that stays: a restart within session_timeout keeps its partitions."),
  initial_offset: z
    .enum(["latest", "earliest"])
    .default("latest")
    .describe("Where a group begins."),
  session_timeout: duration({ positive: true })
    .default(10_000)
    .describe("Without a sign of life for so long, partitions go to others."),
  heartbeat_interval: duration({ positive: true }).default(3000).describe("Between such signs."),
  min_fetch_size: byteSize({ min: 1 }).default(1).describe("Bytes that a broker waits for."),
  max_fetch_size: byteSize({ min: 1 }).default(1_048_576).describe("Bytes of one answer."),
  max_fetch_wait: duration({ positive: true }).default(250).describe("How long a broker waits."),
  max_partition_fetch_size: byteSize({ min: 1 })
    .default(1_048_576)
    .describe("Bytes of one partition in an answer."),
  autocommit: z
    .strictObject({
      enable: z.boolean().default(true).describe("Tell the brokers how far we are."),
      interval: duration({ minMs: 10 }).default(1000).describe("How often."),
    })
    .prefault({}),
  message_marking: z
    .strictObject({
      after: z
        .boolean()
        .default(false)
        .describe("Records count as read when the pipeline is done with them: none is lost."),
      on_error: z
        .boolean()
        .default(false)
        .describe("With `after`: also records that the pipeline refused for now."),
    })
    .prefault({}),
  max_in_flight_mib: z
    .int()
    .min(1)
    .max(4096)
    .default(64)
    .describe("With `after`: bytes in the pipeline, MiB; then reading waits."),
  rack_id: accepted,
  use_leader_epoch: accepted,
  group_rebalance_strategy: accepted,
  group_rebalance_strategies: accepted,
});
