// SPDX-License-Identifier: Apache-2.0
import { type MessageView, type SpanContext, SpanView } from "../pdata/span-view.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";

/** Says of a span, before it is read, whether to read it. */
type RowTest = (row: number, start: number, stop: number) => boolean;

/**
 * Like `forEachSpan`, over the same spans in the same order, but a span that `isWanted` refuses
 * costs no more than stepping over it.
 */
export function visitRows(
  bytes: Uint8Array,
  isWanted: RowTest,
  visit: (span: SpanView, context: SpanContext, row: number) => void,
): void {
  const span = new SpanView();
  const outer = new FieldReader().reset(bytes, 0, bytes.length);
  const middle = new FieldReader();
  const inner = new FieldReader();
  let row = 0;
  while (outer.next()) {
    if (outer.field !== 1 || outer.wireType !== WIRE_BYTES) continue;
    let resource: MessageView | undefined;
    middle.reset(bytes, outer.start, outer.stop);
    while (middle.next()) {
      if (middle.field !== 2 || middle.wireType !== WIRE_BYTES) continue;
      let context: SpanContext | undefined;
      inner.reset(bytes, middle.start, middle.stop);
      while (inner.next()) {
        if (inner.field !== 2 || inner.wireType !== WIRE_BYTES) continue;
        const at = row++;
        if (!isWanted(at, inner.start, inner.stop)) continue;
        resource ??= firstMessage(bytes, outer.start, outer.stop);
        context ??= { resource, scope: firstMessage(bytes, middle.start, middle.stop) };
        visit(span.reset(bytes, inner.start, inner.stop), context, at);
      }
    }
  }
}

/** The message in field 1 of another; empty when there is none. */
function firstMessage(bytes: Uint8Array, start: number, end: number): MessageView {
  const reader = new FieldReader().reset(bytes, start, end);
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === WIRE_BYTES) {
      return { bytes, start: reader.start, end: reader.stop };
    }
  }
  return { bytes, start: 0, end: 0 };
}
