// SPDX-License-Identifier: Apache-2.0
import { ByteTable } from "../http1/byte-table.ts";
import { hexDigit, isDigit } from "./characters.ts";
import { METHOD_NAMES, METHOD_OTHER } from "./methods.ts";

const SLASH = 47;
const SEMICOLON = 59;
const DASH = 45;
const UNDERSCORE = 95;
const DOT = 46;
const PERCENT = 37;
const AT = 64;

const SEGMENTS_MAX = 12;
const ROUTE_BYTES_MAX = 512;
const SEGMENT_BYTES_MAX = 64;

const ID = text("{id}");
const UUID = text("{uuid}");
const HEX = text("{hex}");
const DATE = text("{date}");
const EMAIL = text("{email}");
const TOKEN = text("{token}");
const TEXT = text("{text}");
const REST = text("/*");

/** A value of `http.route`, made once. */
export class Route {
  readonly utf8: Uint8Array;
  readonly name: string;
  readonly #spanNames: string[] = [];

  /** Differs between the routes of a table. */
  readonly id: number;

  constructor(utf8: Uint8Array, id: number) {
    this.id = id;
    this.utf8 = utf8;
    this.name = new TextDecoder().decode(utf8);
  }

  /** `{method} {http.route}`; by the conventions the method is called HTTP when it is not known. */
  spanName(methodIndex: number): string {
    const known = this.#spanNames[methodIndex];
    if (known !== undefined) return known;
    const method = methodIndex === METHOD_OTHER ? "HTTP" : (METHOD_NAMES[methodIndex] ?? "HTTP");
    const name = `${method} ${this.name}`;
    this.#spanNames[methodIndex] = name;
    return name;
  }
}

/**
 * Guesses the route of a path: segments that look like values become placeholders (README.md has
 * the rules). Keeps at most `routesMax` routes; past that a new path becomes its first segment,
 * when a kept route begins with it, and `/*`.
 */
export class RouteTable {
  readonly #routes = new ByteTable<Route>();
  /** By first segment: `/first/*`. At most one for each of `#routes`. */
  readonly #fallbacks = new ByteTable<Route>();
  readonly #routesMax: number;
  readonly #scratch = new Uint8Array(ROUTE_BYTES_MAX + 128);
  readonly #any = new Route(REST, 0);

  constructor(routesMax: number) {
    this.#routesMax = routesMax;
  }

  get count(): number {
    return this.#routes.count + this.#fallbacks.count;
  }

  /** `learn`: keep a route that is new. Without, undefined when it is new. */
  find(path: Uint8Array, start: number, end: number, learn: boolean): Route | undefined {
    const length = writeTemplate(this.#scratch, path, start, end);
    const route = this.#routes.find(this.#scratch, 0, length);
    if (route !== undefined) return route;
    if (!learn) return undefined;
    const first = firstSegmentEnd(this.#scratch, length);
    if (this.#routes.count >= this.#routesMax) {
      return this.#fallbacks.find(this.#scratch, 0, first) ?? this.#any;
    }
    const created = new Route(this.#scratch.slice(0, length), this.count + 1);
    this.#routes.add(this.#scratch, 0, length, created);
    if (this.#fallbacks.find(this.#scratch, 0, first) === undefined) {
      const name = new Uint8Array(first + REST.length);
      name.set(this.#scratch.subarray(0, first));
      name.set(REST, first);
      this.#fallbacks.add(this.#scratch, 0, first, new Route(name, this.count + 1));
    }
    return created;
  }
}

function firstSegmentEnd(bytes: Uint8Array, length: number): number {
  const slash = bytes.subarray(0, length).indexOf(SLASH, 1);
  return slash < 0 ? length : slash;
}

/** Writes the path with placeholders; returns its length. The path begins with a slash. */
function writeTemplate(out: Uint8Array, path: Uint8Array, start: number, end: number): number {
  let written = 0;
  let at = start;
  let segments = 0;
  while (at < end) {
    if (segments === SEGMENTS_MAX || written > ROUTE_BYTES_MAX - SEGMENT_BYTES_MAX) {
      out.set(REST, written);
      return written + REST.length;
    }
    // `at` stands on the slash before the segment.
    const segment = at + 1;
    let next = segment;
    while (next < end && path[next] !== SLASH) next++;
    let segmentEnd = segment;
    while (segmentEnd < next && path[segmentEnd] !== SEMICOLON) segmentEnd++;
    out[written++] = SLASH;
    const placeholder = placeholderOf(path, segment, segmentEnd);
    if (placeholder === undefined) {
      for (let index = segment; index < segmentEnd; index++) out[written++] = path[index] ?? 0;
    } else {
      out.set(placeholder, written);
      written += placeholder.length;
    }
    at = next;
    segments++;
  }
  return written;
}

/** What stands for a segment that is a value, undefined for one that is a name. */
function placeholderOf(path: Uint8Array, start: number, end: number): Uint8Array | undefined {
  const length = end - start;
  if (length === 0) return undefined;
  let digits = 0;
  let hexLetters = 0;
  let separators = 0;
  let dots = 0;
  for (let at = start; at < end; at++) {
    const byte = path[at] ?? 0;
    if (isDigit(byte)) digits++;
    else if (hexDigit(byte) >= 0) hexLetters++;
    else if (byte === DASH || byte === UNDERSCORE) separators++;
    else if (byte === DOT) dots++;
    else if (byte === AT) return EMAIL;
    else if (byte === PERCENT || byte > 0x7e) return TEXT;
  }
  if (digits === length) return ID;
  if (length === 36 && separators === 4 && digits + hexLetters === 32) return UUID;
  if (length === 10 && digits === 8 && isDate(path, start)) return DATE;
  if (digits === 0) return length > SEGMENT_BYTES_MAX ? TEXT : undefined;
  if (digits + separators + dots === length && (dots === 0 || length > 4)) return ID;
  if (length >= 8 && digits + hexLetters === length) return HEX;
  if (length >= 20 && digits >= 2 && (dots === 0 || length >= 40)) return TOKEN;
  if (endsInNumber(path, start, end)) return ID;
  return length > SEGMENT_BYTES_MAX ? TEXT : undefined;
}

/** `dddd-dd-dd` */
function isDate(path: Uint8Array, start: number): boolean {
  return path[start + 4] === DASH && path[start + 7] === DASH;
}

/** Such as `order-17` or `cus20391`: a separator and digits, or four digits and more. */
function endsInNumber(path: Uint8Array, start: number, end: number): boolean {
  let at = end;
  while (at > start && isDigit(path[at - 1] ?? 0)) at--;
  if (at === end || at === start) return false;
  const before = path[at - 1];
  return before === DASH || before === UNDERSCORE || end - at >= 4;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
