// SPDX-License-Identifier: Apache-2.0
import {
  type AttributeValue,
  attributesOf,
  type MessageView,
  messagesIn,
  type SpanContext,
  type SpanView,
  textIn,
} from "../../src/pdata/span-view.ts";
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64 } from "../../src/pdata/wire.ts";
import { microsecondsOf } from "../../src/store/epoch-time.ts";
import { KINDS, STATUSES } from "./parameters.ts";

const TWO_32 = 2 ** 32;
const VALUE_DEPTH_MAX = 8;

/** How much of a span is shown. */
export interface SpanBounds {
  readonly attributes: number;
  /** Events, and links. */
  readonly children: number;
  /** Characters of one text. */
  readonly text: number;
}

export const PAGE_BOUNDS: SpanBounds = { attributes: 128, children: 128, text: 4_096 };
export const WHOLE_BOUNDS: SpanBounds = {
  attributes: 10_000,
  children: 10_000,
  text: 16 * 2 ** 20,
};

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type Pairs = readonly (readonly [string, Json])[];

/** A time of OTLP, exact: nanoseconds are `seconds * 1e9 + ns`. */
interface Time {
  readonly low: number;
  readonly high: number;
}

/** A span as the page gets it, before its trace's start is known. */
export interface SpanJson {
  readonly start: Time;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly resource: number;
  readonly scope: number;
  readonly kind: string;
  readonly status: string;
  readonly statusMessage: string;
  readonly durationNs: number;
  readonly attributes: Pairs;
  readonly events: readonly {
    readonly at: Time;
    readonly name: string;
    readonly attributes: Pairs;
  }[];
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes: Pairs;
  }[];
  readonly evidence: string;
  readonly confidence: number | null;
  readonly isCut: boolean;
}

/** Turns spans into what the page is sent, and keeps each resource and scope once. */
export class TraceJson {
  readonly resources: { readonly service: string; readonly attributes: Pairs }[] = [];
  readonly scopes: { readonly name: string; readonly version: string }[] = [];
  readonly #resourceByBytes = new Map<string, number>();
  readonly #scopeByBytes = new Map<string, number>();
  readonly #bounds: SpanBounds;
  #isCut = false;

  constructor(bounds: SpanBounds) {
    this.#bounds = bounds;
  }

  span(span: SpanView, context: SpanContext): SpanJson {
    this.#isCut = false;
    const attributes = attributesOf(span, 9);
    const evidence = attributes.get("stitch.evidence");
    const confidence = attributes.get("stitch.confidence");
    return {
      start: timeAt(span.bytes, span.startTimeAt),
      spanId: span.spanId,
      parentSpanId: span.parentSpanId,
      name: this.#text(span.name),
      resource: this.#resource(context.resource),
      scope: this.#scope(context.scope),
      kind: KINDS[span.kind] ?? "unspecified",
      status: STATUSES[span.statusCode] ?? "unset",
      statusMessage: this.#text(span.statusMessage),
      durationNs: span.durationNs,
      attributes: this.#pairs(attributes),
      events: this.#children(span, 11).map((event) => ({
        at: timeOf(event),
        name: this.#text(textIn(event, 2)),
        attributes: this.#pairs(attributesOf(event, 3)),
      })),
      links: this.#children(span, 13).map((link) => ({
        traceId: hexIn(link, 1),
        spanId: hexIn(link, 2),
        attributes: this.#pairs(attributesOf(link, 4)),
      })),
      evidence: typeof evidence === "string" ? this.#text(evidence) : "",
      confidence: typeof confidence === "number" ? confidence : null,
      isCut: this.#isCut,
    };
  }

  #resource(view: MessageView): number {
    const key = Buffer.from(view.bytes.subarray(view.start, view.end)).toString("latin1");
    const known = this.#resourceByBytes.get(key);
    if (known !== undefined) return known;
    const attributes = attributesOf(view, 1);
    const service = attributes.get("service.name");
    this.resources.push({
      service: typeof service === "string" ? this.#text(service) : "",
      attributes: this.#pairs(attributes),
    });
    this.#resourceByBytes.set(key, this.resources.length - 1);
    return this.resources.length - 1;
  }

  #scope(view: MessageView): number {
    const scope = { name: this.#text(textIn(view, 1)), version: this.#text(textIn(view, 2)) };
    const key = JSON.stringify(scope);
    const known = this.#scopeByBytes.get(key);
    if (known !== undefined) return known;
    this.scopes.push(scope);
    this.#scopeByBytes.set(key, this.scopes.length - 1);
    return this.scopes.length - 1;
  }

  #children(span: SpanView, field: number): readonly MessageView[] {
    const all = messagesIn(span, field);
    if (all.length > this.#bounds.children) this.#isCut = true;
    return all.slice(0, this.#bounds.children);
  }

  #pairs(attributes: ReadonlyMap<string, AttributeValue>): Pairs {
    const pairs: (readonly [string, Json])[] = [];
    for (const [key, value] of attributes) {
      if (pairs.length === this.#bounds.attributes) {
        this.#isCut = true;
        break;
      }
      pairs.push([this.#text(key), this.#value(value, 0)]);
    }
    return pairs;
  }

  #value(value: AttributeValue, depth: number): Json {
    if (typeof value === "string") return this.#text(value);
    if (typeof value === "boolean") return value;
    if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
    if (typeof value === "bigint") return String(value);
    if (value === undefined) return null;
    if (depth === VALUE_DEPTH_MAX) {
      this.#isCut = true;
      return null;
    }
    if (value instanceof Uint8Array) return this.#text(Buffer.from(value).toString("base64"));
    const most = this.#bounds.attributes;
    if (value instanceof Map) {
      const entries = [...value].slice(0, most);
      if (value.size > most) this.#isCut = true;
      return Object.fromEntries(
        entries.map(([key, one]) => [this.#text(key), this.#value(one, depth + 1)]),
      );
    }
    const list = Array.isArray(value) ? value : [];
    if (list.length > most) this.#isCut = true;
    return list.slice(0, most).map((one) => this.#value(one, depth + 1));
  }

  #text(text: string): string {
    if (text.length <= this.#bounds.text) return text;
    this.#isCut = true;
    return text.slice(0, this.#bounds.text);
  }
}

/** Nanoseconds from one time to another, exact below 2^53. */
export function nsBetween(from: Time, to: Time): number {
  return (to.high - from.high) * TWO_32 + (to.low - from.low);
}

/** Microseconds since the epoch. */
export function microseconds({ low, high }: Time): number {
  return microsecondsOf(low, high);
}

function timeAt(bytes: Uint8Array, at: number): Time {
  if (at < 0) return { low: 0, high: 0 };
  return { low: readFixed32(bytes, at), high: readFixed32(bytes, at + 4) };
}

function timeOf(event: MessageView): Time {
  const reader = new FieldReader().reset(event.bytes, event.start, event.end);
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === WIRE_FIXED64) {
      return timeAt(event.bytes, reader.start);
    }
  }
  return { low: 0, high: 0 };
}

function hexIn(view: MessageView, field: number): string {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  while (reader.next()) {
    if (reader.field === field && reader.wireType === WIRE_BYTES) {
      const { start, stop } = reader;
      return Buffer.from(view.bytes.subarray(start, Math.min(stop, start + 16))).toString("hex");
    }
  }
  return "";
}
