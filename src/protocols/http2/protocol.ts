// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../../model/protocol.ts";
import { Http2Connection } from "./connection.ts";
import { detect } from "./detect.ts";
import { http2Shared } from "./shared.ts";

/** WIRE_PROTOCOL_HTTP2 of bpf/include/wire.h */
const WIRE_PROTOCOL_HTTP2 = 4;

export const HTTP2: Protocol = {
  name: "http2",
  wireProtocol: WIRE_PROTOCOL_HTTP2,
  ports: [50051],
  detect,
  createParser: (options, events) => new Http2Connection(http2Shared(options), events),
};
