// SPDX-License-Identifier: Apache-2.0
import { parseDurationNs } from "../../config/duration.ts";
import { type Converters, define, mapping } from "../arguments.ts";
import {
  Duration,
  kindOf,
  OttlEvaluationError,
  Time,
  toFloat,
  toInteger,
  type Value,
} from "../value.ts";
import { formatTime, parseTime } from "./strftime.ts";

const SECOND = 1_000_000_000n;

function needTime(value: Value): Time {
  if (value instanceof Time) return value;
  throw new OttlEvaluationError(`expected time but got ${kindOf(value)}`);
}

function needDuration(value: Value): Duration {
  if (value instanceof Duration) return value;
  throw new OttlEvaluationError(`expected duration but got ${kindOf(value)}`);
}

const unix =
  (divisor: bigint) =>
  (value: Value): Value =>
    toInteger(needTime(value).ns / divisor);

const inUnits =
  (ns: number) =>
  (value: Value): Value =>
    toFloat(Number(needDuration(value).ns) / ns);

const calendar =
  (read: (date: Date, ns: bigint) => number) =>
  (value: Value): Value => {
    const { ns } = needTime(value);
    return read(new Date(Number(ns / 1_000_000n)), ns);
  };

export const TIME: Converters = [
  define("Now", "", () => (telemetry) => new Time(telemetry.now())),
  mapping("Unix", (value) => new Time(BigInt(Math.trunc(Number(value ?? 0))) * SECOND)),
  mapping("UnixSeconds", unix(SECOND)),
  mapping("UnixMilli", unix(1_000_000n)),
  mapping("UnixMicro", unix(1_000n)),
  mapping("UnixNano", unix(1n)),
  mapping("Duration", (value) => {
    const ns = typeof value === "string" ? parseDurationNs(value) : `not a text: ${kindOf(value)}`;
    if (typeof ns === "string") throw new OttlEvaluationError(ns);
    return new Duration(BigInt(Math.round(ns)));
  }),
  mapping("Hours", inUnits(3600e9)),
  mapping("Minutes", inUnits(60e9)),
  mapping("Seconds", inUnits(1e9)),
  mapping("Milliseconds", (value) => toInteger(needDuration(value).ns / 1_000_000n)),
  mapping("Microseconds", (value) => toInteger(needDuration(value).ns / 1_000n)),
  mapping("Nanoseconds", (value) => toInteger(needDuration(value).ns)),
  mapping(
    "Year",
    calendar((date) => date.getUTCFullYear()),
  ),
  mapping(
    "Month",
    calendar((date) => date.getUTCMonth() + 1),
  ),
  mapping(
    "Day",
    calendar((date) => date.getUTCDate()),
  ),
  mapping(
    "Hour",
    calendar((date) => date.getUTCHours()),
  ),
  mapping(
    "Minute",
    calendar((date) => date.getUTCMinutes()),
  ),
  mapping(
    "Second",
    calendar((date) => date.getUTCSeconds()),
  ),
  mapping(
    "Nanosecond",
    calendar((_, ns) => Number(ns % SECOND)),
  ),
  mapping(
    "Weekday",
    calendar((date) => date.getUTCDay()),
  ),
  define("TruncateTime", "time duration", (args) => {
    const [time, duration] = [args.value("time"), args.value("duration")];
    return (telemetry) => {
      const { ns } = needTime(time(telemetry));
      const unit = needDuration(duration(telemetry)).ns;
      return new Time(unit <= 0n ? ns : ns - (ns % unit));
    };
  }),
  define("Time", "target format location? locale?", (args) => {
    const target = args.text("target");
    const format = args.literalText("format") ?? "";
    const location = args.literalText("location") ?? "UTC";
    if (format === "") throw args.wrong("format", "must not be empty");
    return (telemetry) => parseTime(target(telemetry), format, location);
  }),
  define("FormatTime", "time format", (args) => {
    const [time, format] = [args.value("time"), args.text("format")];
    return (telemetry) => formatTime(needTime(time(telemetry)), format(telemetry));
  }),
];
