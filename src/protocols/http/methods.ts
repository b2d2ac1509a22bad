// SPDX-License-Identifier: Apache-2.0
import {
  HTTP_REQUEST_METHOD_VALUE_CONNECT,
  HTTP_REQUEST_METHOD_VALUE_DELETE,
  HTTP_REQUEST_METHOD_VALUE_GET,
  HTTP_REQUEST_METHOD_VALUE_HEAD,
  HTTP_REQUEST_METHOD_VALUE_OPTIONS,
  HTTP_REQUEST_METHOD_VALUE_OTHER,
  HTTP_REQUEST_METHOD_VALUE_PATCH,
  HTTP_REQUEST_METHOD_VALUE_POST,
  HTTP_REQUEST_METHOD_VALUE_PUT,
  HTTP_REQUEST_METHOD_VALUE_TRACE,
} from "@opentelemetry/semantic-conventions";
import { HTTP_REQUEST_METHOD_VALUE_QUERY } from "@opentelemetry/semantic-conventions/incubating";

/** By `methodIndexOf`: the methods that the semantic conventions call known (RFC 9110, PATCH, QUERY). */
export const METHOD_NAMES: readonly string[] = [
  HTTP_REQUEST_METHOD_VALUE_GET,
  HTTP_REQUEST_METHOD_VALUE_POST,
  HTTP_REQUEST_METHOD_VALUE_HEAD,
  HTTP_REQUEST_METHOD_VALUE_PUT,
  HTTP_REQUEST_METHOD_VALUE_DELETE,
  HTTP_REQUEST_METHOD_VALUE_PATCH,
  HTTP_REQUEST_METHOD_VALUE_OPTIONS,
  HTTP_REQUEST_METHOD_VALUE_CONNECT,
  HTTP_REQUEST_METHOD_VALUE_TRACE,
  HTTP_REQUEST_METHOD_VALUE_QUERY,
  HTTP_REQUEST_METHOD_VALUE_OTHER,
];

export const METHOD_HEAD = 2;
export const METHOD_CONNECT = 7;
export const METHOD_OTHER = 10;

export const METHOD_BYTES: readonly Uint8Array[] = METHOD_NAMES.slice(0, METHOD_OTHER).map((name) =>
  new TextEncoder().encode(name),
);

/** Methods are case-sensitive (RFC 9110 section 9.1). */
export function methodIndexOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  for (let index = 0; index < METHOD_BYTES.length; index++) {
    const method = METHOD_BYTES[index];
    if (method?.length === length && method[0] === bytes[start] && equals(bytes, start, method)) {
      return index;
    }
  }
  return METHOD_OTHER;
}

function equals(bytes: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let index = 1; index < expected.length; index++) {
    if (bytes[start + index] !== expected[index]) return false;
  }
  return true;
}
