// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../model/protocol.ts";
import { AMQP10 } from "./amqp10/protocol.ts";
import { AMQP091 } from "./amqp091/protocol.ts";
import { BRPC } from "./brpc/protocol.ts";
import { CASSANDRA } from "./cassandra/protocol.ts";
import { CLICKHOUSE } from "./clickhouse/protocol.ts";
import { DNS } from "./dns/protocol.ts";
import { DUBBO } from "./dubbo/protocol.ts";
import { FASTCGI } from "./fastcgi/protocol.ts";
import { HTTP1 } from "./http1/protocol.ts";
import { HTTP2 } from "./http2/protocol.ts";
import { KAFKA } from "./kafka/protocol.ts";
import { LDAP } from "./ldap/protocol.ts";
import { MEMCACHED } from "./memcached/protocol.ts";
import { MONGODB } from "./mongodb/protocol.ts";
import { MQTT } from "./mqtt/protocol.ts";
import { MYSQL } from "./mysql/protocol.ts";
import { NATS } from "./nats/protocol.ts";
import { POSTGRESQL } from "./postgresql/protocol.ts";
import { PULSAR } from "./pulsar/protocol.ts";
import { REDIS } from "./redis/protocol.ts";
import { ROCKETMQ } from "./rocketmq/protocol.ts";
import { SOFARPC } from "./sofarpc/protocol.ts";
import { THRIFT } from "./thrift/protocol.ts";
import { ZOOKEEPER } from "./zookeeper/protocol.ts";

/** One line a protocol: the only file outside its folder that a new protocol edits. */
export const PROTOCOLS: readonly Protocol[] = [
  HTTP1,
  HTTP2,
  REDIS,
  POSTGRESQL,
  MYSQL,
  MEMCACHED,
  MONGODB,
  CASSANDRA,
  CLICKHOUSE,
  KAFKA,
  NATS,
  MQTT,
  AMQP091,
  AMQP10,
  ROCKETMQ,
  PULSAR,
  DNS,
  DUBBO,
  THRIFT,
  BRPC,
  SOFARPC,
  ZOOKEEPER,
  FASTCGI,
  LDAP,
];

const byWire: readonly (Protocol | undefined)[] = createTable();

function createTable(): readonly (Protocol | undefined)[] {
  const table: (Protocol | undefined)[] = [];
  for (const protocol of PROTOCOLS) {
    if (protocol.wireProtocol !== undefined) table[protocol.wireProtocol] = protocol;
  }
  return table;
}

/** `wireProtocol`: a WIRE_PROTOCOL_ value of the kernel's classification. */
export function protocolByWire(wireProtocol: number): Protocol | undefined {
  return byWire[wireProtocol];
}
