// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_NETWORK_LOCAL_ADDRESS,
  ATTR_NETWORK_LOCAL_PORT,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_NETWORK_TYPE,
  NETWORK_TYPE_VALUE_IPV4,
  NETWORK_TYPE_VALUE_IPV6,
} from "@opentelemetry/semantic-conventions";
import { attributeKey } from "../model/attribute.ts";
import type { Role } from "../model/protocol.ts";
import { AttributeWriter, SPAN_ATTRIBUTES } from "../pdata/attribute-writer.ts";
import { ProtoWriter } from "../pdata/proto-writer.ts";

const KEYS = {
  clientAddress: attributeKey(ATTR_CLIENT_ADDRESS),
  peerAddress: attributeKey(ATTR_NETWORK_PEER_ADDRESS),
  peerPort: attributeKey(ATTR_NETWORK_PEER_PORT),
  localAddress: attributeKey(ATTR_NETWORK_LOCAL_ADDRESS),
  localPort: attributeKey(ATTR_NETWORK_LOCAL_PORT),
  networkType: attributeKey(ATTR_NETWORK_TYPE),
} as const;

/** What a receiver knows about a connection, corrected for the role of the watched process. */
export interface ConnectionFacts {
  readonly role: Role;
  /**
   * The watched process accepted the connection, whatever its role in an exchange: a broker that
   * sends to a consumer asks, but is the server. Default: its role is `server`.
   */
  readonly isAccepter?: boolean;
  /** Sequence number of the first byte of the client's and of the server's stream, u32. */
  readonly clientStart: number;
  readonly serverStart: number;
  /**
   * How much positions in the client's stream count too high: 1 for a client whose connection is
   * older than the agent (see bpf/include/wire.h), else 0.
   */
  readonly positionExcess: number;
  readonly family: 4 | 6;
  /** As text, without brackets or zone. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** A connection as the encoder needs it; keep one for each, its attributes are encoded once. */
export class SpanConnection {
  readonly facts: ConnectionFacts;
  #attributes: Uint8Array | undefined;
  #withLocal: Uint8Array | undefined;

  constructor(facts: ConnectionFacts) {
    this.facts = facts;
  }

  /** The attributes that every span of this connection has, as KeyValue fields of a span. */
  get attributes(): Uint8Array {
    this.#attributes ??= encodeAttributes(this.facts, false);
    return this.#attributes;
  }

  /** The same with this end's own address and port, which tell connections apart. */
  get attributesWithLocal(): Uint8Array {
    this.#withLocal ??= encodeAttributes(this.facts, true);
    return this.#withLocal;
  }

  /** The server's end, as this process sees it. */
  get serverAddress(): string {
    return isAccepter(this.facts) ? this.facts.localAddress : this.facts.remoteAddress;
  }

  get serverPort(): number {
    return isAccepter(this.facts) ? this.facts.localPort : this.facts.remotePort;
  }
}

function isAccepter(facts: ConnectionFacts): boolean {
  return facts.isAccepter ?? facts.role === "server";
}

const scratch = new ProtoWriter(256);
const writer = new AttributeWriter(scratch, SPAN_ATTRIBUTES);

function encodeAttributes(facts: ConnectionFacts, withLocal: boolean): Uint8Array {
  scratch.reset();
  if (isAccepter(facts)) writer.string(KEYS.clientAddress, facts.remoteAddress);
  writer.string(KEYS.peerAddress, facts.remoteAddress);
  writer.int(KEYS.peerPort, facts.remotePort);
  if (withLocal) {
    writer.string(KEYS.localAddress, facts.localAddress);
    writer.int(KEYS.localPort, facts.localPort);
  }
  writer.string(
    KEYS.networkType,
    facts.family === 4 ? NETWORK_TYPE_VALUE_IPV4 : NETWORK_TYPE_VALUE_IPV6,
  );
  return scratch.take();
}
