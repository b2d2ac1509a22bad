// SPDX-License-Identifier: Apache-2.0
import { RPC_SYSTEM_NAME_VALUE_DUBBO } from "@opentelemetry/semantic-conventions";
import { attributeKey } from "../../model/attribute.ts";
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { rpcDescription } from "../rpc-call.ts";
import { DubboDialect } from "./dialect.ts";
import { detect } from "./frame.ts";

const namesOf = perService(() => new NameTable());

/** Not in the conventions; README.md. */
const VERSION = attributeKey("dubbo.service.version");

export const DUBBO: Protocol = {
  name: "dubbo",
  ports: [20880],
  detect,
  createParser: correlatedParser(
    rpcDescription({ name: RPC_SYSTEM_NAME_VALUE_DUBBO, extra: VERSION }),
    (exchanges, options) => new DubboDialect(exchanges, namesOf(options)),
  ),
};
