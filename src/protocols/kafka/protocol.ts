// SPDX-License-Identifier: Apache-2.0
import { MESSAGING_SYSTEM_NAME_VALUE_KAFKA } from "@opentelemetry/semantic-conventions/incubating";
import type { Protocol } from "../../model/protocol.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detectRequest } from "./detect.ts";
import { KafkaDialect } from "./dialect.ts";
import { KafkaShared } from "./shared.ts";

const sharedOf = perService(() => new KafkaShared());

export const KAFKA: Protocol = {
  name: "kafka",
  ports: [9092, 9093, 9094],
  detect: detectRequest,
  createParser: correlatedParser(
    messagingDescription(MESSAGING_SYSTEM_NAME_VALUE_KAFKA),
    (exchanges, options) => new KafkaDialect(exchanges, sharedOf(options)),
  ),
};
