// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { rpcDescription } from "../rpc-call.ts";
import { ThriftDialect } from "./dialect.ts";
import { detect } from "./message.ts";

const namesOf = perService(() => new NameTable());

export const THRIFT: Protocol = {
  name: "thrift",
  ports: [9090],
  detect,
  createParser: correlatedParser(
    rpcDescription({ name: "apache_thrift" }),
    (exchanges, options) => new ThriftDialect(exchanges, namesOf(options)),
  ),
};
