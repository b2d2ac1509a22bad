// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { rpcDescription } from "../rpc-call.ts";
import { detect } from "./command.ts";
import { SofaDialect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const SOFARPC: Protocol = {
  name: "sofarpc",
  ports: [12200],
  detect,
  createParser: correlatedParser(
    rpcDescription({ name: "sofarpc" }),
    (exchanges, options) => new SofaDialect(exchanges, namesOf(options)),
  ),
};
