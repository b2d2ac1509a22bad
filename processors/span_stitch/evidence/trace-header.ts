// SPDX-License-Identifier: Apache-2.0
import { KEY_HEADER } from "../../../src/model/stitch-key.ts";
import type { Evidence } from "./evidence.ts";

/**
 * The request carries a trace context: its sender says which span is the parent. The same
 * context in an incoming request of the same process means that a proxy passed it on.
 */
export const traceHeader: Evidence = {
  name: "trace_header",
  target: "context",
  offer: (key) => (key.has(KEY_HEADER) ? 100 : 0),
};
