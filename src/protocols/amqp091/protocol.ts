// SPDX-License-Identifier: Apache-2.0
import { MESSAGING_SYSTEM_NAME_VALUE_RABBITMQ } from "@opentelemetry/semantic-conventions/incubating";
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { Amqp091Dialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const AMQP091: Protocol = {
  name: "amqp091",
  ports: [5672],
  detect,
  createParser: correlatedParser(
    messagingDescription(MESSAGING_SYSTEM_NAME_VALUE_RABBITMQ),
    (exchanges, options) => new Amqp091Dialect(exchanges, namesOf(options)),
  ),
};
