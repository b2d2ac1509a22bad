// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { Fields, OwnSpan, Tracer } from "../component/telemetry.ts";
import { keyValues, unixNano } from "./otlp-json.ts";

const KIND_INTERNAL = 1;
const STATUS_ERROR = 2;
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** The ratio decides on the last seven bytes of a trace id (specification, TraceIdRatioBased). */
const DECIDING_BYTES = 7;
const DECIDING_MAX = 2n ** 56n;

export interface TracerOptions {
  /** Share of traces that are kept, 0 to 1. */
  readonly ratio: number;
  /** A span that has ended, in the form of OTLP/JSON. */
  readonly emit: (span: object) => void;
}

/** Spans of the agent's own work: each is a trace of its own. */
export function createTracer({ ratio, emit }: TracerOptions): Tracer {
  const below = BigInt(Math.round(ratio * 2 ** 53)) << 3n;
  return {
    start: (name, attributes) => {
      const traceId = randomBytes(TRACE_ID_BYTES);
      const decided = traceId.subarray(TRACE_ID_BYTES - DECIDING_BYTES).toString("hex");
      if (below < DECIDING_MAX && BigInt(`0x${decided}`) >= below) return undefined;
      return spanOf(name, attributes, traceId, emit);
    },
  };
}

function spanOf(
  name: string,
  attributes: Fields,
  traceId: Buffer,
  emit: (span: object) => void,
): OwnSpan {
  const startTimeMs = performance.timeOrigin + performance.now();
  let hasEnded = false;
  return {
    end: (more, error) => {
      if (hasEnded) return;
      hasEnded = true;
      emit({
        traceId: traceId.toString("hex"),
        spanId: randomBytes(SPAN_ID_BYTES).toString("hex"),
        name,
        kind: KIND_INTERNAL,
        startTimeUnixNano: unixNano(startTimeMs),
        endTimeUnixNano: unixNano(performance.timeOrigin + performance.now()),
        attributes: keyValues({ ...attributes, ...more }),
        ...(error === undefined ? {} : { status: { code: STATUS_ERROR, message: error } }),
      });
    },
  };
}
