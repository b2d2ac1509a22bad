// SPDX-License-Identifier: Apache-2.0

/** A compression flag and a length stand before each message (grpc PROTOCOL-HTTP2.md). */
export const HEADER_BYTES = 5;

/** One length-prefixed message made of chunks. */
export function frameMessage(
  chunks: readonly Uint8Array[],
  options: { readonly compressed: boolean },
): Buffer {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const framed = Buffer.allocUnsafe(HEADER_BYTES + length);
  framed[0] = options.compressed ? 1 : 0;
  framed.writeUInt32BE(length, 1);
  let at = HEADER_BYTES;
  for (const chunk of chunks) {
    framed.set(chunk, at);
    at += chunk.length;
  }
  return framed;
}
