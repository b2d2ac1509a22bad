// SPDX-License-Identifier: Apache-2.0
import { type MeasurementSink, SharedBlock, type SpanSink } from "../../model/attribute.ts";
import type { Role } from "../../model/protocol.ts";
import { ByteTable } from "../http1/byte-table.ts";
import { effectOf, isContainer, isKnown, PLAIN } from "./commands.ts";
import { describeSummary, measureSummary } from "./span.ts";

/** Distinct spellings of commands kept a service. */
const COMMANDS_MAX = 1024;
const SUBCOMMANDS_MAX = 64;
/** Arguments that are written out in a statement. */
const ARGUMENTS_SHOWN = 16;
const BLOCKS_MAX = 16;

/** What many commands have in common: these fields, each of few values. */
export interface Summary {
  readonly role: Role;
  /** As the client wrote it; empty when it is not known. */
  readonly operation: string;
  readonly text: string;
  readonly namespace: string;
  readonly status: string;
  readonly failure: string;
}

type Variable = Pick<Summary, "role" | "namespace" | "status" | "failure">;

class Blocks {
  readonly summary: Summary;
  readonly span: SharedBlock<SpanSink>;
  readonly measurement: SharedBlock<MeasurementSink>;

  constructor(summary: Summary) {
    this.summary = summary;
    this.span = new SharedBlock((sink) => describeSummary(summary, sink));
    this.measurement = new SharedBlock((sink) => measureSummary(summary, sink));
  }

  matches(given: Variable): boolean {
    const { role, namespace, status, failure } = this.summary;
    return (
      role === given.role &&
      status === given.status &&
      namespace === given.namespace &&
      failure === given.failure
    );
  }
}

/** A command with its arguments left out: `SET ? ?`. */
export class Statement {
  readonly operation: string;
  readonly text: string;
  readonly effect: number;
  readonly #blocks: Blocks[] = [];
  #next = 0;

  constructor(operation: string, text: string, effect: number) {
    this.operation = operation;
    this.text = text;
    this.effect = effect;
  }

  blocks(given: Variable): Blocks {
    for (const blocks of this.#blocks) if (blocks.matches(given)) return blocks;
    const { role, namespace, status, failure } = given;
    const { operation, text } = this;
    const created = new Blocks({ role, operation, text, namespace, status, failure });
    this.#blocks[this.#next++ % BLOCKS_MAX] = created;
    return created;
  }
}

export const UNKNOWN_STATEMENT: Statement = new Statement("", "", PLAIN);

/** One spelling of a command's name, with its statements by their number of arguments. */
export class Command {
  readonly name: string;
  readonly upper: string;
  readonly effect: number;
  readonly isContainer: boolean;
  /** In capitals; empty for a command that is no subcommand. */
  readonly subcommandName: string;
  readonly #byCount: (Statement | undefined)[] = [];
  readonly #subcommands = new Map<string, Command>();

  constructor(name: string, word: string = "") {
    this.name = name;
    this.upper = name.toUpperCase();
    this.effect = effectOf(this.upper);
    this.isContainer = word === "" && isContainer(this.upper);
    this.subcommandName = word.toUpperCase();
    this.#text = word === "" ? name : `${name} ${word}`;
  }

  readonly #text: string;

  /** `count`: arguments without the words of the name. */
  statement(count: number): Statement {
    const shown = Math.min(Math.max(count, 0), ARGUMENTS_SHOWN + 1);
    let statement = this.#byCount[shown];
    if (statement === undefined) {
      const rest = shown > ARGUMENTS_SHOWN ? " ..." : "";
      const text = this.#text + " ?".repeat(Math.min(shown, ARGUMENTS_SHOWN)) + rest;
      statement = new Statement(this.name, text, this.effect);
      this.#byCount[shown] = statement;
    }
    return statement;
  }

  /** Of a container command, such as CLIENT. */
  subcommand(word: string): Command {
    let found = this.#subcommands.get(word);
    if (found === undefined) {
      if (this.#subcommands.size >= SUBCOMMANDS_MAX) this.#subcommands.clear();
      found = new Command(this.name, word);
      this.#subcommands.set(word, found);
    }
    return found;
  }
}

/** The commands of one service, compared in place. Bounded. */
export class CommandTable {
  readonly #commands = new ByteTable<Command>();
  /** What is not a word is no command's name: its bytes may be anything. */
  readonly other: Command = new Command("_OTHER");

  find(bytes: Uint8Array, start: number, end: number): Command {
    const found = this.#commands.find(bytes, start, end);
    if (found !== undefined) return found;
    const name = toWord(bytes, start, end);
    if (name === "" || (!isKnown(name.toUpperCase()) && !isModuleCommand(name))) return this.other;
    const command = new Command(name);
    if (this.#commands.count >= COMMANDS_MAX) this.#commands.clear();
    this.#commands.add(bytes, start, end, command);
    return command;
  }
}

/** Modules name their commands `JSON.SET`. */
function isModuleCommand(name: string): boolean {
  return /^[A-Za-z]+\.[A-Za-z._]+$/.test(name);
}

/** Letters, digits, `_`, `-` and `.` only; empty for anything else. */
export function toWord(bytes: Uint8Array, start: number, end: number): string {
  let word = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
    const isOther = (byte >= 48 && byte <= 57) || byte === 0x5f || byte === 0x2d || byte === 0x2e;
    if (!isLetter && !isOther) return "";
    word += String.fromCharCode(byte);
  }
  return word;
}
