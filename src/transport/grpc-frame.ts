// SPDX-License-Identifier: Apache-2.0

/** A compression flag and a length stand before each message (grpc PROTOCOL-HTTP2.md). */
export const HEADER_BYTES = 5;

/** Bytes of the framed chunks. */
export function framedBytes(chunks: readonly Uint8Array[]): number {
  let length = HEADER_BYTES;
  for (const chunk of chunks) length += chunk.length;
  return length;
}

/** One length-prefixed message made of chunks; in `target` if that is given. */
export function frameMessage(
  chunks: readonly Uint8Array[],
  options: { readonly compressed: boolean; readonly target?: Buffer },
): Buffer {
  const length = framedBytes(chunks) - HEADER_BYTES;
  const framed = (options.target ?? Buffer.allocUnsafe(HEADER_BYTES + length)).subarray(
    0,
    HEADER_BYTES + length,
  );
  framed[0] = options.compressed ? 1 : 0;
  framed.writeUInt32BE(length, 1);
  let at = HEADER_BYTES;
  for (const chunk of chunks) {
    framed.set(chunk, at);
    at += chunk.length;
  }
  return framed;
}
