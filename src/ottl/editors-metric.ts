// SPDX-License-Identifier: Apache-2.0
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";
import { type Arguments, type Builtin, define } from "./arguments.ts";
import type { Telemetry } from "./telemetry.ts";

type Editor = (telemetry: Telemetry) => void;

const GAUGE = 5;
const SUM = 7;
const DATA_POINTS = 1;
const TEMPORALITIES: Readonly<Record<string, number>> = { delta: 1, cumulative: 2 };

/** The data points of a Gauge or Sum, with their tags: both hold them in the same field. */
function pointsOf(telemetry: Telemetry, kind: number, out: ProtoWriter): void {
  const data = telemetry.item.blob(kind);
  const reader = new FieldReader().reset(data, 0, data.length);
  while (reader.next()) {
    if (reader.field !== DATA_POINTS || reader.wireType !== WIRE_BYTES) continue;
    out.reserve(reader.stop - reader.tagAt);
    out.copy(data, reader.tagAt, reader.stop);
  }
}

function sumToGauge(): Editor {
  return (telemetry) => {
    if (telemetry.metricKind() !== SUM) return;
    const out = new ProtoWriter();
    pointsOf(telemetry, SUM, out);
    telemetry.item.setBlob(GAUGE, out.take());
    telemetry.item.remove(SUM);
  };
}

function gaugeToSum(args: Arguments): Editor {
  const temporality = TEMPORALITIES[args.literalText("aggregation_temporality") ?? ""];
  if (temporality === undefined) {
    throw args.wrong("aggregation_temporality", 'must be "cumulative" or "delta"');
  }
  const isMonotonic = args.literal("is_monotonic") === true;
  return (telemetry) => {
    if (telemetry.metricKind() !== GAUGE) return;
    const out = new ProtoWriter();
    pointsOf(telemetry, GAUGE, out);
    out.reserve(4);
    for (const byte of [0x10, temporality, 0x18, isMonotonic ? 1 : 0]) out.byte(byte);
    telemetry.item.setBlob(SUM, out.take());
    telemetry.item.remove(GAUGE);
  };
}

export const METRIC_EDITORS: readonly (readonly [string, Builtin<Editor>])[] = [
  define("convert_sum_to_gauge", "", sumToGauge, ["metric"]),
  define("convert_gauge_to_sum", "aggregation_temporality is_monotonic", gaugeToSum, ["metric"]),
];
