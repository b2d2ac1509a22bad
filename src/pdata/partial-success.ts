// SPDX-License-Identifier: Apache-2.0
import { fromOtlpJson } from "./json-decode.ts";
import { type OtlpSignal, REQUESTS } from "./requests.ts";
import { FieldReader, WIRE_BYTES, WIRE_VARINT } from "./wire.ts";

/** What a server says that it did not take of a request that it accepted. */
export interface PartialSuccess {
  readonly rejectedItems: number;
  readonly message: string;
}

const decoder = new TextDecoder();

/**
 * The `partial_success` of an Export…ServiceResponse (opentelemetry-proto, the same fields for
 * every signal); undefined when there is none, it is empty, or the bytes are no such message.
 */
export function decodePartialSuccess(response: Uint8Array): PartialSuccess | undefined {
  const reader = new FieldReader().reset(response, 0, response.length);
  let rejectedItems = 0;
  let message = "";
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_BYTES) continue;
    const inner = new FieldReader().reset(response, reader.start, reader.stop);
    while (inner.next()) {
      if (inner.field === 1 && inner.wireType === WIRE_VARINT) rejectedItems = inner.low;
      else if (inner.field === 2 && inner.wireType === WIRE_BYTES) {
        message = decoder.decode(response.subarray(inner.start, inner.stop));
      }
    }
  }
  return rejectedItems === 0 && message === "" ? undefined : { rejectedItems, message };
}

/** The same from OTLP/JSON. */
export function decodeJsonPartialSuccess(
  signal: OtlpSignal,
  response: Uint8Array,
): PartialSuccess | undefined {
  const result = fromOtlpJson(REQUESTS[signal].response, response);
  return result.ok ? decodePartialSuccess(result.bytes) : undefined;
}
