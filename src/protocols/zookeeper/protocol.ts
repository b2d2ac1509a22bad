// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { storeDescription } from "../store-operation.ts";
import { detect } from "./detect.ts";
import { ZooKeeperDialect } from "./dialect.ts";

const optionsOf = perService(({ rawStatements }) => ({ names: new NameTable(), rawStatements }));

export const ZOOKEEPER: Protocol = {
  name: "zookeeper",
  ports: [2181],
  detect,
  createParser: correlatedParser(
    storeDescription("zookeeper"),
    (exchanges, options) => new ZooKeeperDialect(exchanges, optionsOf(options)),
  ),
};
