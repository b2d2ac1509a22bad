// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings, Host } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createQueuedExporter, retrySchema } from "../../src/pipeline/export-helper.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import { type DropReason, StoreWriter } from "../../src/store/store-writer.ts";
import type { StoreConfig } from "./config.ts";

const MIB = 1024 ** 2;
const DROP_REASONS: readonly DropReason[] = ["disk_full", "read_only", "io_error", "too_large"];

/** Keeps traces on the local disk, for the extension `ui`. */
export function createStoreExporter(settings: ExporterSettings, config: StoreConfig): Exporter {
  const { telemetry, id } = settings;
  const log = new ThrottledLog(telemetry.logger);
  const dropped = new Map(
    DROP_REASONS.map((reason) => [
      reason,
      telemetry.counter(
        "backstitch_store_dropped_spans",
        { description: "Spans that could not be kept.", unit: "{span}" },
        { exporter: id, reason },
      ),
    ]),
  );
  let writer: StoreWriter | undefined;
  let gauges: readonly (() => void)[] = [];
  const start = async ({ agent }: Host): Promise<void> => {
    const opened = await StoreWriter.open({
      directory: config.directory,
      bytesMax: config.max_size_mib * MIB,
      ageMaxMs: config.max_age,
      logger: telemetry.logger,
      nowMs: Date.now,
      ownMetrics: async () => (await agent?.metrics()) ?? [],
      onDropped: (reason, spans) => dropped.get(reason)?.add(spans),
      onFailed: (error, spans) =>
        log.write("error", "Cannot write to the store; the pipeline goes on", {
          error,
          dropped_spans: spans,
        }),
    });
    writer = opened;
    gauges = publish(settings, opened, config.max_size_mib * MIB);
  };
  const shutdown = async (): Promise<void> => {
    for (const remove of gauges) remove();
    gauges = [];
    await writer?.close();
    writer = undefined;
  };
  const push = async (batch: Batch): Promise<void> => {
    if (writer === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    await writer.append(batch);
  };
  const helper = {
    timeoutMs: 0,
    sendingQueue: config.sending_queue,
    retryOnFailure: retrySchema().parse({ enabled: false }),
  };
  return createQueuedExporter(settings, helper, push, { start, shutdown });
}

/** What is known of the files, as own metrics; the functions take them away again. */
function publish(
  { telemetry, id }: ExporterSettings,
  writer: StoreWriter,
  bytesMax: number,
): readonly (() => void)[] {
  const labels = { exporter: id };
  return [
    telemetry.observedCounter(
      "backstitch_store_written_spans",
      { description: "Spans written to the store's files.", unit: "{span}" },
      () => writer.written,
      labels,
    ),
    telemetry.gauge(
      "backstitch_store_capacity",
      { description: "Bytes that the store's files may have.", unit: "By" },
      () => bytesMax,
      labels,
    ),
    ...DROP_REASONS.map((reason) =>
      telemetry.gauge(
        "backstitch_store_failing",
        { description: "1 while the last write to the store failed for this reason.", unit: "1" },
        () => (writer.failing === reason ? 1 : 0),
        { ...labels, reason },
      ),
    ),
  ];
}
