// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { NatsDialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const NATS: Protocol = {
  name: "nats",
  ports: [4222],
  detect,
  createParser: correlatedParser(
    messagingDescription("nats"),
    (exchanges, options) => new NatsDialect(exchanges, namesOf(options)),
  ),
};
