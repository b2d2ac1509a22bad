// SPDX-License-Identifier: Apache-2.0
import type {
  DataRecord,
  Detection,
  ExchangeEvents,
  LossReason,
  ParserOptions,
  Role,
} from "../../model/protocol.ts";
import type { DatabasePool } from "../database/exchange.ts";
import { Fifo } from "../fifo.ts";
import { failureName } from "../http1/errno.ts";
import {
  BOUNDARY_LOST,
  type Dialect,
  MALFORMED,
  type Outcome,
  OVER,
  TAKEN,
  TOO_MANY,
  UNASKED,
} from "../ordered-connection.ts";
import { ExchangePool } from "../pooled-exchange.ts";
import {
  CLIENT,
  HELLO,
  PING,
  RESET,
  SELECT,
  STREAMING,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from "./commands.ts";
import { detect } from "./detect.ts";
import { DESCRIPTION, type RedisExchange, type RedisState } from "./exchange.ts";
import {
  ARRAY,
  BULK_ERROR,
  ERROR,
  PUSH,
  type RespHandler,
  RespReader,
  type RespShown,
  SHOWN_FEW,
} from "./reader.ts";
import { ARGUMENTS_SHOWN, type Command, CommandTable, toWord } from "./statements.ts";

/** With `rawStatements`. */
const SHOWN_RAW: RespShown = { elements: ARGUMENTS_SHOWN + 2, bytes: 512 };
const decoder = new TextDecoder();
const DATABASE_DIGITS_MAX = 5;
const MESSAGES: ReadonlySet<string> = new Set(["message", "pmessage", "smessage"]);

/** What the connections of one service have in common. */
export class RedisShared {
  readonly options: ParserOptions;
  readonly commands: CommandTable = new CommandTable();
  readonly pool: DatabasePool<RedisState> = new ExchangePool(DESCRIPTION);

  constructor(options: ParserOptions) {
    this.options = options;
  }
}

/** Commands and replies of one connection. */
export class RedisDialect implements Dialect {
  readonly #shared: RedisShared;
  readonly #events: ExchangeEvents;
  readonly #open = new Fifo<RedisExchange>();
  readonly #requests: RespReader;
  readonly #replies: RespReader;
  #namespace = "";
  /** A SUBSCRIBE was seen: in RESP2 messages come as arrays then. */
  #subscribed = false;
  /** What is being read. */
  #record: DataRecord | undefined = undefined;
  #outcome: Outcome = TAKEN;
  #sending: RedisExchange | undefined = undefined;
  #command: Command | undefined = undefined;
  #count = 0;
  /** Arguments as they are, if that is wanted. */
  readonly #raw: string[] = [];
  /** First element of the reply that is being read. */
  #kind = "";
  /** The last request was one after which nothing can be paired. */
  #ending = false;

  constructor(shared: RedisShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
    const shown = shared.options.rawStatements ? SHOWN_RAW : SHOWN_FEW;
    this.#requests = new RespReader(this.#requestHandler(), true, shown);
    this.#replies = new RespReader(this.#replyHandler(), false);
  }

  get openCount(): number {
    return this.#open.count;
  }

  get atBoundary(): boolean {
    return this.#requests.atBoundary && this.#replies.atBoundary;
  }

  get requestBoundary(): boolean {
    return this.#requests.atBoundary;
  }

  detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
    return detect(bytes, start, end);
  }

  answers(bytes: Uint8Array, start: number, _end: number): boolean {
    const type = bytes[start];
    return type !== PUSH && !(this.#subscribed && type === ARRAY);
  }

  begin(_role: Role, fromStart: boolean): void {
    this.#requests.reset();
    this.#replies.reset();
    this.#ending = false;
    if (fromStart) this.#namespace = "0";
  }

  request(record: DataRecord): Outcome {
    return this.#read(this.#requests, record);
  }

  response(record: DataRecord): Outcome {
    return this.#read(this.#replies, record);
  }

  #read(reader: RespReader, record: DataRecord): Outcome {
    const end = record.start + record.captured;
    this.#record = record;
    this.#outcome = TAKEN;
    let at = record.start;
    while (at < end && this.#outcome === TAKEN) {
      at = reader.read(record.bytes, at, end);
      if (at < 0) this.#outcome = MALFORMED;
    }
    return this.#outcome;
  }

  requestHole(count: number): boolean {
    return this.#requests.hole(count);
  }

  responseHole(count: number): boolean {
    this.#outcome = TAKEN;
    return this.#replies.hole(count) && this.#outcome === TAKEN;
  }

  loseRequests(reason: LossReason): void {
    this.#requests.reset();
    const exchange = this.#sending;
    if (exchange === undefined) return;
    this.#sending = undefined;
    this.#open.pop();
    this.#abandon(exchange, reason);
  }

  abandonAll(reason: LossReason): void {
    this.#sending = undefined;
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      this.#abandon(next, reason);
    }
    this.#requests.reset();
    this.#replies.reset();
    // The database may have been changed by what is lost.
    this.#namespace = "";
  }

  #abandon(exchange: RedisExchange, reason: LossReason): void {
    this.#events.abandon(exchange, reason);
    this.#shared.pool.give(exchange);
  }

  close(timeNs: number, error: number): void {
    this.loseRequests("malformed");
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      next.endNs = timeNs;
      next.errorType = failureName(error);
      this.#events.end(next);
      this.#shared.pool.give(next);
    }
    this.#requests.reset();
    this.#replies.reset();
  }

  #requestHandler(): RespHandler {
    return {
      started: (_type, offset) => this.#requestStarted(offset),
      counted: (count) => {
        this.#count = count;
      },
      element: (index, kept, length) => this.#argument(index, kept, length),
      ended: (type, kept, length) => {
        if (type !== ARRAY) this.#inline(kept, length);
        this.#requestEnded();
      },
    };
  }

  #requestStarted(offset: number): void {
    const record = this.#record;
    if (record === undefined) return;
    if (this.#ending || this.#open.count >= this.#shared.options.pipelinedMax) {
      this.#outcome = this.#ending ? BOUNDARY_LOST : TOO_MANY;
      return;
    }
    const { direction, timeNs: startNs, pid, tid } = record;
    const position = record.position + offset - record.start;
    const exchange = this.#shared.pool.take({ direction, position, startNs, pid, tid });
    this.#count = 0;
    this.#raw.length = 0;
    this.#command = undefined;
    this.#sending = exchange;
    this.#open.push(exchange);
    this.#events.begin(exchange);
  }

  #argument(index: number, kept: Uint8Array, length: number): void {
    const exchange = this.#sending;
    if (exchange === undefined) return;
    if (index === 0) {
      this.#command = this.#shared.commands.find(kept, 0, length);
      exchange.details.state.repliesLeft = 1;
      return;
    }
    const command = this.#command;
    if (command === undefined) return;
    const isWord = index === 1 && command.isContainer;
    if (!isWord && this.#shared.options.rawStatements && this.#raw.length < ARGUMENTS_SHOWN) {
      this.#raw.push(decoder.decode(kept.subarray(0, length)));
    }
    if (index === 1) {
      if (command.effect === SELECT) this.#select(exchange, toWord(kept, 0, length));
      else if (command.isContainer) {
        const word = toWord(kept, 0, length);
        if (word !== "") this.#command = command.subcommand(word);
        this.#count--;
      }
      if (command.effect === HELLO && length === 1 && kept[0] === 0x33) this.#subscribed = false;
    } else if (command.effect === CLIENT && isReplyMode(command, toWord(kept, 0, length))) {
      this.#ending = true;
    }
  }

  #select(exchange: RedisExchange, database: string): void {
    exchange.details.state.namespaceBefore = this.#namespace;
    const isNumber = database.length <= DATABASE_DIGITS_MAX && /^\d+$/.test(database);
    this.#namespace = isNumber ? database : "";
  }

  #inline(kept: Uint8Array, length: number): void {
    let words = 0;
    let start = -1;
    for (let at = 0; at <= length; at++) {
      const isSpace = at === length || (kept[at] ?? 0) <= 0x20;
      if (!isSpace && start < 0) start = at;
      if (!isSpace || start < 0) continue;
      this.#argument(words++, kept.subarray(start, at), at - start);
      start = -1;
    }
    this.#count += words;
  }

  #requestEnded(): void {
    const exchange = this.#sending;
    const record = this.#record;
    if (exchange === undefined || record === undefined) return;
    const command = this.#command;
    this.#sending = undefined;
    if (command === undefined) {
      // An empty array: Redis does not answer it.
      this.#open.pop();
      this.#abandon(exchange, "malformed");
      return;
    }
    exchange.requestEndNs = record.timeNs;
    const count = this.#count - 1;
    const isRaw = this.#shared.options.rawStatements;
    exchange.details.statement = isRaw
      ? command.rawStatement(this.#raw, count)
      : command.statement(count);
    exchange.details.state.effect = command.effect;
    this.#apply(command, exchange);
    exchange.details.namespace = this.#namespace;
    if (this.#ending && command.effect === CLIENT) this.#outcome = OVER;
  }

  #apply(command: Command, exchange: RedisExchange): void {
    const { effect } = command;
    if (effect === SUBSCRIBE) {
      this.#subscribed = true;
      exchange.details.state.repliesLeft = Math.max(1, this.#count - 1);
    } else if (effect === UNSUBSCRIBE)
      exchange.details.state.repliesLeft = Math.max(1, this.#count - 1);
    else if (effect === STREAMING) this.#ending = true;
    else if (effect === RESET) {
      this.#namespace = "0";
      this.#subscribed = false;
    }
  }

  #replyHandler(): RespHandler {
    return {
      started: (type) => {
        this.#kind = "";
        const front = this.#open.first;
        const record = this.#record;
        if (front === undefined || record === undefined) return;
        if (type !== PUSH && front.responseStartNs === 0) {
          front.responseStartNs = record.timeNs;
          front.responseTid = record.tid;
        }
      },
      counted: () => undefined,
      element: (index, kept, length) => {
        if (index === 0) this.#kind = toWord(kept, 0, Math.min(length, 16)).toLowerCase();
      },
      ended: (type, kept, length) => this.#reply(type, kept, length),
    };
  }

  #reply(type: number, kept: Uint8Array, length: number): void {
    const front = this.#open.first;
    const isArray = type === ARRAY;
    if (type === PUSH || (isArray && this.#isUnaskedArray(front))) {
      this.#push(front);
      return;
    }
    if (front === undefined || front === this.#sending) {
      this.#outcome = UNASKED;
      return;
    }
    if (type === ERROR || type === BULK_ERROR) {
      front.details.status = errorPrefix(kept, length);
      if (front.details.state.namespaceBefore !== "")
        this.#namespace = front.details.state.namespaceBefore;
    }
    this.#finish(front);
  }

  /** RESP2: is this array a published message, or the confirmation of a subscription? */
  #isUnaskedArray(front: RedisExchange | undefined): boolean {
    const kind = this.#kind;
    if (MESSAGES.has(kind)) {
      // Of a subscription that was not seen, if nothing is open that has such a reply.
      return this.#subscribed || front === undefined || this.#effect(front) === PING;
    }
    if (!kind.endsWith("subscribe")) return false;
    if (this.#subscribed) return true;
    const effect = front === undefined ? UNSUBSCRIBE : this.#effect(front);
    return effect === SUBSCRIBE || effect === UNSUBSCRIBE || effect === PING;
  }

  #effect(exchange: RedisExchange): number {
    return exchange.details.state.effect;
  }

  /** Only a confirmation is a reply. */
  #push(front: RedisExchange | undefined): void {
    if (front === undefined || front === this.#sending) return;
    const effect = this.#effect(front);
    if (effect !== SUBSCRIBE && effect !== UNSUBSCRIBE) return;
    if (front.details.statement.facts.operation.toLowerCase() !== this.#kind) return;
    const record = this.#record;
    if (front.responseStartNs === 0 && record !== undefined) {
      front.responseStartNs = record.timeNs;
      front.responseTid = record.tid;
    }
    front.details.state.repliesLeft--;
    if (front.details.state.repliesLeft === 0) this.#finish(front);
  }

  #finish(exchange: RedisExchange): void {
    const record = this.#record;
    if (record !== undefined) exchange.endNs = record.timeNs;
    this.#open.shift();
    this.#events.end(exchange);
    this.#shared.pool.give(exchange);
    if (this.#ending && this.#open.count === 0) this.#outcome = OVER;
  }
}

/** CLIENT REPLY OFF and SKIP: replies are left out then. */
function isReplyMode(command: Command, word: string): boolean {
  return command.subcommandName === "REPLY" && /^(off|skip)$/i.test(word);
}

/** The first word of an error, by convention in capitals. */
function errorPrefix(kept: Uint8Array, length: number): string {
  let end = 0;
  while (end < length && (kept[end] ?? 0) > 0x20) end++;
  const word = toWord(kept, 0, Math.min(end, 32));
  return /^[A-Z][A-Z0-9_]*$/.test(word) ? word : "ERR";
}
