// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { storeDescription } from "../store-operation.ts";
import { LdapDialect } from "./dialect.ts";
import { detect } from "./message.ts";

const optionsOf = perService(({ rawStatements }) => ({ names: new NameTable(), rawStatements }));

export const LDAP: Protocol = {
  name: "ldap",
  ports: [389, 3268],
  detect,
  createParser: correlatedParser(
    storeDescription("ldap"),
    (exchanges, options) => new LdapDialect(exchanges, optionsOf(options)),
  ),
};
