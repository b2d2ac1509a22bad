// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { Amqp10Dialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const AMQP10: Protocol = {
  name: "amqp10",
  ports: [5672],
  detect,
  createParser: correlatedParser(
    messagingDescription("amqp"),
    (exchanges, options) => new Amqp10Dialect(exchanges, namesOf(options)),
  ),
};
