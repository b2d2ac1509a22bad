// SPDX-License-Identifier: Apache-2.0

/** What answers a text command, https://github.com/memcached/memcached/blob/master/doc/protocol.txt */
/** VALUE blocks up to END. */
export const RETRIEVE = 0;
/** One line. */
export const LINE = 1;
/** Lines up to END, or one that says something else. */
export const LIST = 2;
/** A meta command: a line, of which VA has a value behind it. */
export const META = 3;
/** The connection ends. */
export const NOTHING = 4;
/** Lines without end. */
export const STREAM = 5;

/** A text command: how its line is read. */
export interface TextCommand {
  readonly name: string;
  readonly answer: number;
  /** Which word says the length of the value behind the line, 0 for none. */
  readonly lengthAt: number;
  /** The first word that is a key, and whether all after it are. */
  readonly keyAt: number;
  readonly manyKeys: boolean;
}

function entry(
  name: string,
  answer: number,
  given: Partial<TextCommand> = {},
): readonly [string, TextCommand] {
  return [name, { name, answer, lengthAt: 0, keyAt: 0, manyKeys: false, ...given }];
}

export const TEXT_COMMANDS: ReadonlyMap<string, TextCommand> = new Map([
  ...["get", "gets"].map((name) => entry(name, RETRIEVE, { keyAt: 1, manyKeys: true })),
  ...["gat", "gats"].map((name) => entry(name, RETRIEVE, { keyAt: 2, manyKeys: true })),
  ...["set", "add", "replace", "append", "prepend", "cas"].map((name) =>
    entry(name, LINE, { lengthAt: 4, keyAt: 1 }),
  ),
  ...["delete", "incr", "decr", "touch"].map((name) => entry(name, LINE, { keyAt: 1 })),
  ...["mg", "md", "ma", "me"].map((name) => entry(name, META, { keyAt: 1 })),
  entry("ms", META, { lengthAt: 2, keyAt: 1 }),
  entry("mn", META),
  ...["stats", "lru_crawler"].map((name) => entry(name, LIST)),
  ...["flush_all", "version", "verbosity", "cache_memlimit", "slabs", "lru"].map((name) =>
    entry(name, LINE),
  ),
  ...["refresh_certs", "misbehave", "extstore"].map((name) => entry(name, LINE)),
  ...["quit", "shutdown"].map((name) => entry(name, NOTHING)),
  entry("watch", STREAM),
]);

/** https://docs.memcached.org/protocols/binary/ : names by opcode. */
const BINARY_NAMES =
  `get set add replace delete increment decrement quit flush getq noop version getk
getkq append prepend stat setq addq replaceq deleteq incrementq decrementq quitq flushq appendq
prependq verbosity touch gat gatq`.split(/\s+/);

export const GETQ = 0x09;
export const GETKQ = 0x0d;
export const STAT = 0x10;
export const QUIT = 0x07;
const GATQ = 0x1e;
const GATK = 0x23;
const GATKQ = 0x24;

export function binaryName(opcode: number): string {
  if (opcode === GATK || opcode === GATKQ) return opcode === GATK ? "gatk" : "gatkq";
  if (opcode >= 0x20 && opcode <= 0x22) return "sasl";
  return BINARY_NAMES[opcode] ?? "";
}

/** Commands that are answered only if something is found, or fails. */
export function isQuiet(opcode: number): boolean {
  const isUpdate = opcode >= 0x11 && opcode <= 0x1a && opcode !== 0x1b;
  return isUpdate || opcode === GETQ || opcode === GETKQ || opcode === GATQ || opcode === GATKQ;
}

/** Statuses that are answers: success, not found, exists, not stored. */
const ANSWERS: ReadonlySet<number> = new Set([0, 1, 2, 5]);

export function isErrorStatus(status: number): boolean {
  return !ANSWERS.has(status);
}
