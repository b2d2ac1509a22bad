// SPDX-License-Identifier: Apache-2.0
import { STITCH_CONFIDENCE, STITCH_EVIDENCE } from "../../src/model/stitch-key.ts";
import {
  type AttributeValue,
  attributesOf,
  forEachSpan,
  type MessageView,
  type SpanView,
} from "../../src/pdata/span-view.ts";
import type { TreeConfig } from "./config.ts";
import type { Tree, TreeSpan } from "./tree.ts";

interface OpenTrace {
  readonly spans: TreeSpan[];
  spansLeftOut: number;
  lastMs: number;
}

/** A trace that still gets spans is printed after so many times its wait. */
const AGE_FACTOR_MAX = 10;
const SKIPPED_MAX = 16_384;

export interface Collected {
  readonly trees: readonly Tree[];
  /** Traces that were not collected since the last call. */
  readonly tracesLeftOut: number;
}

/**
 * Collects the spans of a trace until none has come for a while. Bounded: so many new traces a
 * second, so many spans a trace; spans of other traces are not decoded.
 */
export class TraceCollector {
  readonly #config: TreeConfig;
  readonly #open = new Map<string, OpenTrace & { readonly firstMs: number }>();
  readonly #skipped = new Set<string>();
  #tracesLeftOut = 0;
  #secondStartMs = 0;
  #begunInSecond = 0;

  constructor(config: TreeConfig) {
    this.#config = config;
  }

  /** True while a trace waits. */
  get isWaiting(): boolean {
    return this.#open.size > 0 || this.#tracesLeftOut > 0;
  }

  add(chunk: Uint8Array, nowMs: number): void {
    let resource: MessageView | undefined;
    let service = "";
    forEachSpan(chunk, (span, context) => {
      const trace = this.#traceOf(span.traceId, nowMs);
      if (trace === undefined) return;
      if (context.resource !== resource) {
        resource = context.resource;
        service = textOf(attributesOf(resource, 1).get("service.name")) || "unknown";
      }
      trace.lastMs = nowMs;
      if (trace.spans.length >= this.#config.max_spans) trace.spansLeftOut++;
      else trace.spans.push(treeSpan(span, service));
    });
  }

  /** The traces that have waited long enough, or all. */
  take(nowMs: number, all = false): Collected {
    const trees: Tree[] = [];
    const { wait } = this.#config;
    for (const [traceId, trace] of this.#open) {
      const isQuiet = nowMs - trace.lastMs >= wait;
      const isOld = nowMs - trace.firstMs >= wait * AGE_FACTOR_MAX;
      if (!all && !isQuiet && !isOld) continue;
      this.#open.delete(traceId);
      trees.push({ traceId, spans: trace.spans, spansLeftOut: trace.spansLeftOut });
    }
    const tracesLeftOut = this.#tracesLeftOut;
    this.#tracesLeftOut = 0;
    return { trees, tracesLeftOut };
  }

  #traceOf(traceId: string, nowMs: number): OpenTrace | undefined {
    const known = this.#open.get(traceId);
    if (known !== undefined) return known;
    if (this.#skipped.has(traceId)) return undefined;
    if (nowMs - this.#secondStartMs >= 1_000) {
      this.#secondStartMs = nowMs;
      this.#begunInSecond = 0;
    }
    if (this.#begunInSecond >= this.#config.max_traces_per_second) {
      this.#tracesLeftOut++;
      if (this.#skipped.size >= SKIPPED_MAX) this.#skipped.clear();
      this.#skipped.add(traceId);
      return undefined;
    }
    this.#begunInSecond++;
    const trace = { spans: [], spansLeftOut: 0, lastMs: nowMs, firstMs: nowMs };
    this.#open.set(traceId, trace);
    return trace;
  }
}

const STATUS_ERROR = 2;
/** In this order the first that is there is shown as the status. */
const STATUS_KEYS = [
  "http.response.status_code",
  "rpc.response.status_code",
  "rpc.grpc.status_code",
  "db.response.status_code",
];

function treeSpan(span: SpanView, service: string): TreeSpan {
  const attributes = span.attributes();
  const isError = span.statusCode === STATUS_ERROR;
  const confidence = attributes.get(STITCH_CONFIDENCE);
  const host = textOf(attributes.get("server.address") ?? attributes.get("network.peer.address"));
  const port = textOf(attributes.get("server.port") ?? attributes.get("network.peer.port"));
  return {
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    service,
    name: span.name,
    kind: span.kind,
    startNs: span.startTimeNs,
    durationNs: span.durationNs,
    status: statusOf(attributes, isError, span.statusMessage),
    isError,
    evidence: textOf(attributes.get(STITCH_EVIDENCE)),
    confidence: typeof confidence === "number" ? confidence : undefined,
    peer: host === "" || port === "" ? host : `${host}:${port}`,
  };
}

function statusOf(
  attributes: ReadonlyMap<string, AttributeValue>,
  isError: boolean,
  message: string,
): string {
  const code = STATUS_KEYS.map((key) => textOf(attributes.get(key))).find((text) => text !== "");
  if (!isError) return code ?? "";
  const reason = textOf(attributes.get("error.type")) || message;
  if (code === undefined) return reason || "error";
  return reason === "" || reason === code ? code : `${code} ${reason}`;
}

function textOf(value: AttributeValue): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : "";
}
