// SPDX-License-Identifier: Apache-2.0
/**
 * A recording: a magic number, then blocks of a kind (u32), a length (u32, bytes of the body) and a
 * body, padded to eight bytes; all little-endian. Records of the ring are bodies as they are, all
 * other bodies JSON. `README.md` of the receiver `replay` explains it.
 */
import { crc32 } from "node:zlib";
import { z } from "zod";
import * as wire from "../../bpf/generated/wire.ts";
import type { ProcessProtocols, SelectedProcess } from "../../src/model/process.ts";

/** "BSREC", version 1. */
export const RECORDING_MAGIC: Uint8Array = Buffer.from("BSREC\u0000\u0000\u0001", "latin1");
export const BLOCK_HEAD_BYTES = 8;
/** The size of a record is 16 bits; JSON of a process or the configuration is not longer. */
export const BLOCK_BYTES_MAX: number = 1024 * 1024;

export const BLOCK_HEADER = 1;
export const BLOCK_PROCESS = 2;
export const BLOCK_RECORD = 3;
export const BLOCK_CLOCK = 4;
export const BLOCK_END = 5;

const offsetText = z.string().regex(/^\d{1,20}$/);

export interface HeaderBody {
  /** Which layout the records have; see `wireLayout`. */
  readonly layout: number;
  readonly version: string;
  /** Epoch minus monotonic clock, nanoseconds. */
  readonly offset_ns: string;
  readonly redacted: boolean;
  /** Of the receiver, so that parsers have the same limits. */
  readonly config?: unknown;
}

export const headerBody: z.ZodType<HeaderBody> = z.object({
  layout: z.number(),
  version: z.string(),
  offset_ns: offsetText,
  redacted: z.boolean(),
  config: z.unknown(),
});

export const clockBody: z.ZodType<Pick<HeaderBody, "offset_ns">> = z.object({
  offset_ns: offsetText,
});

export interface ProcessBody {
  readonly pid: number;
  readonly service_name: string;
  readonly attributes: readonly (readonly [string, string | number])[];
  readonly protocols?: ProcessProtocols | undefined;
}

export const processBody: z.ZodType<ProcessBody> = z.object({
  pid: z.number(),
  service_name: z.string(),
  attributes: z.array(z.tuple([z.string(), z.union([z.string(), z.number()])])),
  protocols: z.object({ served: z.string().optional(), disabled: z.array(z.string()) }).optional(),
});

export function toProcessBody(process: SelectedProcess): ProcessBody {
  const { pid, serviceName, attributes, protocols } = process;
  return { pid, service_name: serviceName, attributes: [...attributes], protocols };
}

/** Tells whether records were written with the fields where this build looks for them. */
export function wireLayout(): number {
  const fields = Object.entries(wire)
    .filter(([name]) =>
      /^(WIRE_(HEADER|CONNECTION|DATA|DATAGRAM|CLOSE|PEER)|DATA_|CONNECTION_)/.test(name),
    )
    .map(([name, value]) => `${name}=${String(value)}`)
    .toSorted();
  return crc32(fields.join("\n"));
}
