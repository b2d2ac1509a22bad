// SPDX-License-Identifier: Apache-2.0
import type { CustomProtocol } from "../../model/custom-protocol.ts";
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { perService } from "../per-service.ts";
import { PROTOCOLS } from "../registry.ts";
import { rpcDescription } from "../rpc-call.ts";
import { CustomDialect, CustomFraming } from "./dialect.ts";

/** A protocol like the others, from a user's description. */
export function createCustomProtocol(definition: CustomProtocol): Protocol {
  const framing = new CustomFraming(definition);
  const namesOf = perService(() => new NameTable());
  return {
    name: definition.name,
    ports: definition.ports,
    detect: (bytes, start, end) => framing.detect(bytes, start, end),
    createParser: correlatedParser(
      rpcDescription({ name: definition.name }),
      (exchanges, options) => new CustomDialect(exchanges, framing, namesOf(options)),
    ),
  };
}

/** Those that the user describes, and then all others: of equals the first is taken. */
export function withCustomProtocols(
  definitions: readonly CustomProtocol[],
  others: readonly Protocol[] = PROTOCOLS,
): readonly Protocol[] {
  return definitions.length === 0 ? others : [...definitions.map(createCustomProtocol), ...others];
}

/** The name of the described protocol that one of these ports was given to. */
export function customProtocolOf(
  definitions: readonly CustomProtocol[],
  port: number,
): string | undefined {
  return definitions.find(({ ports }) => ports.includes(port))?.name;
}
