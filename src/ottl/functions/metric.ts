// SPDX-License-Identifier: Apache-2.0

import { FieldReader, WIRE_BYTES } from "../../pdata/wire.ts";
import { type Arguments, type Converters, define } from "../arguments.ts";
import type { Getter } from "../fields.ts";
import { Message } from "../message.ts";
import { attributeValue } from "../paths.ts";
import type { Telemetry } from "../telemetry.ts";
import { compareValues, type Value } from "../value.ts";

const POINT_ATTRIBUTES: Readonly<Record<number, number>> = { 9: 9, 10: 1 };

/** The filter processor's own: does any data point of the metric have the attribute? */
function onDatapoint(hasValue: boolean) {
  return (args: Arguments): Getter => {
    const key = Buffer.from(args.literalText("key") ?? "");
    const wanted = args.value("expectedVal");
    return (telemetry) => anyPoint(telemetry, key, hasValue ? wanted(telemetry) : undefined);
  };
}

function anyPoint(telemetry: Telemetry, key: Uint8Array, wanted: Value): boolean {
  const kind = telemetry.metricKind();
  const data = telemetry.metricData();
  if (kind === 0 || data.start < 0) return false;
  const reader = new FieldReader().reset(data.bytes, data.start, data.stop);
  const point = new Message();
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_BYTES) continue;
    const list = point
      .reset(data.bytes, reader.start, reader.stop)
      .attributes(POINT_ATTRIBUTES[kind] ?? 7);
    const value = attributeValue(list, list.find(key));
    if (value !== undefined && (wanted === undefined || compareValues("==", value, wanted))) {
      return true;
    }
  }
  return false;
}

export const METRIC: Converters = [
  define("HasAttrKeyOnDatapoint", "key", onDatapoint(false), ["metric"]),
  define("HasAttrOnDatapoint", "key expectedVal", onDatapoint(true), ["metric"]),
];
