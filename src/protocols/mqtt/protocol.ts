// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { messagingDescription } from "../messaging.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { MqttDialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const MQTT: Protocol = {
  name: "mqtt",
  ports: [1883, 8883],
  detect,
  createParser: correlatedParser(
    messagingDescription("mqtt"),
    (exchanges, options) => new MqttDialect(exchanges, namesOf(options)),
  ),
};
