// SPDX-License-Identifier: Apache-2.0
import type { Producer } from "@platformatic/kafka";
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { isOtlpSignal } from "../../src/pdata/requests.ts";
import { createQueuedExporter } from "../../src/pipeline/export-helper.ts";
import { kafkaOptions, kafkaReason, loadKafka } from "../../src/transport/kafka.ts";
import type { KafkaExporterConfig } from "./config.ts";
import { RecordMaker } from "./records.ts";

/** Names of the protocol's errors that a second try does not mend. */
const PERMANENT: readonly string[] = [
  "MESSAGE_TOO_LARGE",
  "RECORD_LIST_TOO_LARGE",
  "INVALID_RECORD",
  "INVALID_TOPIC_EXCEPTION",
  "TOPIC_AUTHORIZATION_FAILED",
  "CLUSTER_AUTHORIZATION_FAILED",
  "SASL_AUTHENTICATION_FAILED",
];

/** Sends batches as records, and what gateways need to join pieces, to a topic of its own. */
export function createKafkaExporter(
  settings: ExporterSettings,
  config: KafkaExporterConfig,
): Exporter {
  const { signal } = settings;
  if (!isOtlpSignal(signal)) throw new AgentError("BS_CONFIG", `kafka has no ${signal}`);
  const maker = new RecordMaker(signal, config);
  let producer: Producer | undefined;
  let isPermanent = (_error: unknown): boolean => false;
  const start = async (): Promise<void> => {
    const library = await loadKafka();
    const options = await kafkaOptions(config, config.timeout);
    producer = new library.Producer({
      ...options,
      autocreateTopics: config.producer.allow_auto_topic_creation,
    });
    isPermanent = (error) =>
      error instanceof Error &&
      PERMANENT.some((name) => library.findErrorBy(error, "apiId", name) !== null);
  };
  const headers = new Map(
    Object.entries(config.record_headers).map(([name, value]) => [
      Buffer.from(name),
      Buffer.from(value),
    ]),
  );
  const push = async (batch: Batch): Promise<void> => {
    if (producer === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    const messages = maker.make(batch).map((record) => ({ ...record, headers }));
    const { required_acks: acks, compression } = config.producer;
    try {
      await producer.send({ messages, acks, compression });
    } catch (error) {
      const message = `failed to send to Kafka (${config.brokers.join(", ")}): ${kafkaReason(error)}`;
      throw new AgentError("BS_EXPORT", message, { cause: error, retryable: !isPermanent(error) });
    }
  };
  const helper = {
    timeoutMs: config.timeout,
    sendingQueue: config.sending_queue,
    retryOnFailure: config.retry_on_failure,
  };
  const shutdown = async (): Promise<void> => {
    await producer?.close(true);
  };
  return createQueuedExporter(settings, helper, push, { start, shutdown });
}
