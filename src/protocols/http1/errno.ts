// SPDX-License-Identifier: Apache-2.0

/** The peer or the process closed the connection in an orderly way. */
export const CONNECTION_CLOSED = "connection_closed";

/** Linux numbers of what ends a TCP connection (include/uapi/asm-generic/errno*.h). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [32, "EPIPE"],
  [71, "EPROTO"],
  [100, "ENETDOWN"],
  [101, "ENETUNREACH"],
  [102, "ENETRESET"],
  [103, "ECONNABORTED"],
  [104, "ECONNRESET"],
  [105, "ENOBUFS"],
  [107, "ENOTCONN"],
  [108, "ESHUTDOWN"],
  [110, "ETIMEDOUT"],
  [111, "ECONNREFUSED"],
  [112, "EHOSTDOWN"],
  [113, "EHOSTUNREACH"],
]);

/** `error.type` of a connection that ended with this error, 0 for an orderly end. */
export function failureName(error: number): string {
  if (error === 0) return CONNECTION_CLOSED;
  return NAMES.get(error) ?? `errno_${error}`;
}
