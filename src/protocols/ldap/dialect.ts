// SPDX-License-Identifier: Apache-2.0
import type { NameTable } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  OVER,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { StoreDetails } from "../store-operation.ts";
import { BerReader } from "./ber.ts";
import { FilterText, obfuscatedName } from "./filter.ts";
import {
  ABANDON,
  detect,
  EXTENDED,
  frameBytes,
  INTERMEDIATE,
  isResult,
  LdapMessage,
  requestName,
  resultError,
  SEARCH,
  SEARCH_ENTRY,
  SEARCH_REFERENCE,
  UNBIND,
} from "./message.ts";

const START_TLS = "1.3.6.1.4.1.1466.20037";
const SCOPES: readonly string[] = ["base", "one", "sub", "children"];
const OCTETS = 0x04;
const BIND = 0x60;
const DELETE = 0x4a;

export interface LdapOptions {
  readonly names: NameTable;
  readonly rawStatements: boolean;
}

/** Operations of one connection, by message id. */
export class LdapDialect implements CorrelatedDialect<StoreDetails> {
  readonly headerBytes = 12;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<StoreDetails>;
  readonly #options: LdapOptions;
  readonly #message = new LdapMessage();
  readonly #reader = new BerReader();
  readonly #filter: FilterText;

  constructor(exchanges: Exchanges<StoreDetails>, options: LdapOptions) {
    this.#exchanges = exchanges;
    this.#options = options;
    this.#filter = new FilterText(options.names, options.rawStatements);
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  readonly plausible: typeof detect = detect;

  ended(frame: Frame<StoreDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const message = this.#message;
    if (message.read(bytes, start, end) !== "yes") {
      return end < start + frame.length ? TAKEN : MALFORMED;
    }
    const name = requestName(message.tag);
    return name === undefined ? this.#response(frame) : this.#request(frame, name);
  }

  #request(frame: Frame<StoreDetails>, name: string): FrameOutcome {
    const { id, tag } = this.#message;
    if (tag === UNBIND) return TAKEN;
    if (tag === ABANDON) return this.#abandon(frame);
    const exchange = this.#exchanges.begin(frame, id);
    exchange.requestEndNs = frame.endNs;
    exchange.details.code = tag;
    exchange.details.operation = name;
    exchange.details.text = this.#text(frame.bytes, name, exchange.details);
    return TAKEN;
  }

  /** What it is for stands in it as a bare integer. */
  #abandon({ bytes, direction, endNs }: Frame<StoreDetails>): FrameOutcome {
    const { start, end } = this.#message;
    let id = 0;
    for (let at = start; at < Math.min(end, start + 4); at++) id = id * 256 + (bytes[at] ?? 0);
    const open = this.#exchanges.find(direction, id);
    if (open === undefined) return TAKEN;
    open.errorType = "abandoned";
    this.#exchanges.end(open, endNs);
    return TAKEN;
  }

  #text(bytes: Uint8Array, operation: string, details: StoreDetails): string {
    const { tag, start, end } = this.#message;
    if (tag === DELETE) return `${operation} ${this.#name(bytes, start, end)}`;
    const reader = this.#reader.over(bytes, start, end);
    if (!reader.next()) return operation;
    if (tag === EXTENDED) {
      const oid = this.#options.names.find(bytes, reader.start, reader.end);
      details.operation = oid === START_TLS ? "startTLS" : operation;
      return `${operation} ${oid}`;
    }
    // A bind begins with the version.
    if (tag === BIND && !reader.next()) return operation;
    if (reader.tag !== OCTETS || !reader.isWhole) return operation;
    const name = `${operation} ${this.#name(bytes, reader.start, reader.end)}`.trimEnd();
    return tag === SEARCH ? `${name}${this.#search(bytes, end)}` : name;
  }

  /** Behind the base: scope, aliases, two limits, types only, the filter. */
  #search(bytes: Uint8Array, end: number): string {
    const reader = this.#reader;
    if (!reader.next()) return "";
    const scope = SCOPES[reader.integer()] ?? "";
    for (let count = 0; count < 4; count++) {
      if (!reader.next()) return ` ${scope}`;
    }
    const limits = reader.start + reader.length;
    if (!reader.next()) return ` ${scope}`;
    return ` ${scope} ${this.#filter.render(bytes, limits, Math.min(end, reader.end))}`;
  }

  #name(bytes: Uint8Array, start: number, end: number): string {
    const name = this.#options.names.find(bytes, start, end);
    return this.#options.rawStatements ? name : obfuscatedName(name);
  }

  #response(frame: Frame<StoreDetails>): FrameOutcome {
    const { id, tag, start, end } = this.#message;
    const asked = this.#exchanges.find(opposite(frame.direction), id);
    if (asked === undefined) return UNASKED;
    const { details } = asked;
    this.#exchanges.answer(asked, frame);
    if (tag === SEARCH_ENTRY) details.rows = Math.max(0, details.rows) + 1;
    if (tag === SEARCH_ENTRY || tag === SEARCH_REFERENCE || tag === INTERMEDIATE) return TAKEN;
    if (!isResult(tag)) return MALFORMED;
    const reader = this.#reader.over(frame.bytes, start, end);
    const code = reader.next() ? reader.integer() : -1;
    if (details.code === SEARCH && details.rows < 0) details.rows = 0;
    if (code > 0) {
      asked.errorType = resultError(code);
      details.status = asked.errorType === "" ? "" : String(code);
    }
    const isSecured = details.operation === "startTLS" && code === 0;
    this.#exchanges.end(asked, frame.endNs);
    return isSecured ? OVER : TAKEN;
  }
}
