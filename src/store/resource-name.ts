// SPDX-License-Identifier: Apache-2.0
import type { MessageView } from "../pdata/span-view.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";

const SERVICE_NAME = new TextEncoder().encode("service.name");

/** Where a KeyValue's text value stands; undefined when the key or the type is another. */
export function textValue(
  bytes: Uint8Array,
  { start, end }: { readonly start: number; readonly end: number },
  key: Uint8Array,
): MessageView | undefined {
  const reader = new FieldReader().reset(bytes, start, end);
  let value: MessageView | undefined;
  while (reader.next()) {
    if (reader.wireType !== WIRE_BYTES) continue;
    if (reader.field === 1 && !isSame(reader, key)) return undefined;
    if (reader.field === 2) value = { bytes, start: reader.start, end: reader.stop };
  }
  if (value === undefined) return undefined;
  reader.reset(bytes, value.start, value.end);
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === WIRE_BYTES) {
      return { bytes, start: reader.start, end: reader.stop };
    }
  }
  return undefined;
}

/** Where `service.name` stands in a Resource message. */
export function serviceNameIn(resource: MessageView): MessageView | undefined {
  const { bytes } = resource;
  const reader = new FieldReader().reset(bytes, resource.start, resource.end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_BYTES) continue;
    const name = textValue(bytes, { start: reader.start, end: reader.stop }, SERVICE_NAME);
    if (name !== undefined) return name;
  }
  return undefined;
}

function isSame(reader: FieldReader, key: Uint8Array): boolean {
  if (reader.stop - reader.start !== key.length) return false;
  for (let at = 0; at < key.length; at++) {
    if (reader.bytes[reader.start + at] !== key[at]) return false;
  }
  return true;
}
