// SPDX-License-Identifier: Apache-2.0
import type { Protocol, Role } from "../../src/model/protocol.ts";
import { addressText } from "./endpoints.ts";
import type { Flow } from "./flow-table.ts";
import { ADDRESS_WORDS, TCP } from "./segment.ts";
import type { ServerSide } from "./server-side.ts";
import type { Side, StreamBytes } from "./tcp-streams.ts";
import { type Ending, View, type ViewContext, type ViewFacts } from "./view.ts";

/** What the views of all connections of one receiver share. */
export interface ViewsContext extends ViewContext {
  /** From whose end exchanges are told: one span or two for each. */
  readonly perspectives: readonly Role[];
  /** The protocol that the user fixed for one of the ports; the server's is asked first. */
  protocolOf(serverPort: number, clientPort: number): string | undefined;
  readonly disabledProtocols: readonly string[];
  /** All that are detected. */
  readonly protocols: readonly Protocol[];
}

export interface Start {
  readonly flow: Flow;
  /** Who answers, as far as can be told by the first packet. */
  readonly server: ServerSide;
}

/** What is kept while it is not sure who is the server; the oldest go first. */
const HISTORY_RECORDS_MAX = 64;
const HISTORY_BYTES_MAX = 64 * 1024;

/** The views of one connection, made with its first bytes. */
export class Views {
  readonly #context: ViewsContext;
  readonly #flow: Flow;
  #server: ServerSide;
  #views: readonly View[] | undefined;
  #history: StreamBytes[] = [];
  #historyBytes = 0;

  constructor(context: ViewsContext, { flow, server }: Start) {
    this.#context = context;
    this.#flow = flow;
    this.#server = server;
  }

  /** `starts`: the sequence numbers at which the two streams begin. */
  data(bytes: StreamBytes, starts: readonly [number, number]): void {
    const views = this.#views ?? this.#create(starts);
    this.#views = views;
    for (const view of views) view.data(bytes);
    if (this.#server.isSure) return;
    if (views.some(({ isReversed }) => isReversed)) this.#reverse(bytes, starts);
    else if (views.some(({ hasBegun }) => hasBegun)) this.#becomeSure(this.#server.side);
    else this.#remember(bytes);
  }

  close(timeNs: number, ending: Ending, positions: readonly [number, number]): void {
    const [first] = this.#views ?? [];
    if (first !== undefined) {
      const { verdict, protocol } = first;
      this.#context.account.connection(protocol?.name ?? (verdict === "tls" ? "tls" : "unknown"));
    }
    for (const view of this.#views ?? []) view.close(timeNs, ending, positions);
    this.#views = [];
    this.#history = [];
  }

  #becomeSure(side: Side): void {
    this.#server = { side, isSure: true };
    this.#history = [];
  }

  /** The first request came from the end that was taken for the server: all again. */
  #reverse(bytes: StreamBytes, starts: readonly [number, number]): void {
    const history = this.#history;
    this.#becomeSure(this.#server.side === 0 ? 1 : 0);
    this.#views = this.#create(starts);
    for (const view of this.#views) {
      view.isRepeating = true;
      for (const earlier of history) view.data(earlier);
      view.isRepeating = false;
      view.data(bytes);
    }
  }

  #remember(bytes: StreamBytes): void {
    const end = bytes.start + bytes.captured;
    this.#history.push({ ...bytes, bytes: bytes.bytes.slice(bytes.start, end), start: 0 });
    this.#historyBytes += bytes.captured;
    while (this.#history.length > HISTORY_RECORDS_MAX || this.#historyBytes > HISTORY_BYTES_MAX) {
      this.#historyBytes -= this.#history.shift()?.captured ?? 0;
    }
  }

  #create(starts: readonly [number, number]): readonly View[] {
    const context = this.#context;
    const { side: server, isSure } = this.#server;
    const client: Side = server === 0 ? 1 : 0;
    const endpoint: ViewFacts["endpoint"] = {
      transport: this.#flow.protocol === TCP ? "tcp" : "udp",
      only: context.protocolOf(this.#flow.ports[server], this.#flow.ports[client]),
      forbidden: context.disabledProtocols,
      protocols: context.protocols,
    };
    return context.perspectives.map((role) => {
      const facts = factsOf(this.#flow, role === "server" ? server : client, starts);
      return new View(context, { ...facts, role, isSure, endpoint });
    });
  }
}

function factsOf(
  flow: Flow,
  local: Side,
  starts: readonly [number, number],
): Omit<ViewFacts, "role" | "isSure" | "endpoint"> {
  const remote: Side = local === 0 ? 1 : 0;
  const { addresses, family, ports } = flow;
  return {
    localSide: local,
    family,
    localAddress: addressText(addresses, local * ADDRESS_WORDS, family),
    localPort: ports[local],
    remoteAddress: addressText(addresses, remote * ADDRESS_WORDS, family),
    remotePort: ports[remote],
    localStart: starts[local],
    remoteStart: starts[remote],
  };
}
