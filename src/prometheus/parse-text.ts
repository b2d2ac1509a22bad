// SPDX-License-Identifier: Apache-2.0
// Reads Prometheus' text format 0.0.4 and OpenMetrics 1.0, with names in UTF-8 in quotes.

export type FamilyType = "counter" | "gauge" | "histogram" | "summary" | "info" | "unknown";

export interface ParsedExemplar {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
  readonly timeMs: number | undefined;
}

export interface ParsedSample {
  /** As written: `x_bucket`, `x_total`. */
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
  /** Since the epoch; undefined without one. */
  readonly timeMs: number | undefined;
  readonly exemplar: ParsedExemplar | undefined;
}

export interface ParsedFamily {
  readonly name: string;
  type: FamilyType;
  help: string;
  unit: string;
  readonly samples: ParsedSample[];
}

/** A line that is not the format's; nothing of the page is used then. */
export class ParseError extends Error {}

const NAME = /[A-Za-z_:][A-Za-z0-9_:]*/y;
const LABEL = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /[^\s#]+/y;
/** What a sample of a family may be called besides its name. */
const SUFFIXES: Readonly<Record<FamilyType, readonly string[]>> = {
  counter: ["_total", "_created"],
  gauge: [],
  histogram: ["_bucket", "_sum", "_count", "_created"],
  summary: ["_sum", "_count", "_created"],
  info: ["_info"],
  unknown: [],
};

/** The families in their order. Throws `ParseError` with the line's number. */
export function parseText(text: string, isOpenMetrics: boolean): ParsedFamily[] {
  const families = new Map<string, ParsedFamily>();
  const lines = text.split("\n");
  for (const [at, line] of lines.entries()) {
    try {
      const parser = new LineParser(line.endsWith("\r") ? line.slice(0, -1) : line, isOpenMetrics);
      if (line.startsWith("#")) readComment(parser, families);
      else if (line.trim() !== "") addSample(families, parser.sample());
    } catch (error) {
      if (error instanceof ParseError) throw new ParseError(`line ${at + 1}: ${error.message}`);
      throw error;
    }
  }
  return [...families.values()].filter(({ samples }) => samples.length > 0);
}

function readComment(parser: LineParser, families: Map<string, ParsedFamily>): void {
  const match = /^#\s+(HELP|TYPE|UNIT)\s+("(?:[^"\\]|\\.)*"|\S+)\s*(.*)$/.exec(parser.line);
  if (match === null) return;
  const [, what, written = "", rest = ""] = match;
  const name = written.startsWith('"') ? unescaped(written.slice(1, -1)) : written;
  const family = familyOf(families, name);
  if (what === "HELP") family.help = unescaped(rest);
  else if (what === "UNIT") family.unit = rest;
  else family.type = typeNamed(rest.trim());
}

function typeNamed(text: string): FamilyType {
  switch (text) {
    case "counter":
    case "gauge":
    case "histogram":
    case "summary":
    case "info":
      return text;
    case "stateset":
      return "gauge";
    default:
      return "unknown";
  }
}

function familyOf(families: Map<string, ParsedFamily>, name: string): ParsedFamily {
  let family = families.get(name);
  if (family === undefined) {
    family = { name, type: "unknown", help: "", unit: "", samples: [] };
    families.set(name, family);
  }
  return family;
}

function addSample(families: Map<string, ParsedFamily>, sample: ParsedSample): void {
  const { name } = sample;
  for (const suffix of ["_bucket", "_sum", "_count", "_total", "_created", "_info"]) {
    if (!name.endsWith(suffix)) continue;
    const family = families.get(name.slice(0, -suffix.length));
    if (family === undefined || !SUFFIXES[family.type].includes(suffix)) continue;
    family.samples.push(sample);
    return;
  }
  familyOf(families, name).samples.push(sample);
}

function unescaped(text: string): string {
  return text.replace(/\\(n|\\|")/g, (_, one: string) => (one === "n" ? "\n" : one));
}

class LineParser {
  readonly line: string;
  readonly #isOpenMetrics: boolean;
  #at = 0;

  constructor(line: string, isOpenMetrics: boolean) {
    this.line = line;
    this.#isOpenMetrics = isOpenMetrics;
  }

  sample(): ParsedSample {
    this.#space();
    const written = this.line[this.#at] === "{" ? "" : this.#match(NAME, "a metric's name");
    this.#space();
    const { name: quoted, labels } = this.line[this.#at] === "{" ? this.#labels() : NO_LABELS;
    const name = written === "" ? quoted : written;
    if (name === "") throw new ParseError("a sample has no name");
    const value = this.#number();
    const timeMs = this.#time();
    const exemplar = this.#exemplar();
    if (this.#at < this.line.length) {
      throw new ParseError(`unexpected "${this.line.slice(this.#at, this.#at + 20)}"`);
    }
    return { name, labels, value, timeMs, exemplar };
  }

  #exemplar(): ParsedExemplar | undefined {
    if (this.line[this.#at] !== "#") return undefined;
    this.#at++;
    this.#space();
    const { labels } = this.#labels();
    const value = this.#number();
    return { labels, value, timeMs: this.#time() };
  }

  /** `{a="b", "c.d"="e"}`; a quoted text alone is the metric's name. */
  #labels(): { readonly name: string; readonly labels: ReadonlyMap<string, string> } {
    if (this.line[this.#at] !== "{") throw new ParseError("labels must be in braces");
    this.#at++;
    let name = "";
    const labels = new Map<string, string>();
    for (;;) {
      this.#space();
      if (this.line[this.#at] === "}") break;
      const isQuoted = this.line[this.#at] === '"';
      const label = isQuoted ? this.#quoted() : this.#match(LABEL, "a label's name");
      this.#space();
      if (this.line[this.#at] === "=") {
        this.#at++;
        this.#space();
        labels.set(label, this.#quoted());
      } else if (isQuoted && name === "") name = label;
      else throw new ParseError(`label ${label} has no value`);
      this.#space();
      if (this.line[this.#at] === ",") this.#at++;
      else if (this.line[this.#at] !== "}") throw new ParseError("labels do not end");
    }
    this.#at++;
    this.#space();
    return { name, labels };
  }

  #quoted(): string {
    if (this.line[this.#at] !== '"') throw new ParseError("a label's value must be in quotes");
    for (let end = this.#at + 1; end < this.line.length; end++) {
      if (this.line[end] === "\\") end++;
      else if (this.line[end] === '"') {
        const text = unescaped(this.line.slice(this.#at + 1, end));
        this.#at = end + 1;
        return text;
      }
    }
    throw new ParseError("quotes do not end");
  }

  #number(): number {
    const text = this.#match(NUMBER, "a number");
    this.#space();
    return numberOf(text);
  }

  #time(): number | undefined {
    const next = this.line[this.#at];
    if (next === undefined || next === "#") return undefined;
    const value = this.#number();
    if (!Number.isFinite(value)) throw new ParseError("a time must be finite");
    return this.#isOpenMetrics ? value * 1000 : value;
  }

  #match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.line)?.[0];
    if (found === undefined) {
      throw new ParseError(`${what} is expected at "${this.line.slice(this.#at, this.#at + 20)}"`);
    }
    this.#at += found.length;
    return found;
  }

  #space(): void {
    while (this.line[this.#at] === " " || this.line[this.#at] === "\t") this.#at++;
  }
}

const NO_LABELS: { readonly name: string; readonly labels: ReadonlyMap<string, string> } = {
  name: "",
  labels: new Map(),
};

function numberOf(text: string): number {
  if (/^[+-]?inf(inity)?$/i.test(text)) {
    return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if (/^[+-]?nan$/i.test(text)) return Number.NaN;
  const value = Number(text);
  if (Number.isNaN(value)) throw new ParseError(`"${text}" is not a number`);
  return value;
}
