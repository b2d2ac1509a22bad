// SPDX-License-Identifier: Apache-2.0
import { createReadStream, globSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { pipeline, Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import { ClassicReader, classicVariant } from "./classic-reader.ts";
import type { CaptureClock, PacketListener, PacketReader } from "./packet.ts";
import { isPcapng, PcapngReader } from "./pcapng-reader.ts";

/** Bytes of one piece: some thousand packets, a few milliseconds of work. */
const CHUNK_BYTES = 256 * 1024;
/** Bytes by which a format is known. */
const HEAD_BYTES = 4;

const GZIP_MAGIC = 0x1f8b;
const ZSTD_MAGIC = 0x28b52ffd;
const STDIN = "-";

/** Where a capture comes from. */
export interface CaptureSource {
  readonly name: string;
  /** Is it there? @throws AgentError that says what is there instead. */
  prepare(): Promise<void>;
  /** The bytes, compressed or not. Ends, or fails, when `stopping` aborts. */
  open(stopping: AbortSignal): Readable;
}

/** The files that the patterns name, each once, sorted within a pattern. @throws AgentError */
export function fileSources(patterns: readonly string[]): readonly CaptureSource[] {
  const paths = patterns.flatMap((pattern) => {
    if (!/[*?[{]/.test(pattern)) return [pattern];
    const found = globSync(pattern).toSorted();
    if (found.length === 0) throw problem(pattern, "no file matches this pattern");
    return found;
  });
  return [...new Set(paths)].map((path) => ({
    name: path === STDIN ? "standard input" : path,
    prepare: async () => {
      if (path !== STDIN) await checkFile(path);
    },
    open: (signal) => {
      if (path !== STDIN) return createReadStream(path, { highWaterMark: CHUNK_BYTES, signal });
      signal.addEventListener("abort", () => process.stdin.destroy(), { once: true });
      return process.stdin;
    },
  }));
}

/** The content in pieces, decompressed. Throws when the compressed data is damaged. */
export async function* piecesOf(raw: Readable): AsyncGenerator<Uint8Array> {
  const pieces = bytesOf(raw);
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < HEAD_BYTES) {
    const next = await pieces.next();
    if (next.done === true) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  if (head.length === 0) return;
  const whole = joined(head, pieces);
  const decompressor = decompressorOf(head);
  if (decompressor === undefined) yield* whole;
  // The callback: whoever reads sees the error on the stream itself.
  else yield* bytesOf(pipeline(Readable.from(whole), decompressor, () => undefined));
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

async function* joined(
  head: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield head;
  yield* rest;
}

async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) if (chunk instanceof Uint8Array) yield chunk;
}

function decompressorOf(head: Uint8Array): Transform | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (head.length >= 2 && view.getUint16(0) === GZIP_MAGIC) {
    return createGunzip({ chunkSize: CHUNK_BYTES });
  }
  if (head.length >= HEAD_BYTES && view.getUint32(0) === ZSTD_MAGIC) {
    return createZstdDecompress({ chunkSize: CHUNK_BYTES });
  }
  return undefined;
}

async function checkFile(path: string): Promise<void> {
  let file: FileHandle | undefined;
  try {
    // A pipe must not lose its first bytes here.
    if ((await stat(path)).isFIFO()) return;
    file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, null);
    checkHead(path, buffer.subarray(0, bytesRead));
  } catch (error) {
    throw error instanceof AgentError ? error : problem(path, messageOf(error));
  } finally {
    await file?.close();
  }
}

function checkHead(path: string, head: Uint8Array): void {
  if (head.length === 0) throw problem(path, "the file is empty");
  const decompressor = decompressorOf(head);
  decompressor?.destroy();
  if (decompressor !== undefined || isPcapng(head) || classicVariant(head) !== undefined) return;
  throw problem(path, "this is neither a pcap nor a pcapng file");
}

function problem(path: string, what: string): AgentError {
  const advice =
    "Give a capture of tcpdump, dumpcap or the like (pcap or pcapng, also gzip or zstd)";
  return new AgentError("BS_START", `pcap: path: ${path}: ${what}. ${advice}.`);
}
