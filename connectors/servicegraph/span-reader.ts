// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVICE_NAME } from "@opentelemetry/semantic-conventions";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { decodeAnyValue, type MessageView, type SpanView } from "../../src/pdata/span-view.ts";
import { FieldReader, WIRE_BYTES } from "../../src/pdata/wire.ts";
import type { ServiceGraphConfig } from "./config.ts";
import type { ClientEnd, EdgeEnd, ServerEnd } from "./edge-store.ts";

const SPAN_ATTRIBUTES = 9;
const RESOURCE_ATTRIBUTES = 1;
const LINKS = 13;
const LINK_TRACE_ID = 1;
const LINK_SPAN_ID = 2;
const KIND_SERVER = 2;
const KIND_CLIENT = 3;
const KIND_PRODUCER = 4;
const KIND_CONSUMER = 5;
const STATUS_ERROR = 2;
const NS_PER_S = 1e9;
const SERVICE_NAME = Buffer.from(ATTR_SERVICE_NAME);

/** One span as the end of an edge; `key` names the client span of its request. */
export type End =
  | { readonly kind: "client"; readonly key: string; readonly end: ClientEnd }
  | { readonly kind: "server"; readonly key: string; readonly end: ServerEnd };

const encode = (names: readonly string[]): readonly Uint8Array[] =>
  names.map((name) => Buffer.from(name));

/** Reads what the graph needs of spans; the last resource is kept. */
export class SpanReader {
  readonly #dimensions: readonly Uint8Array[];
  readonly #databases: readonly Uint8Array[];
  readonly #peers: readonly Uint8Array[];
  readonly #own = new AttributeList();
  readonly #resource = new AttributeList();
  readonly #fields = new FieldReader();
  readonly #link = new FieldReader();
  #lastResource: MessageView | undefined;
  #service: string | undefined;

  constructor(config: ServiceGraphConfig) {
    this.#dimensions = encode(config.dimensions);
    this.#databases = encode(config.database_name_attributes);
    this.#peers = encode(config.virtual_node_peer_attributes);
  }

  /** Undefined for spans that are no end of an edge or of no named service. */
  read(span: SpanView, resource: MessageView): End | undefined {
    const { kind } = span;
    if (kind < KIND_SERVER || kind > KIND_CONSUMER) return undefined;
    if (resource !== this.#lastResource) this.#readResource(resource);
    if (this.#service === undefined || span.traceIdStart < 0 || span.spanIdStart < 0) {
      return undefined;
    }
    this.#own.read(span.bytes, span.start, span.end, SPAN_ATTRIBUTES);
    const end: EdgeEnd = {
      service: this.#service,
      seconds: Math.max(0, span.durationNs) / NS_PER_S,
      isFailed: span.statusStart >= 0 && span.statusCode === STATUS_ERROR,
      isMessaging: kind >= KIND_PRODUCER,
      dimensions: this.#dimensions.map((name) => this.#text(name)),
    };
    const trace = idAt(span.bytes, span.traceIdStart, 16);
    if (kind === KIND_CLIENT || kind === KIND_PRODUCER) {
      const key = trace + idAt(span.bytes, span.spanIdStart, 8);
      const [database, peer] = [this.#first(this.#databases), this.#first(this.#peers)];
      return { kind: "client", key, end: { ...end, database, peer } };
    }
    const parent =
      span.parentSpanIdStart < 0 ? "" : trace + idAt(span.bytes, span.parentSpanIdStart, 8);
    const key = parent || (kind === KIND_CONSUMER ? this.#linked(span) : "");
    const isRoot = key === "";
    // A root waits for nobody: its own id is the key of no client span.
    const own = isRoot ? `${trace}${idAt(span.bytes, span.spanIdStart, 8)}root` : key;
    return { kind: "server", key: own, end: { ...end, isRoot } };
  }

  #readResource(resource: MessageView): void {
    this.#lastResource = resource;
    this.#resource.read(resource.bytes, resource.start, resource.end, RESOURCE_ATTRIBUTES);
    const name = textOf(this.#resource, SERVICE_NAME);
    this.#service = name === "" ? undefined : name;
  }

  #text(name: Uint8Array): string | undefined {
    return textOf(this.#own, name) ?? textOf(this.#resource, name);
  }

  #first(names: readonly Uint8Array[]): string {
    for (const name of names) {
      const text = textOf(this.#own, name);
      if (text !== undefined && text !== "") return text;
    }
    return "";
  }

  /** The message that a consumer without a parent links to. */
  #linked({ bytes, start, end }: SpanView): string {
    const reader = this.#fields.reset(bytes, start, end);
    while (reader.next()) {
      if (reader.field !== LINKS || reader.wireType !== WIRE_BYTES) continue;
      const link = this.#link.reset(bytes, reader.start, reader.stop);
      let trace = "";
      let span = "";
      while (link.next()) {
        const length = link.stop - link.start;
        if (link.field === LINK_TRACE_ID && length === 16) trace = idAt(bytes, link.start, 16);
        else if (link.field === LINK_SPAN_ID && length === 8) span = idAt(bytes, link.start, 8);
      }
      if (trace !== "" && span !== "") return trace + span;
    }
    return "";
  }
}

function textOf(list: AttributeList, name: Uint8Array): string | undefined {
  const entry = list.entryAt(list.find(name));
  if (entry === undefined) return undefined;
  const value = decodeAnyValue(entry.valueBytes, entry.valueStart, entry.valueStop);
  return value === undefined || typeof value === "object" ? undefined : String(value);
}

function idAt(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString("latin1");
}
