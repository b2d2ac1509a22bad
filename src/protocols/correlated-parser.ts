// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions, Protocol } from "../model/protocol.ts";
import { CorrelatedConnection, type CorrelatedDialect } from "./correlated-connection.ts";
import type { Exchanges } from "./exchange-table.ts";
import { perService } from "./per-service.ts";
import { type Description, ExchangePool } from "./pooled-exchange.ts";

/**
 * `Protocol.createParser` of a protocol on `CorrelatedConnection`, whose exchanges are pooled by
 * service. What else its connections have in common comes from a `perService` of its own.
 */
export function correlatedParser<Details>(
  description: Description<Details>,
  createDialect: (
    exchanges: Exchanges<Details>,
    options: ParserOptions,
  ) => CorrelatedDialect<Details>,
): Protocol["createParser"] {
  const poolOf = perService(() => new ExchangePool(description));
  return (options, events) =>
    new CorrelatedConnection({
      options,
      events,
      pool: poolOf(options),
      createDialect: (exchanges) => createDialect(exchanges, options),
    });
}
