// SPDX-License-Identifier: Apache-2.0
import type { SpanContext, SpanView } from "../pdata/span-view.ts";
import {
  HAS_PARENT_ID,
  HAS_SPAN_ID,
  HAS_TRACE_ID,
  type IdColumns,
  SPAN_ID_BYTES,
  TRACE_ID_BYTES,
} from "./columns.ts";
import { visitRows } from "./span-rows.ts";

/** The spans of one block, unpacked. */
export class BlockSpans {
  readonly #bytes: Buffer;
  readonly #ids: IdColumns | undefined;

  /** `ids` are those that the bytes lack; undefined when they have them. */
  constructor(bytes: Buffer, ids: IdColumns | undefined) {
    this.#bytes = bytes;
    this.#ids = ids;
  }

  /**
   * Visits the spans of these rows, as they arrived. `isWanted` sees each before, when its ids are
   * not yet in place.
   */
  visit(
    rows: ReadonlySet<number>,
    visit: (span: SpanView, context: SpanContext) => void,
    isWanted: (span: SpanView, context: SpanContext) => boolean = () => true,
  ): void {
    const isRow = (row: number): boolean => rows.has(row);
    visitRows(this.#bytes, isRow, (span, context, row) => {
      if (!isWanted(span, context)) return;
      this.#restore(span, row);
      visit(span, context);
    });
  }

  /** Visits the spans of a trace. */
  visitTrace(traceId: Buffer, visit: (span: SpanView, context: SpanContext) => void): void {
    const ids = this.#ids;
    if (ids !== undefined) {
      const rows = rowsOfTrace(ids, traceId);
      if (rows.size > 0) this.visit(rows, visit);
      return;
    }
    const bytes = this.#bytes;
    // Most spans begin with their trace id: two bytes of tag and length, then the id.
    const mayBeOf = (_row: number, start: number, stop: number): boolean =>
      stop - start < 18 ||
      bytes[start] !== 0x0a ||
      bytes[start + 1] !== 0x10 ||
      traceId.compare(bytes, start + 2, start + 18) === 0;
    visitRows(bytes, mayBeOf, (span, context) => {
      const at = span.traceIdStart;
      if (at >= 0 && traceId.compare(bytes, at, at + TRACE_ID_BYTES) === 0) visit(span, context);
    });
  }

  #restore({ traceIdStart, spanIdStart, parentSpanIdStart }: SpanView, row: number): void {
    const ids = this.#ids;
    if (ids === undefined) return;
    const bits = ids.present[row] ?? 0;
    if ((bits & HAS_TRACE_ID) !== 0 && traceIdStart >= 0) {
      this.#bytes.set(idAt(ids.traceIds, row, TRACE_ID_BYTES), traceIdStart);
    }
    if ((bits & HAS_SPAN_ID) !== 0 && spanIdStart >= 0) {
      this.#bytes.set(idAt(ids.spanIds, row, SPAN_ID_BYTES), spanIdStart);
    }
    if ((bits & HAS_PARENT_ID) !== 0 && parentSpanIdStart >= 0) {
      this.#bytes.set(idAt(ids.parentIds, row, SPAN_ID_BYTES), parentSpanIdStart);
    }
  }
}

/** Rows whose spans are of a trace. */
function rowsOfTrace({ present, traceIds }: IdColumns, traceId: Buffer): Set<number> {
  const rows = new Set<number>();
  for (let row = 0; row < present.length; row++) {
    if (((present[row] ?? 0) & HAS_TRACE_ID) === 0) continue;
    const at = row * TRACE_ID_BYTES;
    if (traceId.compare(traceIds, at, at + TRACE_ID_BYTES) === 0) rows.add(row);
  }
  return rows;
}

function idAt(column: Uint8Array, row: number, width: number): Uint8Array {
  return column.subarray(row * width, (row + 1) * width);
}
