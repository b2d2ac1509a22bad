// SPDX-License-Identifier: Apache-2.0
import type { QueryClock } from "../../src/store/query-clock.ts";
import type { StoreReader } from "../../src/store/store-reader.ts";

/** An answer that is an error: its message is shown to whoever asked. */
export class HttpProblem extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a route is given. */
export interface ApiRequest {
  readonly store: StoreReader;
  readonly query: URLSearchParams;
  /** What the pattern of the route left open, decoded. */
  readonly path: readonly string[];
  readonly clock: QueryClock;
  readonly nowMs: number;
}

/** Gives what is sent as JSON. Throws `HttpProblem`. */
export type Route = (request: ApiRequest) => Promise<unknown> | unknown;

/** Patterns of paths; each group is one segment. */
export type Routes = readonly (readonly [RegExp, Route])[];
