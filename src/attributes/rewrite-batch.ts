// SPDX-License-Identifier: Apache-2.0
import type { Batch } from "../model/batch.ts";
import type { Rewriter } from "./rewriter.ts";

/** The batch with its chunks rewritten; itself when nothing changed. Items stay the same. */
export function rewriteBatch(batch: Batch, rewriter: Rewriter): Batch {
  let isChanged = false;
  let bytes = 0;
  const chunks = batch.chunks.map((chunk) => {
    const rewritten = rewriter.rewrite(chunk);
    if (rewritten !== chunk) isChanged = true;
    bytes += rewritten.length;
    return rewritten;
  });
  return isChanged ? { ...batch, chunks, bytes } : batch;
}
