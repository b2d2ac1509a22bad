// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions, Protocol } from "../model/protocol.ts";
import { CorrelatedConnection, type CorrelatedDialect } from "./correlated-connection.ts";
import type { Exchanges } from "./exchange-table.ts";
import { type Description, ExchangePool } from "./pooled-exchange.ts";

/**
 * `Protocol.createParser` of a protocol on `CorrelatedConnection`. The exchanges of a service are
 * pooled as long as its options object lives.
 */
export function correlatedParser<Details>(
  description: Description<Details>,
  createDialect: (
    exchanges: Exchanges<Details>,
    options: ParserOptions,
  ) => CorrelatedDialect<Details>,
): Protocol["createParser"] {
  const pools = new WeakMap<ParserOptions, ExchangePool<Details>>();
  return (options, events) => {
    let pool = pools.get(options);
    if (pool === undefined) {
      pool = new ExchangePool(description);
      pools.set(options, pool);
    }
    return new CorrelatedConnection({
      options,
      events,
      pool,
      createDialect: (exchanges) => createDialect(exchanges, options),
    });
  };
}
