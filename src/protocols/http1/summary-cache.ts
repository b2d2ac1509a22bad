// SPDX-License-Identifier: Apache-2.0
import { type MeasurementSink, SharedBlock, type SpanSink } from "../../model/attribute.ts";
import type { Http1Exchange } from "./exchange.ts";
import { describeSummary, measureSummary, type Summary } from "./span.ts";

/** Summaries kept for a service, a power of two; another one in the same place replaces. */
const PLACES = 1024;

/** What exchanges with the same summary say alike. */
export class SummaryBlocks {
  readonly summary: Summary;
  readonly span: SharedBlock<SpanSink>;
  readonly measurement: SharedBlock<MeasurementSink>;

  constructor(exchange: Http1Exchange) {
    const { role, methodIndex, route, authority, minor, status, https, failure } = exchange;
    const summary = { role, methodIndex, route, authority, minor, status, https, failure };
    this.summary = summary;
    this.span = new SharedBlock((sink) => describeSummary(summary, sink));
    this.measurement = new SharedBlock((sink) => measureSummary(summary, sink));
  }

  matches(exchange: Http1Exchange): boolean {
    const summary = this.summary;
    return (
      summary.route === exchange.route &&
      summary.authority === exchange.authority &&
      summary.status === exchange.status &&
      summary.methodIndex === exchange.methodIndex &&
      summary.role === exchange.role &&
      summary.minor === exchange.minor &&
      summary.https === exchange.https &&
      summary.failure === exchange.failure
    );
  }
}

export class SummaryCache {
  readonly #places: (SummaryBlocks | undefined)[] = new Array(PLACES).fill(undefined);

  find(exchange: Http1Exchange): SummaryBlocks {
    const place = placeOf(exchange);
    const found = this.#places[place];
    if (found?.matches(exchange)) return found;
    const created = new SummaryBlocks(exchange);
    this.#places[place] = created;
    return created;
  }
}

function placeOf(exchange: Http1Exchange): number {
  let hash = Math.imul(exchange.route?.id ?? 0, 0x9e3779b1);
  hash = Math.imul(hash ^ (exchange.authority?.id ?? 0), 0x85ebca77);
  hash = Math.imul(hash ^ (exchange.status * 16 + exchange.methodIndex), 0xc2b2ae3d);
  return (hash >>> 20) & (PLACES - 1);
}
