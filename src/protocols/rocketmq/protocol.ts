// SPDX-License-Identifier: Apache-2.0
import { MESSAGING_SYSTEM_NAME_VALUE_ROCKETMQ } from "@opentelemetry/semantic-conventions/incubating";
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { RocketMqDialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const ROCKETMQ: Protocol = {
  name: "rocketmq",
  ports: [9876, 10911, 10909],
  detect,
  createParser: correlatedParser(
    messagingDescription(MESSAGING_SYSTEM_NAME_VALUE_ROCKETMQ),
    (exchanges, options) => new RocketMqDialect(exchanges, namesOf(options)),
  ),
};
