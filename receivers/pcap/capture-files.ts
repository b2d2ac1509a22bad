// SPDX-License-Identifier: Apache-2.0
import { createReadStream, globSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { pipeline, type Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import { ClassicReader, classicVariant } from "./classic-reader.ts";
import type { CaptureClock, PacketListener, PacketReader } from "./packet.ts";
import { isPcapng, PcapngReader } from "./pcapng-reader.ts";

/** Bytes of one piece: some thousand packets, a few milliseconds of work. */
const CHUNK_BYTES = 256 * 1024;

const GZIP_MAGIC = 0x1f8b;
const ZSTD_MAGIC = 0x28b52ffd;

/** The files that the patterns name, each once, sorted within a pattern. @throws AgentError */
export function expandPaths(patterns: readonly string[]): readonly string[] {
  const paths = patterns.flatMap((pattern) => {
    if (!/[*?[{]/.test(pattern)) return [pattern];
    const found = globSync(pattern).toSorted();
    if (found.length === 0) throw problem(pattern, "no file matches this pattern");
    return found;
  });
  return [...new Set(paths)];
}

/** Is there a capture? @throws AgentError that says what is there instead. */
export async function checkCapture(path: string): Promise<void> {
  const head = await readHead(path);
  if (head.length === 0) throw problem(path, "the file is empty");
  if (decompressorOf(head) !== undefined || isPcapng(head) || classicVariant(head)) return;
  throw problem(path, "this is neither a pcap nor a pcapng file");
}

/** The content in pieces, decompressed. Ends with an error when the compressed data is damaged. */
export async function readCapture(path: string): Promise<Readable> {
  const head = await readHead(path);
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const decompressor = decompressorOf(head);
  if (decompressor === undefined) return file;
  // The callback: whoever reads sees the error on the stream itself.
  return pipeline(file, decompressor(), () => undefined);
}

/** By the first bytes of the content; undefined when they start no capture. */
export function createReader(
  head: Uint8Array,
  clock: CaptureClock,
  listener: PacketListener,
): PacketReader | undefined {
  if (isPcapng(head)) return new PcapngReader(clock, listener);
  return classicVariant(head) === undefined ? undefined : new ClassicReader(clock, listener);
}

function decompressorOf(head: Uint8Array): (() => NodeJS.ReadWriteStream & Readable) | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (head.length >= 2 && view.getUint16(0) === GZIP_MAGIC) {
    return () => createGunzip({ chunkSize: CHUNK_BYTES });
  }
  if (head.length >= 4 && view.getUint32(0) === ZSTD_MAGIC) {
    return () => createZstdDecompress({ chunkSize: CHUNK_BYTES });
  }
  return undefined;
}

async function readHead(path: string): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, null);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw problem(path, messageOf(error));
  } finally {
    await file?.close();
  }
}

function problem(path: string, what: string): AgentError {
  const advice =
    "Give a capture of tcpdump, dumpcap or the like (pcap or pcapng, also gzip or zstd)";
  return new AgentError("BS_START", `pcap: path: ${path}: ${what}. ${advice}.`);
}
