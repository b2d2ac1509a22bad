// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import {
  type RetryConfig,
  retrySchema,
  type SendingQueueConfig,
  sendingQueueSchema,
  timeoutSchema,
} from "../../src/pipeline/export-helper.ts";
import {
  ENCODINGS,
  type KafkaClientConfig,
  type KafkaEncoding,
  kafkaClientShape,
} from "../../src/transport/kafka.ts";

const COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

export interface KafkaExporterConfig extends KafkaClientConfig {
  readonly traces: TracesTopic;
  readonly metrics: Topic;
  readonly logs: Topic;
  readonly partition_traces_by_id: boolean;
  readonly record_headers: Readonly<Record<string, string>>;
  readonly timeout: number;
  readonly producer: {
    readonly max_message_bytes: number;
    readonly required_acks: 0 | 1 | -1;
    readonly compression: (typeof COMPRESSIONS)[number];
    readonly allow_auto_topic_creation: boolean;
  };
  readonly sending_queue: SendingQueueConfig;
  readonly retry_on_failure: RetryConfig;
}

interface Topic {
  readonly topic: string;
  readonly encoding: KafkaEncoding;
}

interface TracesTopic extends Topic {
  /** Empty: no joints are sent. */
  readonly stitch_topic: string;
}

const topic = (name: string) => ({
  topic: z.string().min(1).default(name).describe("Where records go."),
  encoding: z.enum(ENCODINGS).default("otlp_proto").describe("What a record's value is."),
});

const signal = (name: string): z.ZodType<Topic> => z.strictObject(topic(name)).prefault({});

const accepted = z.unknown().optional().describe("Accepted, without effect.");

const producer = z.strictObject({
  max_message_bytes: z
    .int()
    .min(1000)
    .max(2 ** 30)
    .default(1_000_000)
    .describe("Largest record before compression; larger batches are cut."),
  required_acks: z
    .union([z.literal(0), z.literal(1), z.literal(-1)])
    .default(1)
    .describe("Who must have a record: nobody (0), the leader (1), all replicas (-1)."),
  compression: z.enum(COMPRESSIONS).default("none").describe("Of records."),
  allow_auto_topic_creation: z.boolean().default(true).describe("Ask brokers to make topics."),
  compression_params: accepted,
  flush_max_messages: accepted,
  linger: accepted,
  max_broker_write_bytes: accepted,
});

export const configSchema: z.ZodType<KafkaExporterConfig> = z.strictObject({
  ...kafkaClientShape,
  traces: z
    .strictObject({
      ...topic("otlp_spans"),
      stitch_topic: z
        .string()
        .default("")
        .describe("Where gateways learn what they need of other partitions' traces; empty: off."),
    })
    .prefault({}),
  metrics: signal("otlp_metrics"),
  logs: signal("otlp_logs"),
  partition_traces_by_id: z
    .boolean()
    .default(false)
    .describe("One record a trace with its id as the key: a trace is in one partition."),
  record_headers: z.record(z.string(), z.string()).default({}).describe("Headers of all records."),
  timeout: timeoutSchema(),
  producer: producer.prefault({}),
  sending_queue: sendingQueueSchema().prefault({}),
  retry_on_failure: retrySchema().prefault({}),
});
