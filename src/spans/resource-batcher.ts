// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVICE_NAME } from "@opentelemetry/semantic-conventions";
import { attributeKey } from "../model/attribute.ts";
import type { Batch } from "../model/batch.ts";
import type { SelectedProcess } from "../model/process.ts";
import { AttributeWriter, RESOURCE_ATTRIBUTES } from "../pdata/attribute-writer.ts";
import { ProtoWriter, varintBytes } from "../pdata/proto-writer.ts";
import { SpanWriter } from "../pdata/span-writer.ts";

/** Tags: ExportTraceServiceRequest.resource_spans; ResourceSpans.resource, .scope_spans; … */
const RESOURCE_SPANS = 0x0a;
const RESOURCE = 0x0a;
const SCOPE_SPANS = 0x12;
const SCOPE = 0x0a;
const SCOPE_NAME = 0x0a;
const SCOPE_VERSION = 0x12;

const SCOPE_NAME_L7 = "backstitch/ebpf_l7";

/** A batch stops growing here: items and bytes (docs: batches are small on every edge). */
const ITEMS_MAX = 512;
const BYTES_MAX = 1024 * 1024;
/**
 * A process's spans become a chunk at this length: larger blocks come fresh from the kernel each
 * time, and their page faults cost a tenth of a span.
 */
const CHUNK_BYTES = 48 * 1024;
/** Slabs that are kept for other processes when a drain is over. */
const FREE_SLABS_MAX = 64;

export interface ResourceBatcherOptions {
  readonly version: string;
  /** Name of the instrumentation scope; that of `ebpf_l7` if not given. */
  readonly scope?: string;
}

class ProcessSpans {
  readonly out = new ProtoWriter();
  readonly writer = new SpanWriter(this.out);
  resource: Uint8Array = new Uint8Array(0);
  /** Length up to which spans are complete: a span that a throw interrupted is not sent. */
  complete = 0;
}

/**
 * Collects the spans of one drain by process. The receiver calls `take` when a drain is over and
 * whenever `full` says so; nothing is kept in between.
 */
export class ResourceBatcher {
  readonly #scope: Uint8Array;
  readonly #resources = new WeakMap<SelectedProcess, Uint8Array>();
  readonly #open = new Map<SelectedProcess, ProcessSpans>();
  readonly #free: ProcessSpans[] = [];
  #chunks: Uint8Array[] = [];
  #process: SelectedProcess | undefined;
  #current: ProcessSpans | undefined;
  #items = 0;
  #bytes = 0;

  constructor(options: ResourceBatcherOptions) {
    this.#scope = encodeScope(options.version, options.scope);
  }

  /** Spans waiting. */
  get items(): number {
    return this.#items;
  }

  get full(): boolean {
    return this.#items >= ITEMS_MAX || this.#bytes >= BYTES_MAX;
  }

  /** Starts a span of this process. The caller writes it and calls `end` on both. */
  begin(process: SelectedProcess): SpanWriter {
    let current = this.#current;
    if (current === undefined || this.#process !== process) {
      current = this.#open.get(process) ?? this.#openProcess(process);
      this.#current = current;
      this.#process = process;
    }
    current.out.length = current.complete;
    current.writer.begin();
    return current.writer;
  }

  end(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#items++;
    this.#bytes += current.out.length - current.complete;
    current.complete = current.out.length;
    if (current.complete >= CHUNK_BYTES) this.#endChunk(current);
  }

  /** All spans since the last call, or undefined when there are none. */
  take(): Batch | undefined {
    if (this.#items === 0) return undefined;
    for (const spans of this.#open.values()) {
      if (spans.complete > 0) this.#endChunk(spans);
      this.#release(spans);
    }
    const chunks = this.#chunks;
    this.#chunks = [];
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    const items = this.#items;
    this.#open.clear();
    this.#process = undefined;
    this.#current = undefined;
    this.#items = 0;
    this.#bytes = 0;
    return { signal: "traces", chunks, items, bytes };
  }

  #endChunk(spans: ProcessSpans): void {
    this.#chunks.push(this.#encodeResourceSpans(spans));
    spans.out.reset();
    spans.complete = 0;
  }

  #openProcess(process: SelectedProcess): ProcessSpans {
    const spans = this.#free.pop() ?? new ProcessSpans();
    let resource = this.#resources.get(process);
    if (resource === undefined) {
      resource = encodeResource(process);
      this.#resources.set(process, resource);
    }
    spans.resource = resource;
    spans.complete = 0;
    this.#open.set(process, spans);
    return spans;
  }

  #release(spans: ProcessSpans): void {
    spans.out.reset();
    if (this.#free.length < FREE_SLABS_MAX) this.#free.push(spans);
  }

  #encodeResourceSpans(spans: ProcessSpans): Uint8Array {
    const scopeSpansBytes = this.#scope.length + spans.complete;
    const bodyBytes = spans.resource.length + 1 + varintBytes(scopeSpansBytes) + scopeSpansBytes;
    const out = new ProtoWriter(1 + varintBytes(bodyBytes) + bodyBytes);
    out.byte(RESOURCE_SPANS);
    out.varint(bodyBytes);
    out.copyAll(spans.resource);
    out.byte(SCOPE_SPANS);
    out.varint(scopeSpansBytes);
    out.copyAll(this.#scope);
    out.copy(spans.out.bytes, 0, spans.complete);
    return out.bytes;
  }
}

/** The field `resource` with its tag and length, the same for spans and metrics. */
export function encodeResource(process: SelectedProcess): Uint8Array {
  const out = new ProtoWriter(512);
  const attributes = new AttributeWriter(out, RESOURCE_ATTRIBUTES);
  const message = out.beginMessage(RESOURCE);
  attributes.string(attributeKey(ATTR_SERVICE_NAME), process.serviceName);
  for (const [name, value] of process.attributes) {
    const key = attributeKey(name);
    if (typeof value === "string") attributes.string(key, value);
    else if (Number.isSafeInteger(value)) attributes.int(key, value);
    else attributes.double(key, value);
  }
  out.endMessage(message);
  return out.take();
}

/** The field `scope` with its tag and length, the same for spans and metrics. */
export function encodeScope(version: string, name: string = SCOPE_NAME_L7): Uint8Array {
  const out = new ProtoWriter(64);
  const message = out.beginMessage(SCOPE);
  out.stringField(SCOPE_NAME, name);
  out.stringField(SCOPE_VERSION, version);
  out.endMessage(message);
  return out.take();
}
