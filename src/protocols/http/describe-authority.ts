// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVER_ADDRESS, ATTR_SERVER_PORT } from "@opentelemetry/semantic-conventions";
import { type AttributeSink, attributeKey } from "../../model/attribute.ts";
import type { Authority } from "./authority.ts";

const KEYS = {
  address: attributeKey(ATTR_SERVER_ADDRESS),
  port: attributeKey(ATTR_SERVER_PORT),
} as const;

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

interface Addressed {
  readonly authority: Authority | undefined;
  readonly https: boolean;
}

/** Server address and port as the request names them; nothing when it does not. */
export function describeAuthority(addressed: Addressed, sink: AttributeSink): void {
  const authority = addressed.authority;
  if (authority === undefined) return;
  sink.string(KEYS.address, authority.address);
  const port = authority.port === 0 ? (addressed.https ? HTTPS_PORT : HTTP_PORT) : authority.port;
  sink.int(KEYS.port, port);
}
