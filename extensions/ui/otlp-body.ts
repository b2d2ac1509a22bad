// SPDX-License-Identifier: Apache-2.0
import type { MessageView, SpanContext } from "../../src/pdata/span-view.ts";
import { putVarint, varintBytes } from "../../src/pdata/wire.ts";

export interface SpanPiece {
  readonly span: Uint8Array;
  readonly context: SpanContext;
}

/** Spans as the body of an OTLP request; those of one resource and scope in a row are together. */
export function encodeSpans(pieces: readonly SpanPiece[]): Uint8Array {
  const resources: Uint8Array[] = [];
  let from = 0;
  for (let to = 1; to <= pieces.length; to++) {
    if (pieces[to]?.context === pieces[from]?.context && to < pieces.length) continue;
    const same = pieces.slice(from, to);
    const [first] = same;
    from = to;
    if (first === undefined) continue;
    const { resource, scope } = first.context;
    const spans = same.map(({ span }) => field(2, span));
    const scopeSpans = field(2, Buffer.concat([field(1, bytesOf(scope)), ...spans]));
    resources.push(field(1, Buffer.concat([field(1, bytesOf(resource)), scopeSpans])));
  }
  return Buffer.concat(resources);
}

function bytesOf({ bytes, start, end }: MessageView): Uint8Array {
  return bytes.subarray(start, end);
}

/** A field that holds a message. */
function field(number: number, content: Uint8Array): Uint8Array {
  const head = new Uint8Array(1 + varintBytes(content.length));
  head[0] = (number << 3) | 2;
  putVarint(head, 1, content.length);
  return Buffer.concat([head, content]);
}
