// SPDX-License-Identifier: Apache-2.0

/** A field whose name or value could not be known (HPACK, a table that is older than the agent). */
export const FIELD_UNKNOWN = -1;
/** A field that nobody asks for. */
export const FIELD_NONE = 0;
export const FIELD_METHOD = 1;
export const FIELD_PATH = 2;
export const FIELD_SCHEME = 3;
export const FIELD_AUTHORITY = 4;
export const FIELD_STATUS = 5;
export const FIELD_HOST = 6;
export const FIELD_TRACEPARENT = 7;
export const FIELD_CONTENT_TYPE = 8;
export const FIELD_GRPC_STATUS = 9;
export const FIELD_GRPC_TIMEOUT = 10;
export const FIELD_TRIPLE = 11;
export const FIELD_CONNECT_VERSION = 12;
export const FIELD_USER_AGENT = 13;
export const FIELD_ELASTIC_PRODUCT = 14;
export const FIELD_AUTHORIZATION = 15;
export const FIELD_AMZ_TARGET = 16;
export const FIELD_AMZ_REQUEST_ID = 17;
export const FIELD_UPGRADE = 18;
export const FIELD_REQUEST_ID = 19;
export const FIELD_CORRELATION_ID = 20;
export const FIELD_B3 = 21;
export const FIELD_B3_TRACE_ID = 22;
export const FIELD_UBER_TRACE_ID = 23;
export const FIELD_SW8 = 24;
/** And above: a field that the configuration names, by its index in `FieldNames.wanted`. */
const FIELD_WANTED = 64;

const BUILT_IN: readonly (readonly [string, number])[] = [
  [":method", FIELD_METHOD],
  [":path", FIELD_PATH],
  [":scheme", FIELD_SCHEME],
  [":authority", FIELD_AUTHORITY],
  [":status", FIELD_STATUS],
  ["host", FIELD_HOST],
  ["traceparent", FIELD_TRACEPARENT],
  ["content-type", FIELD_CONTENT_TYPE],
  ["grpc-status", FIELD_GRPC_STATUS],
  ["grpc-timeout", FIELD_GRPC_TIMEOUT],
  ["tri-service-version", FIELD_TRIPLE],
  ["tri-service-group", FIELD_TRIPLE],
  ["tri-service-timeout", FIELD_TRIPLE],
  ["tri-consumer-appname", FIELD_TRIPLE],
  ["tri-protocol-version", FIELD_TRIPLE],
  ["tri-unit-info", FIELD_TRIPLE],
  ["connect-protocol-version", FIELD_CONNECT_VERSION],
  ["user-agent", FIELD_USER_AGENT],
  ["x-elastic-product", FIELD_ELASTIC_PRODUCT],
  ["authorization", FIELD_AUTHORIZATION],
  ["x-amz-target", FIELD_AMZ_TARGET],
  ["x-amz-request-id", FIELD_AMZ_REQUEST_ID],
  ["x-amzn-requestid", FIELD_AMZ_REQUEST_ID],
  ["x-amzn-request-id", FIELD_AMZ_REQUEST_ID],
  ["upgrade", FIELD_UPGRADE],
  ["x-request-id", FIELD_REQUEST_ID],
  ["x-correlation-id", FIELD_CORRELATION_ID],
  ["b3", FIELD_B3],
  ["x-b3-traceid", FIELD_B3_TRACE_ID],
  ["uber-trace-id", FIELD_UBER_TRACE_ID],
  ["sw8", FIELD_SW8],
];

const NAME_BYTES_MAX = 128;

interface Name {
  /** Lower case. */
  readonly utf8: Uint8Array;
  readonly code: number;
}

/** A field that the configuration names, for requests, responses or both. */
export interface WantedField {
  readonly code: number;
  /** Index in `ParserOptions.requestHeaders` and `responseHeaders`, or -1. */
  readonly requestIndex: number;
  readonly responseIndex: number;
  /** What the field means to us besides, or FIELD_NONE. */
  readonly builtIn: number;
}

/** Small numbers for the names of fields that are looked at; every other name is FIELD_NONE. */
export class FieldNames {
  readonly #byLength: (readonly Name[] | undefined)[] = new Array(NAME_BYTES_MAX + 1).fill(
    undefined,
  );
  readonly #wanted: WantedField[] = [];

  constructor(requestHeaders: readonly string[], responseHeaders: readonly string[]) {
    const codes = new Map<string, number>(BUILT_IN);
    const requests = requestHeaders.map((name) => name.toLowerCase());
    const responses = responseHeaders.map((name) => name.toLowerCase());
    for (const name of new Set([...requests, ...responses])) {
      const code = FIELD_WANTED + this.#wanted.length;
      const requestIndex = requests.indexOf(name);
      const responseIndex = responses.indexOf(name);
      const builtIn = codes.get(name) ?? FIELD_NONE;
      this.#wanted.push({ code, requestIndex, responseIndex, builtIn });
      codes.set(name, code);
    }
    for (const [name, code] of codes) {
      const utf8 = new TextEncoder().encode(name);
      if (utf8.length > NAME_BYTES_MAX) continue;
      this.#byLength[utf8.length] = [...(this.#byLength[utf8.length] ?? []), { utf8, code }];
    }
  }

  /** Undefined for the code of a name that only we know. */
  wanted(code: number): WantedField | undefined {
    return this.#wanted[code - FIELD_WANTED];
  }

  /** Letters of `bytes` may be of either case. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const names = this.#byLength[end - start];
    if (names === undefined) return FIELD_NONE;
    for (const name of names) {
      if (matches(bytes, start, name.utf8)) return name.code;
    }
    return FIELD_NONE;
  }
}

function matches(bytes: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let index = 0; index < lower.length; index++) {
    const byte = bytes[start + index] ?? 0;
    const folded = byte >= 65 && byte <= 90 ? byte | 0x20 : byte;
    if (folded !== lower[index]) return false;
  }
  return true;
}
