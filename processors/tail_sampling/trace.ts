// SPDX-License-Identifier: Apache-2.0
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { decodeAnyValue, forEachSpan, type SpanView } from "../../src/pdata/span-view.ts";

/** A trace that waits: request bodies with its spans, exactly as long as they are. */
export interface Trace {
  /** Its id, one character a byte. */
  readonly id: string;
  readonly chunks: Uint8Array[];
  spans: number;
  bytes: number;
  decideAtMs: number;
}

const attributes = new AttributeList();

/** Is the test true of any span? */
export function someSpan({ chunks }: Trace, test: (span: SpanView) => boolean): boolean {
  let found = false;
  for (const chunk of chunks) {
    forEachSpan(chunk, (span) => {
      if (!found) found = test(span);
    });
    if (found) return true;
  }
  return false;
}

/** Is the test true of the attribute's value in any span or resource? */
export function someAttribute(
  { chunks }: Trace,
  key: Uint8Array,
  test: (value: ReturnType<typeof decodeAnyValue>) => boolean,
): boolean {
  const isTrue = (bytes: Uint8Array, start: number, end: number, field: number): boolean => {
    attributes.read(bytes, start, end, field);
    const entry = attributes.entryAt(attributes.find(key));
    return (
      entry !== undefined &&
      test(decodeAnyValue(entry.valueBytes, entry.valueStart, entry.valueStop))
    );
  };
  let found = false;
  for (const chunk of chunks) {
    forEachSpan(chunk, (span, { resource }) => {
      found ||= isTrue(resource.bytes, resource.start, resource.end, 1);
      found ||= isTrue(span.bytes, span.start, span.end, 9);
    });
    if (found) return true;
  }
  return false;
}
