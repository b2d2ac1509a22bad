// SPDX-License-Identifier: Apache-2.0
import { createStatement, type Statement } from "../database/statement.ts";
import { ByteTable } from "../http1/byte-table.ts";
import { effectOf, isContainer, isKnown } from "./commands.ts";

/** Distinct spellings of commands kept a service. */
const COMMANDS_MAX = 1024;
const SUBCOMMANDS_MAX = 64;
/** Arguments that are written out in a statement. */
export const ARGUMENTS_SHOWN = 16;

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

  /** The same with its arguments as they are, `shown` of `count`. */
  rawStatement(shown: readonly string[], count: number): Statement {
    const rest = count > shown.length ? " ..." : "";
    return this.statement(count).withText([this.#text, ...shown].join(" ") + rest);
  }

  /** `count`: arguments without the words of the name. */
  statement(count: number): Statement {
    const shown = Math.min(Math.max(count, 0), ARGUMENTS_SHOWN + 1);
    let statement = this.#byCount[shown];
    if (statement === undefined) {
      const rest = shown > ARGUMENTS_SHOWN ? " ..." : "";
      const text = this.#text + " ?".repeat(Math.min(shown, ARGUMENTS_SHOWN)) + rest;
      statement = createStatement({ operation: this.name, text });
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
