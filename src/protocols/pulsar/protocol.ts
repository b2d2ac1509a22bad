// SPDX-License-Identifier: Apache-2.0
import { MESSAGING_SYSTEM_NAME_VALUE_PULSAR } from "@opentelemetry/semantic-conventions/incubating";
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { PulsarDialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const PULSAR: Protocol = {
  name: "pulsar",
  ports: [6650, 6651],
  detect,
  createParser: correlatedParser(
    messagingDescription(MESSAGING_SYSTEM_NAME_VALUE_PULSAR),
    (exchanges, options) => new PulsarDialect(exchanges, namesOf(options)),
  ),
};
