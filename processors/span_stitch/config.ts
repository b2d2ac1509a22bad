// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

/** Options of `span_stitch`, durations in milliseconds. */
export interface SpanStitchConfig {
  readonly mode: "agent" | "gateway";
  readonly peer_ids: boolean;
  readonly gateway: GatewayConfig;
  readonly wait_max: number;
  readonly reorder_wait: number;
  readonly remember: number;
  readonly min_confidence: number;
  readonly max_spans_per_trace: number;
  readonly max_trace_duration: number;
  readonly max_held_spans: number;
  readonly max_held_mib: number;
  readonly max_remembered_spans: number;
  readonly inference: InferenceConfig;
}

export interface GatewayConfig {
  readonly window: number;
  readonly max_known_spans: number;
}

export interface InferenceConfig {
  readonly enabled: boolean;
  readonly min_confidence: number;
  readonly window: number;
  readonly max_spans: number;
}

const HOUR_MS = 3_600_000;

const inferenceSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe("Whether calls that nothing else links are linked by their times."),
  min_confidence: z
    .number()
    .min(0.5)
    .max(1)
    .default(0.98)
    .describe("No link is inferred with a confidence below this, from 0.5 to 1."),
  window: duration({ minMs: 100, maxMs: 60_000 })
    .default(2000)
    .describe(
      "How long such a call waits for the end of the request that caused it, and for others to " +
        "compare with, from 100ms to 1m. It is sent up to 1.4 times as long after it came.",
    ),
  max_spans: z
    .int()
    .min(100)
    .max(1_000_000)
    .default(50_000)
    .describe("Spans compared at a time, of all processes; with more, calls are decided early."),
});

const gatewaySchema = z.strictObject({
  window: duration({ minMs: 10, maxMs: 600_000 })
    .default(2000)
    .describe("How long all spans wait for pieces of other agents, from 10ms to 10m."),
  max_known_spans: z
    .int()
    .min(1024)
    .max(8_388_608)
    .default(524_288)
    .describe("Client spans remembered at most, 1024 to 8388608; the oldest are forgotten first."),
});

export const configSchema: z.ZodType<SpanStitchConfig> = z.strictObject({
  mode: z
    .enum(["agent", "gateway"])
    .default("agent")
    .describe(
      "`agent` stitches the spans of this agent's receivers; `gateway` joins the traces that " +
        "agents with `peer_ids` have sent.",
    ),
  peer_ids: z
    .boolean()
    .default(false)
    .describe("Write `stitch.peer_span_id` on server spans without a parent, for a gateway."),
  gateway: gatewaySchema.prefault({}).describe("Only for `mode: gateway`."),
  wait_max: duration({ minMs: 20, maxMs: HOUR_MS })
    .default(30_000)
    .describe(
      "How long a span waits for a parent that is known to come (an incoming request still in " +
        "flight, the other end of a watched connection), from 20ms to 1h. Then it is sent, " +
        "and its ancestors take over its trace id when they come.",
    ),
  reorder_wait: duration({ minMs: 0, maxMs: 10_000 })
    .default(50)
    .describe(
      "How long a span waits for a parent that may not exist, from 0s to 10s: a caller that is " +
        "perhaps not watched, an incoming request with the same trace header.",
    ),
  remember: duration({ minMs: 0, maxMs: HOUR_MS })
    .default(60_000)
    .describe("How long the trace of a sent span is kept for spans that come late, up to 1h."),
  min_confidence: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("No link is made with a confidence below this, from 0 to 1."),
  max_spans_per_trace: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(10_000)
    .describe("A trace takes no more of our spans than this; what comes then starts its own."),
  max_trace_duration: duration({ minMs: 1000, maxMs: 24 * HOUR_MS })
    .default(HOUR_MS)
    .describe(
      "A trace takes no spans that start later than this after its first, from 1s to 24h; what " +
        "comes then starts its own.",
    ),
  max_held_spans: z
    .int()
    .min(1)
    .max(4_000_000)
    .default(200_000)
    .describe("Spans held at most, up to 4000000; when more come the oldest are sent as they are."),
  max_held_mib: z
    .int()
    .min(1)
    .max(4_096)
    .default(64)
    .describe("Bytes of spans held at most, MiB; when more come the oldest are sent as they are."),
  max_remembered_spans: z
    .int()
    .min(0)
    .max(4_000_000)
    .default(100_000)
    .describe("Sent spans remembered at most, up to 4000000; the oldest are forgotten first."),
  inference: inferenceSchema
    .prefault({})
    .describe("Links from times alone, where no other evidence is."),
});
