// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { datagramParser } from "../datagram-connection.ts";
import { perService } from "../per-service.ts";
import { detectDatagram, detectOnTcp } from "./detect.ts";
import { DnsDialect, DnsStreamDialect } from "./dialect.ts";
import { DNS_DESCRIPTION } from "./exchange.ts";

const namesOf = perService(() => new NameTable());

export const DNS: Protocol = {
  name: "dns",
  ports: [53, 5353, 5355],
  detect: detectOnTcp,
  createParser: correlatedParser(
    DNS_DESCRIPTION,
    (exchanges, options) => new DnsStreamDialect(exchanges, namesOf(options)),
  ),
  datagrams: {
    detect: detectDatagram,
    createParser: datagramParser(
      DNS_DESCRIPTION,
      (exchanges, options) => new DnsDialect(exchanges, namesOf(options)),
    ),
  },
};
