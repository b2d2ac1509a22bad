// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_CLIENT_PORT,
  ATTR_NETWORK_LOCAL_ADDRESS,
  ATTR_NETWORK_LOCAL_PORT,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_NETWORK_TRANSPORT,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "@opentelemetry/semantic-conventions";
import { type AttributeKey, attributeKey } from "../../src/model/attribute.ts";
import { STITCH_EVIDENCE } from "../../src/model/stitch-key.ts";

/** An attribute that may be rewritten, and where its value goes then. */
export interface RewrittenKey {
  readonly own: AttributeKey;
  readonly original: AttributeKey;
}

function rewritten(name: string): RewrittenKey {
  return { own: attributeKey(name), original: attributeKey(`nat.original.${name}`) };
}

export const PEER_ADDRESS: RewrittenKey = rewritten(ATTR_NETWORK_PEER_ADDRESS);
export const PEER_PORT: RewrittenKey = rewritten(ATTR_NETWORK_PEER_PORT);
export const SERVER_ADDRESS: RewrittenKey = rewritten(ATTR_SERVER_ADDRESS);
export const SERVER_PORT: RewrittenKey = rewritten(ATTR_SERVER_PORT);
export const CLIENT_ADDRESS: RewrittenKey = rewritten(ATTR_CLIENT_ADDRESS);
export const CLIENT_PORT: RewrittenKey = rewritten(ATTR_CLIENT_PORT);
/** `conntrack` or `byte_name`: how the real address is known. */
export const NAT_EVIDENCE: AttributeKey = attributeKey("nat.evidence");

/** What is read of an item; the number is what `Facts` knows it by. */
export const READ_KEYS: readonly AttributeKey[] = [
  attributeKey(ATTR_NETWORK_LOCAL_ADDRESS),
  attributeKey(ATTR_NETWORK_LOCAL_PORT),
  PEER_ADDRESS.own,
  PEER_PORT.own,
  SERVER_ADDRESS.own,
  SERVER_PORT.own,
  CLIENT_ADDRESS.own,
  CLIENT_PORT.own,
  attributeKey(ATTR_NETWORK_TRANSPORT),
  attributeKey(STITCH_EVIDENCE),
];
export const LOCAL_ADDRESS_AT = 0;
export const LOCAL_PORT_AT = 1;
export const PEER_ADDRESS_AT = 2;
export const PEER_PORT_AT = 3;
export const SERVER_ADDRESS_AT = 4;
export const SERVER_PORT_AT = 5;
export const CLIENT_ADDRESS_AT = 6;
export const CLIENT_PORT_AT = 7;
export const TRANSPORT_AT = 8;
export const EVIDENCE_AT = 9;
