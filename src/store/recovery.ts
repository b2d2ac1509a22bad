// SPDX-License-Identifier: Apache-2.0
import { renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Logger } from "../component/telemetry.ts";
import { AppendFile } from "./append-file.ts";
import { fileStatus, listFiles, SET_ASIDE_SUFFIX, type StoreFile } from "./directory.ts";
import { SegmentError } from "./file-reads.ts";
import { Segment } from "./segment.ts";
import { buildTraceIndex, FILE_HEADER_BYTES } from "./segment-format.ts";
import { writeFooter } from "./segment-writer.ts";

/**
 * What a writer does before it writes: files that an earlier one left open are cut behind their
 * last whole frame and sealed; what cannot be read at all is renamed, never deleted.
 */
export async function recover(directory: string, logger: Logger): Promise<void> {
  for (const file of listFiles(directory)) {
    if ((fileStatus(file.path)?.bytes ?? 0) < FILE_HEADER_BYTES) {
      // It was begun and nothing more.
      await rm(file.path, { force: true });
      continue;
    }
    if (file.kind !== "spans") continue;
    try {
      await recoverSegment(file, logger);
    } catch (error) {
      if (!(error instanceof SegmentError)) throw error;
      setAside(file, error.message, logger);
    }
  }
}

async function recoverSegment(file: StoreFile, logger: Logger): Promise<void> {
  const segment = new Segment(file.path);
  try {
    if (segment.isSealed) return;
    const torn = segment.bytes - segment.end;
    if (segment.blocks.count === 0) {
      if (torn > 0 && segment.damagedBytes > 0) throw new SegmentError("no block can be read");
      await rm(file.path);
      return;
    }
    const appended = await AppendFile.continue(file.path, segment.end);
    await writeFooter(appended, {
      names: segment.names(),
      blocks: segment.blocks,
      index: buildTraceIndex(segment.openHashes),
    });
    const fields = { file: file.name, blocks: segment.blocks.count, cut_bytes: torn };
    logger.info("Recovered a segment that was not closed", fields);
    if (segment.damagedBytes > 0) {
      logger.error("A segment is damaged; what could be read of it is kept", {
        file: file.name,
        damaged_bytes: segment.damagedBytes,
      });
    }
  } finally {
    segment.close();
  }
}

function setAside(file: StoreFile, reason: string, logger: Logger): void {
  const path = `${file.path}${SET_ASIDE_SUFFIX}`;
  renameSync(file.path, path);
  logger.error("A segment cannot be read and is set aside; the store goes on without it", {
    file: path,
    reason,
  });
}
