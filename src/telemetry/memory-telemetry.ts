// SPDX-License-Identifier: Apache-2.0
import type { Fields, LogLevel, Telemetry } from "../component/telemetry.ts";
import { Metrics } from "./metrics.ts";
import { toPrometheusText } from "./prometheus-text.ts";
import { telemetryOver } from "./telemetry-service.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Fields;
}

/** Telemetry in memory: for tests, and for `validate`, which builds pipelines without running. */
export interface MemoryTelemetry {
  readonly telemetry: Telemetry;
  readonly lines: readonly LogLine[];
  /** Our metrics as `/metrics` would show them. */
  scrape(): Promise<string>;
  /** The value of one series, such as `otelcol_x{exporter="debug"}`; 0 when there is none. */
  value(series: string): Promise<number>;
}

export function createMemoryTelemetry(): MemoryTelemetry {
  const metrics = new Metrics({});
  const lines: LogLine[] = [];
  const at =
    (level: LogLevel) =>
    (message: string, fields: Fields = {}) => {
      lines.push({ level, message, fields });
    };
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const scrape = async () => toPrometheusText(await metrics.collect());
  return {
    telemetry: telemetryOver(metrics, logger),
    lines,
    scrape,
    value: async (series) => {
      const found = (await scrape()).split("\n").find((line) => line.startsWith(`${series} `));
      return found === undefined ? 0 : Number(found.slice(series.length + 1));
    },
  };
}
