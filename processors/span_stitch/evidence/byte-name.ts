// SPDX-License-Identifier: Apache-2.0
import { ROLE_SERVER } from "../../../src/model/stitch-key.ts";
import type { Evidence } from "./evidence.ts";

/**
 * The two ends of a connection compute the same name for the request's first byte: the client
 * span with that name is the parent of the server span, exactly.
 */
export const byteName: Evidence = {
  name: "byte_name",
  target: "counterpart",
  offer: (key) =>
    key.role === ROLE_SERVER && (key.counterpartLow | key.counterpartHigh) !== 0 ? 100 : 0,
};
