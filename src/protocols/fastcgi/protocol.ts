// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { RouteTable } from "../http/route.ts";
import { perService } from "../per-service.ts";
import { FastCgiDialect, type FastCgiShared } from "./dialect.ts";
import { FASTCGI_DESCRIPTION } from "./exchange.ts";
import { detect } from "./records.ts";

const sharedOf = perService(
  (options): FastCgiShared => ({
    names: new NameTable(),
    routes: new RouteTable(options.routesMax),
    options,
  }),
);

export const FASTCGI: Protocol = {
  name: "fastcgi",
  ports: [9000],
  detect,
  createParser: correlatedParser(
    FASTCGI_DESCRIPTION,
    (exchanges, options) => new FastCgiDialect(exchanges, sharedOf(options)),
  ),
};
