// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { isOtlpSignal, type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import {
  createQueuedExporter,
  retrySchema,
  sendingQueueSchema,
} from "../../src/pipeline/export-helper.ts";
import type { FileConfig } from "./config.ts";

/** Writes each batch as one line of OTLP/JSON. */
export function createFileExporter(settings: ExporterSettings, config: FileConfig): Exporter {
  const { signal } = settings;
  if (!isOtlpSignal(signal)) throw new AgentError("BS_CONFIG", `file has no ${signal}`);
  let file: FileHandle | undefined;
  // One write at a time, so that lines do not mix. At most the helper's exports in flight wait.
  let last: Promise<void> = Promise.resolve();
  const start = async (): Promise<void> => {
    file = await openFile(config);
  };
  const shutdown = async (): Promise<void> => {
    await last;
    await file?.close();
    file = undefined;
  };
  const push = (batch: Batch): Promise<void> => {
    const line = lineOf(signal, batch);
    const written = last.then(async () => {
      if (file === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
      await file.appendFile(line).catch((cause: unknown) => {
        throw writeError(config.path, cause);
      });
    });
    last = written.catch(() => undefined);
    return written;
  };
  const helper = {
    timeoutMs: 0,
    sendingQueue: sendingQueueSchema().parse({ enabled: false }),
    retryOnFailure: retrySchema().parse({ enabled: false }),
  };
  return createQueuedExporter(settings, helper, push, { start, shutdown });
}

function lineOf(signal: OtlpSignal, { chunks }: Batch): string {
  const bytes = chunks.length === 1 ? (chunks[0] ?? new Uint8Array(0)) : Buffer.concat(chunks);
  const result = toOtlpJson(REQUESTS[signal].request, bytes);
  if (result.ok) return `${result.json}\n`;
  throw new AgentError("BS_EXPORT", `malformed batch at byte ${result.offset}`);
}

/** Emptied first and then opened for appending: several signals may write to one file. */
async function openFile({ path, append, create_directory }: FileConfig): Promise<FileHandle> {
  try {
    if (create_directory) await mkdir(dirname(path), { recursive: true });
    const file = await open(path, "a");
    if (!append) await truncate(path);
    return file;
  } catch (cause) {
    throw writeError(path, cause, "BS_START");
  }
}

function writeError(
  path: string,
  cause: unknown,
  code: "BS_START" | "BS_EXPORT" = "BS_EXPORT",
): AgentError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const advice = "Check the path, its permissions and the space on the disk";
  return new AgentError(code, `cannot write ${path}: ${reason}. ${advice}`, {
    cause,
    retryable: true,
  });
}
