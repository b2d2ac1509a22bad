// SPDX-License-Identifier: Apache-2.0
import { ATTR_ERROR_TYPE } from "@opentelemetry/semantic-conventions";
import {
  ATTR_KAFKA_OFFSET,
  ATTR_MESSAGING_BATCH_MESSAGE_COUNT,
  ATTR_MESSAGING_CLIENT_ID,
  ATTR_MESSAGING_CONSUMER_GROUP_NAME,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_DESTINATION_PARTITION_ID,
  ATTR_MESSAGING_DESTINATION_SUBSCRIPTION_NAME,
  ATTR_MESSAGING_DESTINATION_TEMPORARY,
  ATTR_MESSAGING_MESSAGE_BODY_SIZE,
  ATTR_MESSAGING_MESSAGE_CONVERSATION_ID,
  ATTR_MESSAGING_MESSAGE_ID,
  ATTR_MESSAGING_OPERATION_NAME,
  ATTR_MESSAGING_OPERATION_TYPE,
  ATTR_MESSAGING_SYSTEM,
  ATTR_MESSAGING_SYSTEM_NAME,
  ATTR_RABBITMQ_DESTINATION_ROUTING_KEY,
  ATTR_RABBITMQ_MESSAGE_DELIVERY_TAG,
  ATTR_ROCKETMQ_MESSAGE_TAG,
  METRIC_MESSAGING_CLIENT_OPERATION_DURATION,
} from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../model/attribute.ts";
import type { Description, PooledExchange } from "./pooled-exchange.ts";

/** What exchanges of messaging systems tell; empty, -1 and false are left out of the span. */
export interface MessagingDetails {
  /** As the system calls it: `publish`, `poll`, `ack`. */
  operation: string;
  /** `messaging.operation.type`; empty for what is no operation on messages. */
  type: "" | "send" | "receive" | "process" | "settle" | "create";
  destination: string;
  isTemporary: boolean;
  subscription: string;
  partition: number;
  /** Of the first message in its partition's log. */
  kafkaOffset: number;
  group: string;
  clientId: string;
  messageId: string;
  conversationId: string;
  /** Messages of the batch. */
  count: number;
  bodyBytes: number;
  routingKey: string;
  deliveryTag: number;
  rocketTag: string;
  /** For the parser: which request it is, in which version of it. */
  code: number;
  version: number;
}

export type MessagingExchange = PooledExchange<MessagingDetails>;

const KEYS = {
  system: attributeKey(ATTR_MESSAGING_SYSTEM_NAME),
  /** The name until conventions 1.44, which backends still look for. */
  formerSystem: attributeKey(ATTR_MESSAGING_SYSTEM),
  operation: attributeKey(ATTR_MESSAGING_OPERATION_NAME),
  type: attributeKey(ATTR_MESSAGING_OPERATION_TYPE),
  destination: attributeKey(ATTR_MESSAGING_DESTINATION_NAME),
  temporary: attributeKey(ATTR_MESSAGING_DESTINATION_TEMPORARY),
  subscription: attributeKey(ATTR_MESSAGING_DESTINATION_SUBSCRIPTION_NAME),
  partition: attributeKey(ATTR_MESSAGING_DESTINATION_PARTITION_ID),
  kafkaOffset: attributeKey(ATTR_KAFKA_OFFSET),
  group: attributeKey(ATTR_MESSAGING_CONSUMER_GROUP_NAME),
  clientId: attributeKey(ATTR_MESSAGING_CLIENT_ID),
  messageId: attributeKey(ATTR_MESSAGING_MESSAGE_ID),
  conversationId: attributeKey(ATTR_MESSAGING_MESSAGE_CONVERSATION_ID),
  count: attributeKey(ATTR_MESSAGING_BATCH_MESSAGE_COUNT),
  bodyBytes: attributeKey(ATTR_MESSAGING_MESSAGE_BODY_SIZE),
  routingKey: attributeKey(ATTR_RABBITMQ_DESTINATION_ROUTING_KEY),
  deliveryTag: attributeKey(ATTR_RABBITMQ_MESSAGE_DELIVERY_TAG),
  rocketTag: attributeKey(ATTR_ROCKETMQ_MESSAGE_TAG),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

/** By https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ */
export function messagingDescription(system: string): Description<MessagingDetails> {
  return {
    createDetails,
    resetDetails,
    describe: (exchange, sink) => describe(system, exchange, sink),
    measure: (exchange, sink) => measure(system, exchange, sink),
  };
}

function createDetails(): MessagingDetails {
  return {
    operation: "",
    type: "",
    destination: "",
    isTemporary: false,
    subscription: "",
    partition: -1,
    kafkaOffset: -1,
    group: "",
    clientId: "",
    messageId: "",
    conversationId: "",
    count: -1,
    bodyBytes: -1,
    routingKey: "",
    deliveryTag: -1,
    rocketTag: "",
    code: -1,
    version: 0,
  };
}

function resetDetails(details: MessagingDetails): void {
  details.operation = "";
  details.type = "";
  details.destination = "";
  details.isTemporary = false;
  details.subscription = "";
  details.partition = -1;
  details.kafkaOffset = -1;
  details.group = "";
  details.clientId = "";
  details.messageId = "";
  details.conversationId = "";
  details.count = -1;
  details.bodyBytes = -1;
  details.routingKey = "";
  details.deliveryTag = -1;
  details.rocketTag = "";
  details.code = -1;
  details.version = 0;
}

function describe(system: string, exchange: MessagingExchange, sink: SpanSink): void {
  const { details } = exchange;
  const operation = details.operation === "" ? system : details.operation;
  // A temporary destination's name is different each time.
  const isNamed = details.destination !== "" && !details.isTemporary;
  sink.name(isNamed ? `${operation} ${details.destination}` : operation);
  describeShared(system, exchange, sink);
  sink.string(KEYS.formerSystem, system);
  if (details.isTemporary) sink.bool(KEYS.temporary, true);
  text(sink, KEYS.subscription, details.subscription);
  if (details.partition >= 0) sink.string(KEYS.partition, String(details.partition));
  count(sink, KEYS.kafkaOffset, details.kafkaOffset);
  text(sink, KEYS.clientId, details.clientId);
  text(sink, KEYS.messageId, details.messageId);
  text(sink, KEYS.conversationId, details.conversationId);
  count(sink, KEYS.count, details.count);
  count(sink, KEYS.bodyBytes, details.bodyBytes);
  text(sink, KEYS.routingKey, details.routingKey);
  count(sink, KEYS.deliveryTag, details.deliveryTag);
  text(sink, KEYS.rocketTag, details.rocketTag);
  if (details.isTemporary) text(sink, KEYS.destination, details.destination);
  if (exchange.errorType !== "") sink.error("");
}

/** By https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/: clients only. */
function measure(system: string, exchange: MessagingExchange, sink: MeasurementSink): void {
  if (exchange.role !== "client") return;
  sink.instrument(METRIC_MESSAGING_CLIENT_OPERATION_DURATION);
  describeShared(system, exchange, sink);
}

function describeShared(system: string, exchange: MessagingExchange, sink: AttributeSink): void {
  const { details } = exchange;
  sink.string(KEYS.system, system);
  text(sink, KEYS.operation, details.operation);
  text(sink, KEYS.type, details.type);
  if (!details.isTemporary) text(sink, KEYS.destination, details.destination);
  text(sink, KEYS.group, details.group);
  text(sink, KEYS.errorType, exchange.errorType);
}

type Key = (typeof KEYS)[keyof typeof KEYS];

function text(sink: AttributeSink, key: Key, value: string): void {
  if (value !== "") sink.string(key, value);
}

function count(sink: AttributeSink, key: Key, value: number): void {
  // Numbers that are not exact are not what was sent.
  if (value >= 0 && Number.isSafeInteger(value)) sink.int(key, value);
}
