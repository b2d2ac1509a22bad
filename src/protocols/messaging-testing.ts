// SPDX-License-Identifier: Apache-2.0
import type { SeenExchange } from "./testing.ts";

const SHOWN = [
  ["partition", "messaging.destination.partition.id"],
  ["offset", "kafka.offset"],
  ["group", "messaging.consumer.group.name"],
  ["subscription", "messaging.destination.subscription.name"],
  ["count", "messaging.batch.message_count"],
  ["bytes", "messaging.message.body.size"],
  ["id", "messaging.message.id"],
  ["key", "rabbitmq.destination.routing_key"],
  ["tag", "rabbitmq.message.delivery_tag"],
  ["error", "error.type"],
] as const;

/** For tests: a span of a messaging system in one line, without what differs from run to run. */
export function messagingLine({ name, attributes }: SeenExchange): string {
  const parts = [name];
  for (const [word, key] of SHOWN) {
    const value = attributes[key];
    if (value !== undefined) parts.push(`${word}=${String(value)}`);
  }
  return parts.join(" ");
}
