// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../model/protocol.ts";

/**
 * What the connections of one service have in common: it lives as long as the options object that
 * they are given.
 */
export function perService<T>(
  create: (options: ParserOptions) => T,
): (options: ParserOptions) => T {
  const byOptions = new WeakMap<ParserOptions, { readonly shared: T }>();
  return (options) => {
    let found = byOptions.get(options);
    if (found === undefined) {
      found = { shared: create(options) };
      byOptions.set(options, found);
    }
    return found.shared;
  };
}
