// SPDX-License-Identifier: Apache-2.0
import type { BaseOptions } from "@platformatic/kafka";
import { z } from "zod";
import { messageOf } from "../component/errors.ts";
import { opaque, type Secret, type TlsClientConfig, tlsClientSchema } from "../config/types.ts";
import { loadClientTls } from "./tls.ts";

const MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const;

/** What exporter and receiver say alike of their brokers. */
export interface KafkaClientConfig {
  readonly brokers: readonly string[];
  readonly client_id: string;
  /** Off unless it is there. */
  readonly tls?: TlsClientConfig | null | undefined;
  readonly auth?: { readonly sasl?: SaslConfig | undefined } | null | undefined;
}

interface SaslConfig {
  readonly username: string;
  readonly password: Secret;
  readonly mechanism: (typeof MECHANISMS)[number];
}

export const ENCODINGS = ["otlp_proto", "otlp_json"] as const;
export type KafkaEncoding = (typeof ENCODINGS)[number];

const accepted = z.unknown().optional().describe("Accepted, without effect.");

const sasl = z.strictObject({
  username: z.string().default("").describe("The user."),
  password: opaque().describe("Its password."),
  mechanism: z.enum(MECHANISMS).describe("How the password is shown."),
  version: z.int().min(0).max(1).default(0).describe("Accepted, without effect."),
});

type Accepted = z.ZodType<unknown>;

/** Keys of both schemas, by the Collector's names. */
export const kafkaClientShape: {
  readonly brokers: z.ZodType<readonly string[]>;
  readonly client_id: z.ZodType<string>;
  readonly tls: z.ZodType<TlsClientConfig | null | undefined>;
  readonly auth: z.ZodType<KafkaClientConfig["auth"]>;
  readonly protocol_version: Accepted;
  readonly resolve_canonical_bootstrap_servers_only: Accepted;
  readonly metadata: Accepted;
  readonly conn_idle_timeout: Accepted;
} = {
  brokers: z
    .union([
      z.array(z.string().min(1)).min(1),
      z
        .string()
        .min(1)
        .transform((one) => [one]),
    ])
    .default(["localhost:9092"])
    .describe("Brokers to begin with, `host:port`."),
  client_id: z.string().min(1).default("otel-collector").describe("Our name in the brokers' logs."),
  tls: tlsClientSchema.nullish().describe("Off unless set."),
  auth: z.strictObject({ sasl: sasl.optional() }).nullish().describe("Who we are."),
  protocol_version: accepted,
  resolve_canonical_bootstrap_servers_only: accepted,
  metadata: accepted,
  conn_idle_timeout: accepted,
};

/** What the library's clients take. Rejects when a certificate cannot be read. */
export async function kafkaOptions(
  config: KafkaClientConfig,
  timeoutMs: number,
): Promise<BaseOptions> {
  const { brokers, client_id: clientId, tls, auth } = config;
  const given = auth?.sasl;
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    timeout: timeoutMs,
    connectTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    // Exporter and receiver try again in their own ways.
    retries: 1,
    retryDelay: 100,
    ...(tls === undefined || tls === null || tls.insecure ? {} : { tls: await loadClientTls(tls) }),
    ...(given === undefined
      ? {}
      : {
          sasl: {
            mechanism: given.mechanism,
            username: given.username,
            password: given.password.reveal(),
          },
        }),
  };
}

/** The library takes 60 MB: it is loaded where a pipeline uses Kafka. */
export async function loadKafka(): Promise<typeof import("@platformatic/kafka")> {
  return await import("@platformatic/kafka");
}

/** The innermost words: the library's own say only that something failed. */
export function kafkaReason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return kafkaReason(error.errors[0]);
  }
  if (error instanceof Error && error.cause instanceof Error) return kafkaReason(error.cause);
  return messageOf(error);
}
