// SPDX-License-Identifier: Apache-2.0
import { arch, platform } from "node:os";
import type { Logger } from "../component/telemetry.ts";
import type { PartialSuccess } from "../pdata/partial-success.ts";
import type { OtlpSignal } from "../pdata/requests.ts";

const DROPPED_FIELD: Readonly<Record<OtlpSignal, string>> = {
  traces: "dropped_spans",
  metrics: "dropped_data_points",
  logs: "dropped_log_records",
};

/** As the Collector says it; what the server rejected still counts as sent. */
export function logPartialSuccess(
  logger: Logger,
  signal: OtlpSignal,
  partial: PartialSuccess | undefined,
): void {
  if (partial === undefined) return;
  logger.warn("Partial success response", {
    message: partial.message,
    [DROPPED_FIELD[signal]]: partial.rejectedItems,
  });
}

/** `<name>/<version> (os/arch)`, the form of the Collector's. */
export function userAgent(version: string): string {
  return `Backstitch/${version} (${platform()}/${arch()})`;
}
