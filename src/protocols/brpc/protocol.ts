// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { rpcDescription } from "../rpc-call.ts";
import { BrpcDialect, detect } from "./dialect.ts";

const namesOf = perService(() => new NameTable());

export const BRPC: Protocol = {
  name: "brpc",
  detect,
  createParser: correlatedParser(
    rpcDescription({ name: "brpc" }),
    (exchanges, options) => new BrpcDialect(exchanges, namesOf(options)),
  ),
};
