// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  DataRecord,
  Exchange,
  ExchangeEvents,
  LossReason,
  ParserOptions,
  Protocol,
} from "../model/protocol.ts";
import { DetectionTally } from "./detection-tally.ts";
import { Doubt } from "./doubt.ts";
import { RecordCopy } from "./record-copy.ts";
import { PROTOCOLS } from "./registry.ts";

/**
 * `tls`: encrypted, so there is nothing to follow. `unknown`: nothing we know; both are final and
 * all further bytes are only counted. `found` may be withdrawn while the guess has not proved right.
 */
export type Verdict = "undecided" | "found" | "tls" | "unknown";

export interface DetectionEndpoint {
  readonly localPort: number;
  readonly remotePort: number;
  readonly transport: "tcp" | "udp";
  /** Name of the protocol that the user fixed: nothing is detected. */
  readonly only?: string | undefined;
  /** Names of protocols that are not to be considered. */
  readonly forbidden?: readonly string[] | undefined;
  /** All that come into question; those of the registry if not given. */
  readonly protocols?: readonly Protocol[] | undefined;
}

/** How records wait for the decision; a receiver whose records carry more than a `DataRecord` has its own. */
export interface RecordKeeper {
  /** A copy that outlives the cursor. */
  copy(record: DataRecord): DataRecord;
  /** Called with a copy right before the parser is given it. */
  replaying(copy: DataRecord): void;
}

export interface DetectingParser extends ConnectionParser {
  readonly verdict: Verdict;
  /** Of the verdict `found`. */
  readonly protocol: Protocol | undefined;
  /** The verdict will not change any more: an exchange was complete, or it is not `found`. */
  readonly isFinal: boolean;
}

/** Messages that are looked at before a connection is `unknown`. */
const TRIES_MAX = 16;
/** What waits for a decision; the oldest go first. */
const HELD_RECORDS_MAX = 32;
const HELD_BYTES_MAX = 16_384;
const KEEPER: RecordKeeper = {
  copy: (record) => new RecordCopy(record),
  replaying: () => undefined,
};

/**
 * A parser that finds out by the first bytes of messages which protocol a connection speaks, and is
 * that protocol's parser from then on. It may meet the connection anywhere in its life.
 * @throws RangeError when `endpoint.only` names no protocol.
 */
export function createDetectingParser(
  options: ParserOptions,
  events: ExchangeEvents,
  endpoint: DetectionEndpoint,
  keeper: RecordKeeper = KEEPER,
): DetectingParser {
  return new Detector({ options, events, endpoint, keeper });
}

interface DetectorOptions {
  readonly options: ParserOptions;
  readonly events: ExchangeEvents;
  readonly endpoint: DetectionEndpoint;
  readonly keeper: RecordKeeper;
}

class Detector implements DetectingParser, ExchangeEvents {
  readonly #options: DetectorOptions;
  #tally: DetectionTally | undefined;
  #parser: ConnectionParser | undefined;
  #tries = 0;
  #held: DataRecord[] = [];
  #heldBytes = 0;
  /** Exchanges of a guess that has not proved right yet. */
  #open: Exchange[] | undefined;
  readonly #doubt = new Doubt();
  #excluded: readonly Protocol[] = [];
  verdict: Verdict = "undecided";
  protocol: Protocol | undefined;

  constructor(options: DetectorOptions) {
    this.#options = options;
    const { only } = options.endpoint;
    if (only === undefined) {
      this.#startTally();
      return;
    }
    const fixed = this.#registered().find(({ name }) => name === only);
    if (fixed === undefined) throw new RangeError(`There is no protocol "${only}".`);
    const variant = options.endpoint.transport === "udp" ? fixed.datagrams : fixed;
    if (variant === undefined) {
      this.verdict = "unknown";
      return;
    }
    this.#follow(fixed, options.events);
  }

  get idle(): boolean {
    return this.#parser === undefined ? this.#held.length === 0 : this.#parser.idle;
  }

  get isFinal(): boolean {
    return this.verdict !== "undecided" && this.#open === undefined;
  }

  data(record: DataRecord): void {
    if (this.#parser !== undefined) {
      this.#parser.data(record);
      if (this.#doubt.isWrong) this.#withdraw();
      return;
    }
    if (this.verdict !== "undecided") {
      this.#options.events.lost("unknown_protocol");
      return;
    }
    this.#look(record);
  }

  close(timeNs: number, error: number, sent?: number, received?: number): void {
    if (this.#doubt.isAny) this.#withdraw();
    if (this.verdict === "undecided") this.#decide(true);
    if (this.#parser === undefined) this.#giveUp(this.verdict);
    else this.#parser.close(timeNs, error, sent, received);
  }

  begin(exchange: Exchange): void {
    this.#open?.push(exchange);
    this.#doubt.begin();
    this.#options.events.begin(exchange);
  }

  end(exchange: Exchange): void {
    this.#open = undefined;
    this.#doubt.end();
    this.#options.events.end(exchange);
  }

  abandon(exchange: Exchange, reason: LossReason): void {
    const index = this.#open?.indexOf(exchange) ?? -1;
    if (index >= 0) this.#open?.splice(index, 1);
    this.#options.events.abandon(exchange, reason);
  }

  lost(reason: LossReason): void {
    this.#doubt.lost(reason);
    this.#options.events.lost(reason);
  }

  #registered(): readonly Protocol[] {
    return this.#options.endpoint.protocols ?? PROTOCOLS;
  }

  #startTally(): void {
    const { endpoint } = this.#options;
    const forbidden = endpoint.forbidden ?? [];
    const considered = this.#registered().filter(
      (protocol) => !forbidden.includes(protocol.name) && !this.#excluded.includes(protocol),
    );
    this.#tally = new DetectionTally(considered, endpoint);
    this.#tries = 0;
  }

  #look(record: DataRecord): void {
    if (record.captured > 0 && this.#tally?.add(record) === true) this.#tries++;
    this.#held.push(this.#options.keeper.copy(record));
    this.#heldBytes += record.captured;
    // Better one of two equals than to lose what waits.
    this.#decide(this.#isHoldFull);
    if (this.verdict !== "undecided") return;
    if (this.#tries >= TRIES_MAX) this.#giveUp("unknown");
    while (this.#isHoldFull && this.#held.length > 1) {
      this.#heldBytes -= this.#held.shift()?.captured ?? 0;
      this.#options.events.lost("unknown_protocol");
    }
  }

  get #isHoldFull(): boolean {
    return this.#held.length > HELD_RECORDS_MAX || this.#heldBytes > HELD_BYTES_MAX;
  }

  #decide(isFinal: boolean): void {
    const found = this.#tally?.choose(isFinal);
    if (found === undefined) return;
    if (found === "tls") {
      this.#giveUp("tls");
      return;
    }
    this.#open = [];
    this.#doubt.reset();
    this.#follow(found, this);
    this.#replay();
  }

  #follow(protocol: Protocol, events: ExchangeEvents): void {
    const { options, endpoint } = this.#options;
    const variant = endpoint.transport === "udp" ? protocol.datagrams : protocol;
    this.verdict = "found";
    this.protocol = protocol;
    this.#parser = variant?.createParser(options, events);
    this.#tally = undefined;
  }

  #replay(): void {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const copy of held) {
      this.#options.keeper.replaying(copy);
      this.data(copy);
    }
  }

  /** The guess was wrong: nothing of it may become a span. */
  #withdraw(): void {
    if (this.#open === undefined) return;
    for (const exchange of this.#open) this.#options.events.abandon(exchange, "malformed");
    this.#open = undefined;
    this.#doubt.reset();
    if (this.protocol !== undefined) this.#excluded = [...this.#excluded, this.protocol];
    this.#parser = undefined;
    this.protocol = undefined;
    this.verdict = "undecided";
    this.#startTally();
  }

  #giveUp(verdict: Verdict): void {
    this.verdict = verdict === "undecided" ? "unknown" : verdict;
    for (const _ of this.#held) this.#options.events.lost("unknown_protocol");
    this.#held = [];
    this.#heldBytes = 0;
    this.#tally = undefined;
  }
}
