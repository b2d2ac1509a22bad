// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** One row of a stitching data set. Times in µs of the data set's own origin; NaN when absent. */
export interface StitchCall {
  readonly call: number;
  /** Empty for a root. */
  readonly caller: string;
  readonly callee: string;
  readonly operation: string;
  readonly clientStartUs: number;
  readonly clientEndUs: number;
  readonly serverStartUs: number;
  readonly serverEndUs: number;
  /** Truth; 0 for a root. */
  readonly parentCall: number;
  readonly trace: string;
}

const COLUMNS = [
  "call",
  "caller",
  "callee",
  "operation",
  "client_start_us",
  "client_end_us",
  "server_start_us",
  "server_end_us",
  "parent_call",
  "trace",
] as const;

/** Reads a CSV, gzipped or not. Throws with the line number when a row does not fit. */
export function readStitchFile(path: string): StitchCall[] {
  const bytes = readFileSync(path);
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const lines = (isGzip ? gunzipSync(bytes) : bytes).toString("utf8").split("\n");
  if (lines[0]?.trim() !== COLUMNS.join(",")) {
    throw new Error(`${path}:1: expected the columns ${COLUMNS.join(",")}.`);
  }
  const calls: StitchCall[] = [];
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line === "") continue;
    const fields = line.trimEnd().split(",");
    if (fields.length !== COLUMNS.length) {
      throw new Error(`${path}:${index + 1}: expected ${COLUMNS.length} fields.`);
    }
    calls.push(parseCall(fields));
  }
  return calls;
}

function parseCall(fields: readonly string[]): StitchCall {
  const time = (text: string | undefined): number => (text ? Number(text) : Number.NaN);
  return {
    call: Number(fields[0]),
    caller: fields[1] ?? "",
    callee: fields[2] ?? "",
    operation: fields[3] ?? "",
    clientStartUs: time(fields[4]),
    clientEndUs: time(fields[5]),
    serverStartUs: time(fields[6]),
    serverEndUs: time(fields[7]),
    parentCall: Number(fields[8] ?? 0),
    trace: fields[9] ?? "",
  };
}

/**
 * Shrinks the gaps between the traces' start times by `factor`; each trace's own times stay as
 * they are. The only use of the trace column before judging.
 */
export function overlapped(calls: readonly StitchCall[], factor: number): StitchCall[] {
  if (factor === 1) return [...calls];
  const starts = new Map<string, number>();
  for (const call of calls) {
    const own = Math.min(...definedTimes(call));
    starts.set(call.trace, Math.min(starts.get(call.trace) ?? own, own));
  }
  let firstUs = Number.POSITIVE_INFINITY;
  for (const startUs of starts.values()) firstUs = Math.min(firstUs, startUs);
  return calls.map((call) => {
    const traceStartUs = starts.get(call.trace) ?? firstUs;
    const shift = Math.round((traceStartUs - firstUs) / factor) - (traceStartUs - firstUs);
    return {
      ...call,
      clientStartUs: call.clientStartUs + shift,
      clientEndUs: call.clientEndUs + shift,
      serverStartUs: call.serverStartUs + shift,
      serverEndUs: call.serverEndUs + shift,
    };
  });
}

function definedTimes(call: StitchCall): number[] {
  return [call.clientStartUs, call.serverStartUs].filter((time) => !Number.isNaN(time));
}
