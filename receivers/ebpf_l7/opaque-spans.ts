// SPDX-License-Identifier: Apache-2.0
import { ATTR_TLS_PROTOCOL_NAME } from "@opentelemetry/semantic-conventions/incubating";
import { attributeKey } from "../../src/model/attribute.ts";
import type { ProcessSelection } from "../../src/model/process.ts";
import type { Exchange, Role } from "../../src/model/protocol.ts";
import type { Account } from "./account.ts";
import type { Connection } from "./connection.ts";
import type { CloseRecord } from "./decode.ts";
import type { ExchangeOutput } from "./exchange-output.ts";

const KEYS = {
  protocol: attributeKey(ATTR_TLS_PROTOCOL_NAME),
  sent: attributeKey("backstitch.connection.sent"),
  received: attributeKey("backstitch.connection.received"),
};

export interface OpaqueSpansOptions {
  readonly selection: Pick<ProcessSelection, "process">;
  readonly account: Account;
  readonly output: ExchangeOutput;
}

/**
 * A span for each connection whose bytes cannot be read: what there is to say of it. It names no
 * bytes, so it has no part in stitching.
 */
export class OpaqueSpans {
  readonly #options: OpaqueSpansOptions;

  constructor(options: OpaqueSpansOptions) {
    this.#options = options;
  }

  /** The connection ended. Nothing is told of one of which nobody knows who opened it. */
  close(connection: Connection, { timeNs, sent, received }: CloseRecord): void {
    const { side, pid } = connection.record;
    const process = this.#options.selection.process(pid);
    if (process === undefined || side === "unknown") return;
    const { account, output } = this.#options;
    const role: Role = side === "opener" ? "client" : "server";
    const exchange: Exchange = {
      ...{ role, pid, requestPosition: 0, requestTid: 0, responseTid: 0 },
      ...{ startNs: connection.sinceNs, requestEndNs: 0, responseStartNs: 0, endNs: timeNs },
      ...{ traceContext: undefined, link: undefined },
      describe: (sink) => {
        sink.name("TLS");
        sink.string(KEYS.protocol, "tls");
        sink.int(KEYS.sent, sent);
        sink.int(KEYS.received, received);
      },
      // The conventions have no duration of connections.
      measure: () => {},
    };
    account.exchangesStarted.add(1);
    account.exchangesCompleted.add(1);
    output.write(process, connection.spanConnection(role), exchange, undefined);
  }
}
