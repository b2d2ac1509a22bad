// SPDX-License-Identifier: Apache-2.0
import type { Settings } from "../../src/component/component.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { OtlpSignal } from "../../src/pdata/requests.ts";
import { createReceiverCounts } from "../../src/pipeline/receiver-counts.ts";

export type Transport = "grpc" | "http";

export interface TransportCounters {
  /** Items refused before they reach the pipeline; the topology counts the others. */
  readonly refused: Readonly<Record<OtlpSignal, Counter>>;
  /** Requests whose body is not OTLP. */
  readonly malformed: Counter;
}

export function createTransportCounters(
  settings: Settings,
  transport: Transport,
): TransportCounters {
  const refused = (signal: OtlpSignal): Counter =>
    createReceiverCounts(settings, signal, transport).refused;
  return {
    refused: { traces: refused("traces"), metrics: refused("metrics"), logs: refused("logs") },
    malformed: settings.telemetry.counter(
      "backstitch_receiver_malformed_requests",
      { description: "Requests refused because the body is not OTLP.", unit: "{request}" },
      { receiver: settings.id, transport },
    ),
  };
}
