// SPDX-License-Identifier: Apache-2.0
import type { SpanContext, SpanView } from "../../src/pdata/span-view.ts";
import { serviceNameIn } from "../../src/store/resource-name.ts";
import { type FoundSpan, foundSpan } from "../../src/store/search.ts";

/** What a row of a list shows of a span. */
export function spanRow(span: SpanView, context: SpanContext): FoundSpan {
  return foundSpan(span, serviceOf(context));
}

export function serviceOf({ resource }: SpanContext): string {
  const name = serviceNameIn(resource);
  if (name === undefined) return "";
  return Buffer.from(name.bytes.subarray(name.start, name.end)).toString();
}
