// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions, Protocol } from "../../model/protocol.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { Http1Connection } from "./parse.ts";
import { Http1Shared } from "./shared.ts";

/** WIRE_PROTOCOL_HTTP1 of bpf/include/wire.h */
const WIRE_PROTOCOL_HTTP1 = 1;

const sharedOf: (options: ParserOptions) => Http1Shared = perService(
  (options) => new Http1Shared(options),
);

export const HTTP1: Protocol = {
  name: "http1",
  wireProtocol: WIRE_PROTOCOL_HTTP1,
  detect,
  createParser: (options, events) => new Http1Connection(sharedOf(options), events),
};
