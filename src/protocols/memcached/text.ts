// SPDX-License-Identifier: Apache-2.0
import type { DataRecord } from "../../model/protocol.ts";
import {
  MALFORMED,
  type Outcome,
  OVER,
  type Skipping,
  TAKEN,
  TOO_MANY,
  UNASKED,
} from "../ordered-connection.ts";
import {
  LIST,
  META,
  NOTHING,
  RETRIEVE,
  STREAM,
  TEXT_COMMANDS,
  type TextCommand,
} from "./commands.ts";
import type { MemcachedExchange, MemcachedShared } from "./exchange.ts";
import { LineReader, NO_LINE, NO_VALUE } from "./line-reader.ts";
import type { CommandQueue } from "./queue.ts";

const ERRORS: ReadonlySet<string> = new Set(["ERROR", "CLIENT_ERROR", "SERVER_ERROR"]);
/** Lines of a list that is not over. */
const ITEMS: ReadonlySet<string> = new Set(["STAT", "ITEM", "PREFIX"]);
/** Meta commands that are quiet are answered so only where something is worth it. */
const LOUD_ANSWERS: ReadonlySet<string> = new Set(["VA", "HD", "NS", "EX", "NF", "EN", "ME"]);
const VALUE_BYTES_MAX = 2 ** 30;

/** The text protocol and its meta commands. */
export class TextCommands {
  readonly #shared: MemcachedShared;
  readonly #queue: CommandQueue;
  readonly requests: LineReader;
  readonly responses: LineReader;
  #record: DataRecord | undefined = undefined;
  #outcome: Outcome = TAKEN;
  #command: TextCommand | undefined = undefined;
  #isUnanswered = false;
  /** The response is over with the line or value at hand. */
  #isLast = false;

  constructor(shared: MemcachedShared, queue: CommandQueue) {
    this.#shared = shared;
    this.#queue = queue;
    this.requests = new LineReader({
      started: (offset) => this.#requestStarted(offset),
      line: (bytes, start, end) => this.#requestLine(bytes, start, end),
      ended: () => this.#requestEnded(),
    });
    this.responses = new LineReader({
      started: () => undefined,
      line: (bytes, start, end) => this.#responseLine(words(bytes, start, end)),
      ended: () => this.#responseEnded(),
    });
  }

  read(reader: LineReader, record: DataRecord): Outcome {
    const end = record.start + record.captured;
    this.#record = record;
    this.#outcome = TAKEN;
    let at = record.start;
    while (at < end && this.#outcome === TAKEN) {
      at = reader.read(record.bytes, at, end);
      if (at < 0 && this.#outcome === TAKEN) this.#outcome = MALFORMED;
    }
    return this.#outcome;
  }

  hole(reader: LineReader, count: number): boolean {
    this.#outcome = TAKEN;
    return reader.hole(count) && this.#outcome === TAKEN;
  }

  /** Values that go by unread. */
  get skipping(): Skipping {
    const isInValues = (): boolean =>
      this.#queue.first?.details.state.answer === RETRIEVE && !this.responses.atBoundary;
    return {
      get allowed(): boolean {
        return isInValues();
      },
      isEnd: (last) => String.fromCharCode(...last.subarray(1)) === "\r\nEND\r\n",
      end: (timeNs) => {
        this.responses.reset();
        this.#queue.finish(timeNs);
      },
    };
  }

  #requestStarted(offset: number): void {
    const record = this.#record;
    if (record === undefined) return;
    if (!this.#queue.begin(record, record.position + offset - record.start)) {
      this.#outcome = TOO_MANY;
    }
  }

  #requestLine(bytes: Uint8Array, start: number, end: number): number {
    const exchange = this.#queue.sending;
    if (exchange === undefined) return NO_LINE;
    const parts = words(bytes, start, end);
    const [name = ""] = parts;
    const command = TEXT_COMMANDS.get(name);
    if (command === undefined) return NO_LINE;
    const { state } = exchange.details;
    state.answer = command.answer;
    if (command.answer === META) readMetaFlags(exchange, command, parts);
    this.#command = command;
    this.#isUnanswered = command.answer !== META && parts.at(-1) === "noreply";
    const keys = command.manyKeys ? parts.length - command.keyAt : Math.min(1, command.keyAt);
    const statement = this.#shared.statement(name, keys);
    exchange.details.statement = this.#shared.rawStatement(statement, bytes, start, end);
    if (command.lengthAt === 0) return NO_VALUE;
    return readCount(parts[command.lengthAt]);
  }

  #requestEnded(): void {
    const { sending } = this.#queue;
    const timeNs = this.#record?.timeNs ?? 0;
    const answer = this.#command?.answer ?? NOTHING;
    if (sending === undefined) return;
    sending.requestEndNs = timeNs;
    if (answer === NOTHING) this.#queue.takeBack("no_operation");
    else if (answer === STREAM) this.#outcome = OVER;
    else if (this.#isUnanswered) this.#queue.endUnanswered(timeNs);
    this.#queue.sending = undefined;
  }

  #responseLine(parts: readonly string[]): number {
    const record = this.#record;
    const [word = ""] = parts;
    if (record === undefined) return NO_LINE;
    if (!this.#queue.match((exchange) => isAnswer(exchange, parts), record)) {
      this.#outcome = this.#queue.first === undefined ? UNASKED : MALFORMED;
      return NO_LINE;
    }
    const front = this.#queue.first;
    if (front === undefined) return NO_LINE;
    const { answer } = front.details.state;
    if (ERRORS.has(word)) front.details.status = word;
    this.#isLast = true;
    if (answer === RETRIEVE && word === "VALUE") {
      this.#isLast = false;
      return readCount(parts[3]);
    }
    if (answer === META && word === "VA") return readCount(parts[1]);
    if (answer === LIST) this.#isLast = !(ITEMS.has(word) || word.includes("="));
    return NO_VALUE;
  }

  #responseEnded(): void {
    if (this.#isLast && this.#record !== undefined) this.#queue.finish(this.#record.timeNs);
  }
}

/** The flags of a meta command: `q` for quiet, `O` with what its answer repeats. */
function readMetaFlags(
  exchange: MemcachedExchange,
  command: TextCommand,
  parts: readonly string[],
): void {
  const { state } = exchange.details;
  for (const flag of parts.slice(Math.max(command.keyAt, command.lengthAt) + 1)) {
    if (flag === "q") state.isQuiet = true;
    else if (flag.startsWith("O")) state.opaque = flag.slice(1);
  }
}

/** Can this line answer that command? */
function isAnswer(exchange: MemcachedExchange, parts: readonly string[]): boolean {
  const { state, statement } = exchange.details;
  const [word = ""] = parts;
  if (ERRORS.has(word)) return true;
  if (state.answer === RETRIEVE) return word === "VALUE" || word === "END";
  if (state.answer !== META) return word !== "VALUE" && word !== "MN";
  if (word === "MN") return statement.facts.operation === "mn";
  if (statement.facts.operation === "mn" || !LOUD_ANSWERS.has(word)) return false;
  const opaque = parts.find((part, index) => index > 0 && part.startsWith("O"));
  if (opaque !== undefined || state.opaque !== undefined) {
    return opaque !== undefined && opaque.slice(1) === state.opaque;
  }
  return !state.isQuiet || isHeard(statement.facts.operation, word);
}

/** Is this answer to a quiet meta command given at all? */
function isHeard(operation: string, word: string): boolean {
  if (operation === "mg" || operation === "me") return word !== "EN";
  return word !== "HD";
}

function words(bytes: Uint8Array, start: number, end: number): readonly string[] {
  return String.fromCharCode(...bytes.subarray(start, end))
    .split(" ")
    .filter((word) => word !== "");
}

function readCount(text: string | undefined): number {
  const count = /^\d{1,10}$/.test(text ?? "") ? Number(text) : -1;
  return count < 0 || count > VALUE_BYTES_MAX ? NO_LINE : count;
}
