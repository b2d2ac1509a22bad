// SPDX-License-Identifier: Apache-2.0
import { type MeasurementSink, SharedBlock, type SpanSink } from "../../model/attribute.ts";
import type { HttpExchange } from "./exchange.ts";
import { HTTP } from "./semantics.ts";
import { describeSummary, measureSummary, type Summary } from "./span.ts";

/** Summaries kept for a service, a power of two; another one in the same place replaces. */
const PLACES = 1024;

/** What exchanges with the same summary say alike. */
export class SummaryBlocks {
  readonly summary: Summary;
  readonly span: SharedBlock<SpanSink>;
  readonly measurement: SharedBlock<MeasurementSink>;

  constructor(exchange: HttpExchange) {
    const { role, semantics, operation, methodIndex, authority, version } = exchange;
    const { status, grpcStatus, https, failure, product } = exchange;
    const route = semantics === HTTP ? exchange.route : undefined;
    const what = { role, semantics, operation, methodIndex, route, authority, version };
    const summary = { ...what, status, grpcStatus, https, failure, product };
    this.summary = summary;
    this.span = new SharedBlock((sink) => describeSummary(summary, sink));
    this.measurement = new SharedBlock((sink) => measureSummary(summary, sink));
  }

  matches(exchange: HttpExchange): boolean {
    const summary = this.summary;
    return (
      summary.semantics === exchange.semantics &&
      summary.operation === exchange.operation &&
      (summary.semantics !== HTTP || summary.route === exchange.route) &&
      summary.authority === exchange.authority &&
      summary.status === exchange.status &&
      summary.methodIndex === exchange.methodIndex &&
      summary.role === exchange.role &&
      summary.version === exchange.version &&
      summary.grpcStatus === exchange.grpcStatus &&
      summary.product === exchange.product &&
      summary.https === exchange.https &&
      summary.failure === exchange.failure
    );
  }
}

export class SummaryCache {
  readonly #places: (SummaryBlocks | undefined)[] = new Array(PLACES).fill(undefined);

  find(exchange: HttpExchange): SummaryBlocks {
    const place = placeOf(exchange);
    const found = this.#places[place];
    if (found?.matches(exchange)) return found;
    const created = new SummaryBlocks(exchange);
    this.#places[place] = created;
    return created;
  }
}

function placeOf(exchange: HttpExchange): number {
  const operation = exchange.operation;
  const id = operation === undefined ? (exchange.route?.id ?? 0) : operation.id + 0x8000;
  let hash = Math.imul(id, 0x9e3779b1);
  hash = Math.imul(hash ^ (exchange.authority?.id ?? 0), 0x85ebca77);
  hash = Math.imul(
    hash ^ ((exchange.status + exchange.grpcStatus) * 16 + exchange.methodIndex),
    0xc2b2ae3d,
  );
  return (hash >>> 20) & (PLACES - 1);
}
