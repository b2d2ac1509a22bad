// SPDX-License-Identifier: Apache-2.0
import { zstdCompressSync } from "node:zlib";
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
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { FileConfig } from "./config.ts";
import { groupsOf, pathOf } from "./groups.ts";
import { OutputFile } from "./output-file.ts";

const LENGTH_BYTES = 4;
const NEWLINE = Uint8Array.of(0x0a);

/** Writes each batch as one message: a line of OTLP/JSON, or bytes behind their length. */
export function createFileExporter(settings: ExporterSettings, config: FileConfig): Exporter {
  const { signal } = settings;
  if (!isOtlpSignal(signal)) throw new AgentError("BS_CONFIG", `file has no ${signal}`);
  const files = new Files(settings, config);
  // One write at a time, so that lines do not mix. At most the helper's exports in flight wait.
  let last: Promise<void> = Promise.resolve();
  const shutdown = async (): Promise<void> => {
    await last;
    await files.close();
  };
  const push = (batch: Batch): Promise<void> => {
    const messages = groupsOf(batch, config.group_by).map(({ group, chunks }) => ({
      path: pathOf(config, group),
      message: messageOf(signal, chunks, config),
    }));
    const written = last.then(async () => {
      for (const { path, message } of messages) await files.write(path, message);
    });
    last = written.catch(() => undefined);
    return written;
  };
  const helper = {
    timeoutMs: 0,
    sendingQueue: sendingQueueSchema().parse({ enabled: false }),
    retryOnFailure: retrySchema().parse({ enabled: false }),
  };
  return createQueuedExporter(settings, helper, push, { start: () => files.start(), shutdown });
}

function messageOf(
  signal: OtlpSignal,
  chunks: readonly Uint8Array[],
  { format, compression }: FileConfig,
): Uint8Array {
  const bytes = chunks.length === 1 ? (chunks[0] ?? new Uint8Array(0)) : Buffer.concat(chunks);
  const encoded = format === "proto" ? bytes : jsonOf(signal, bytes);
  if (format === "json" && compression === "") return Buffer.concat([encoded, NEWLINE]);
  const message = compression === "zstd" ? zstdCompressSync(encoded) : encoded;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}

function jsonOf(signal: OtlpSignal, bytes: Uint8Array): Buffer {
  const result = toOtlpJson(REQUESTS[signal].request, bytes);
  if (result.ok) return Buffer.from(result.json);
  throw new AgentError("BS_EXPORT", `malformed batch at byte ${result.offset}`);
}

/** The files that are open: one, or with `group_by` those that were written to last. */
class Files {
  readonly #config: FileConfig;
  readonly #log: ThrottledLog;
  readonly #open = new Map<string, OutputFile>();
  /** What was emptied in this run is not emptied when it is opened again. */
  readonly #emptied = new Set<string>();

  constructor({ telemetry }: ExporterSettings, config: FileConfig) {
    this.#config = config;
    this.#log = new ThrottledLog(telemetry.logger);
  }

  async start(): Promise<void> {
    const { path, group_by: groupBy } = this.#config;
    if (groupBy.enabled) return;
    await this.#opened(path).catch((cause: unknown) => {
      throw writeError(path, cause, "BS_START");
    });
  }

  async write(path: string, message: Uint8Array): Promise<void> {
    try {
      const file = await this.#opened(path);
      await file.write(message);
    } catch (cause) {
      throw writeError(path, cause);
    }
  }

  async close(): Promise<void> {
    for (const file of this.#open.values()) await file.close();
    this.#open.clear();
  }

  async #opened(path: string): Promise<OutputFile> {
    const known = this.#open.get(path);
    if (known !== undefined) {
      // The one that was used last is the last to be closed.
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    const { append, group_by: groupBy, create_directory: makes } = this.#config;
    const [oldest] = this.#open;
    if (oldest !== undefined && this.#open.size >= groupBy.max_open_files) {
      this.#open.delete(oldest[0]);
      await oldest[1].close();
    }
    const file = new OutputFile(path, {
      ...this.#config,
      append: append || this.#emptied.has(path),
      create_directory: makes || groupBy.enabled,
      now: () => new Date(),
      onCleanupFailed: (error) =>
        this.#log.write("warn", "Old files cannot be removed", { path, error: String(error) }),
    });
    await file.open();
    if (!append) this.#emptied.add(path);
    this.#open.set(path, file);
    return file;
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
