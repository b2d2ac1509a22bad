// SPDX-License-Identifier: Apache-2.0
import { OttlSyntaxError, type Token, type TokenKind, tokenize } from "./lexer.ts";
import type {
  ArgumentSyntax,
  CallSyntax,
  ConditionSyntax,
  PathSyntax,
  StatementSyntax,
  ValueSyntax,
} from "./syntax.ts";

const DEPTH_MAX = 64;

/** Parses a condition of OTTL. Throws `OttlSyntaxError`. */
export function parseCondition(text: string): ConditionSyntax {
  return new Parser(tokenize(text)).whole();
}

/** Parses `editor(arguments) where condition`. Throws `OttlSyntaxError`. */
export function parseStatement(text: string): StatementSyntax {
  return new Parser(tokenize(text)).statement();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): ConditionSyntax {
    const condition = this.#or();
    if (this.#peek().kind !== "end") throw this.#unexpected();
    return condition;
  }

  statement(): StatementSyntax {
    const name = this.#next();
    if (name.kind !== "lower") {
      this.#at--;
      throw this.#unexpected("editor");
    }
    this.#expect("(");
    const editor = this.#call(name.text);
    let where: ConditionSyntax | undefined;
    if (this.#peek().kind === "lower" && this.#peek().text === "where") {
      this.#at++;
      where = this.#or();
    }
    if (this.#peek().kind !== "end") throw this.#unexpected();
    return { editor, where };
  }

  #or(): ConditionSyntax {
    if (++this.#depth > DEPTH_MAX) throw this.#unexpected("less nesting");
    const parts = [this.#and()];
    while (this.#take("or")) parts.push(this.#and());
    this.#depth--;
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: "or", parts };
  }

  #and(): ConditionSyntax {
    const parts = [this.#not()];
    while (this.#take("and")) parts.push(this.#not());
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: "and", parts };
  }

  #not(): ConditionSyntax {
    if (this.#take("not")) return { kind: "not", part: this.#bare() };
    return this.#bare();
  }

  /** A comparison, a constant, a call, or a condition in brackets: tried in this order. */
  #bare(): ConditionSyntax {
    const start = this.#at;
    const depth = this.#depth;
    let problem: unknown;
    try {
      const left = this.#value();
      if (this.#peek().kind === "compare") {
        const op = this.#next().text;
        return { kind: "compare", op, left, right: this.#value() };
      }
      if (left.kind === "call") return { kind: "test", call: left };
      if (left.kind === "literal" && typeof left.value === "boolean") {
        return { kind: "constant", value: left.value };
      }
      problem = this.#unexpected("<opcomparison> Value");
    } catch (error) {
      problem = error;
    }
    if (this.#tokens[start]?.text !== "(") throw problem;
    this.#at = start + 1;
    this.#depth = depth;
    const inside = this.#or();
    this.#expect(")");
    return inside;
  }

  #value(): ValueSyntax {
    if (++this.#depth > DEPTH_MAX) throw this.#unexpected("less nesting");
    let left = this.#product();
    for (let sign = this.#sign("+", "-"); sign !== undefined; sign = this.#sign("+", "-")) {
      left = { kind: "math", op: sign, left, right: this.#product() };
    }
    this.#depth--;
    return left;
  }

  #product(): ValueSyntax {
    let left = this.#operand();
    for (let sign = this.#sign("*", "/"); sign !== undefined; sign = this.#sign("*", "/")) {
      left = { kind: "math", op: sign, left, right: this.#operand() };
    }
    return left;
  }

  #operand(): ValueSyntax {
    const token = this.#next();
    switch (token.kind) {
      case "bytes":
        if (token.text.length % 2 === 1) throw this.#unexpected();
        return { kind: "literal", value: Buffer.from(token.text.slice(2), "hex") };
      case "float":
        return { kind: "literal", value: { float: Number(token.text) } };
      case "int":
        return { kind: "literal", value: integerOf(token.text) };
      case "string":
        return { kind: "literal", value: unquoted(token.text) };
      case "boolean":
        return { kind: "literal", value: token.text === "true" };
      case "upper":
        return this.#upper(token);
      case "lower":
        return token.text === "nil" ? { kind: "nil" } : this.#path(token);
      default:
        break;
    }
    if (token.text === "[") return this.#list();
    if (token.text === "{") return this.#map();
    if (token.text === "(") {
      const inside = this.#value();
      this.#expect(")");
      return inside;
    }
    this.#at--;
    throw this.#unexpected('Field ("." Field)*');
  }

  /** A call (`IsMatch(`), whose name may go on in lower case, or an enum's symbol. */
  #upper(first: Token): ValueSyntax {
    let name = first.text;
    let end = first.column + name.length;
    for (let next = this.#peek(); isName(next) && next.column === end; next = this.#peek()) {
      name += next.text;
      end += next.text.length;
      this.#at++;
    }
    if (this.#peek().text !== "(") return { kind: "enum", name };
    this.#at++;
    return this.#call(name);
  }

  #call(name: string): CallSyntax {
    const args: ArgumentSyntax[] = [];
    if (this.#peek().text !== ")") {
      do args.push(this.#argument());
      while (this.#takeText(","));
    }
    this.#expect(")");
    return { kind: "call", name, args, keys: this.#keys() };
  }

  #argument(): ArgumentSyntax {
    const first = this.#peek();
    const second = this.#tokens[this.#at + 1];
    if (first.kind !== "lower" || second?.kind !== "punct" || second.text !== "=") {
      return { name: undefined, value: this.#value() };
    }
    this.#at += 2;
    return { name: first.text, value: this.#value() };
  }

  #map(): ValueSyntax {
    const entries: [string, ValueSyntax][] = [];
    if (this.#peek().text !== "}") {
      do {
        const key = this.#next();
        if (key.kind !== "string") {
          this.#at--;
          throw this.#unexpected("<string>");
        }
        this.#expect(":");
        entries.push([unquoted(key.text), this.#value()]);
      } while (this.#takeText(","));
    }
    this.#expect("}");
    return { kind: "map", entries };
  }

  #list(): ValueSyntax {
    const values: ValueSyntax[] = [];
    if (this.#peek().text !== "]") {
      do values.push(this.#value());
      while (this.#takeText(","));
    }
    this.#expect("]");
    return { kind: "list", values };
  }

  #path(first: Token): PathSyntax {
    const fields = [{ name: first.text, keys: this.#keys() }];
    while (this.#takeText(".")) {
      const token = this.#next();
      if (token.kind !== "lower") {
        this.#at--;
        throw this.#unexpected("Field");
      }
      fields.push({ name: token.text, keys: this.#keys() });
    }
    const shown = fields.map(({ name, keys }) => name + keys.map(shownKey).join(""));
    return { kind: "path", fields, text: shown.join(".") };
  }

  #keys(): ValueSyntax[] {
    const keys: ValueSyntax[] = [];
    while (this.#takeText("[")) {
      keys.push(this.#value());
      this.#expect("]");
    }
    return keys;
  }

  #sign(...signs: readonly string[]): string | undefined {
    const token = this.#peek();
    if (token.kind !== "math" || !signs.includes(token.text)) return undefined;
    this.#at++;
    return token.text;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "<EOF>", column: 0 };
  }

  #next(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }

  #take(kind: TokenKind): boolean {
    if (this.#peek().kind !== kind) return false;
    this.#at++;
    return true;
  }

  #takeText(text: string): boolean {
    if (this.#peek().kind !== "punct" || this.#peek().text !== text) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#takeText(text)) throw this.#unexpected(`"${text}"`);
  }

  #unexpected(expected?: string): OttlSyntaxError {
    const { text, column } = this.#peek();
    const hint = expected === undefined ? "" : ` (expected ${expected})`;
    return new OttlSyntaxError(`1:${column}: unexpected token ${JSON.stringify(text)}${hint}`);
  }
}

function shownKey(key: ValueSyntax): string {
  const value = key.kind === "literal" ? key.value : undefined;
  return `[${typeof value === "string" || typeof value === "number" ? JSON.stringify(value) : "…"}]`;
}

function isName(token: Token): boolean {
  return token.kind === "upper" || token.kind === "lower";
}

function integerOf(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

function unquoted(text: string): string {
  return text
    .slice(1, -1)
    .replace(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character);
}
