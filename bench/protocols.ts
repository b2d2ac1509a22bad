// SPDX-License-Identifier: Apache-2.0
/**
 * CPU of the parsers on the captures in `src/protocols/NAME/goldens`, every pass a new connection in
 * the server's view: messages (a request or a response each) and megabytes a CPU second, parsing and
 * pairing alone, and with the span written as OTLP bytes; and the memory that a connection holds when all
 * of its capture went over it and nothing is under way.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { z } from "zod";
import type { SelectedProcess } from "../src/model/process.ts";
import {
  type ConnectionParser,
  type DataRecord,
  type Direction,
  type Exchange,
  type ExchangeEvents,
  type ParserOptions,
  type Protocol,
  RECEIVED,
  SENT,
} from "../src/model/protocol.ts";
import { PROTOCOLS } from "../src/protocols/registry.ts";
import { EpochClock } from "../src/spans/epoch-clock.ts";
import { ResourceBatcher } from "../src/spans/resource-batcher.ts";
import { SpanConnection } from "../src/spans/span-connection.ts";
import { SpanEncoder } from "../src/spans/span-encoder.ts";

const GOLDENS = join(import.meta.dirname, "../src/protocols");
const DRAIN_PASSES = 50;
const FIRST_NS = 1e12;

const goldenSchema = z.object({
  records: z.array(
    z.object({
      from: z.enum(["client", "server"]),
      text: z.string().optional(),
      hex: z.string().optional(),
    }),
  ),
});

class Cursor implements DataRecord {
  direction: Direction = RECEIVED;
  timeNs = FIRST_NS;
  position = 0;
  length = 0;
  bytes: Uint8Array = new Uint8Array(0);
  readonly start = 0;
  captured = 0;
  readonly tailStart = -1;
  readonly pid = 4711;
  readonly tid = 4712;
}

interface CaptureRecord {
  readonly direction: Direction;
  readonly bytes: Uint8Array;
}

interface Capture {
  readonly records: readonly CaptureRecord[];
  readonly bytes: number;
}

function capturesOf(name: string): readonly Capture[] {
  const folder = join(GOLDENS, name, "goldens");
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.map((file) => {
    const golden = goldenSchema.parse(JSON.parse(readFileSync(join(folder, file), "utf8")));
    const records = golden.records.map(
      ({ from, text, hex }): CaptureRecord => ({
        direction: from === "client" ? RECEIVED : SENT,
        bytes: hex === undefined ? Buffer.from(text ?? "", "latin1") : Buffer.from(hex, "hex"),
      }),
    );
    return { records, bytes: records.reduce((sum, record) => sum + record.bytes.length, 0) };
  });
}

interface Figures {
  readonly messagesPerSecond: number;
  readonly megabytesPerSecond: number;
}

interface ProtocolFigures {
  readonly protocol: string;
  /** Of the capture after which a connection holds most. */
  readonly idleBytes: number;
  readonly parsed: Figures;
  readonly encoded: Figures;
}

const OPTIONS: ParserOptions = {
  headBytesMax: 8192,
  pipelinedMax: 256,
  urlQuery: false,
  requestHeaders: [],
  responseHeaders: [],
  routesMax: 200,
  rawStatements: false,
};

/** What becomes of exchanges: spans in OTLP bytes, or nothing. */
class Output implements ExchangeEvents {
  ended = 0;
  readonly #batcher = new ResourceBatcher({ version: "0.1.0" });
  readonly #encoder = new SpanEncoder({
    clock: new EpochClock(1_790_000_000_000_000_000n),
    batcher: this.#batcher,
  });
  readonly #encodes: boolean;
  readonly #process: SelectedProcess = {
    pid: 4711,
    serviceName: "shop",
    attributes: new Map<string, string | number>([["process.pid", 4711]]),
  };
  readonly #connection = new SpanConnection({
    role: "server",
    clientStart: 7919,
    serverStart: 104_729,
    positionExcess: 0,
    family: 4,
    localAddress: "10.1.2.3",
    localPort: 8080,
    remoteAddress: "10.9.8.7",
    remotePort: 40_000,
  });

  constructor(encodes: boolean) {
    this.#encodes = encodes;
  }

  begin(exchange: Exchange): void {
    exchange.link = undefined;
  }
  end(exchange: Exchange): void {
    this.ended++;
    if (this.#encodes) {
      this.#encoder.encode(this.#process, this.#connection, exchange, undefined);
    }
  }
  abandon(): void {
    // Nothing is written for it.
  }
  lost(): void {
    // Counted by the receiver.
  }
  drain(): void {
    this.#batcher.take();
  }
}

function playOnce(
  protocol: Protocol,
  options: ParserOptions,
  output: Output,
  capture: Capture,
): void {
  playOpen(protocol, options, output, capture).close(FIRST_NS + 1e12, 0);
}

/** A connection over which the capture went, not closed. */
function playOpen(
  protocol: Protocol,
  options: ParserOptions,
  output: Output,
  capture: Capture,
): ConnectionParser {
  const cursor = new Cursor();
  const positions = [0, 0];
  const parser = protocol.createParser(options, output);
  for (const { direction, bytes } of capture.records) {
    const position = positions[direction] ?? 0;
    positions[direction] = position + bytes.length;
    cursor.direction = direction;
    cursor.timeNs += 1000;
    cursor.position = position;
    cursor.length = bytes.length;
    cursor.captured = bytes.length;
    cursor.bytes = bytes;
    parser.data(cursor);
  }
  return parser;
}

function measure(
  protocol: Protocol,
  captures: readonly Capture[],
  encodes: boolean,
  seconds: number,
): Figures {
  const options = { ...OPTIONS };
  const output = new Output(encodes);
  const until = performance.now() + seconds * 1000;
  let bytes = 0;
  let passes = 0;
  let before = process.cpuUsage();
  let warm = false;
  while (performance.now() < until) {
    for (const capture of captures) playOnce(protocol, options, output, capture);
    bytes += captures.reduce((sum, capture) => sum + capture.bytes, 0);
    if (++passes % DRAIN_PASSES === 0) output.drain();
    if (warm || performance.now() < until - seconds * 800) continue;
    warm = true;
    output.ended = 0;
    bytes = 0;
    before = process.cpuUsage();
  }
  const used = process.cpuUsage(before);
  const cpuSeconds = (used.user + used.system) / 1e6;
  return {
    messagesPerSecond: Math.round((2 * output.ended) / cpuSeconds),
    megabytesPerSecond: Math.round(bytes / cpuSeconds / 1e5) / 10,
  };
}

const IDLE_CONNECTIONS = 500;

function heldBytes(collect: () => void): number {
  // Twice: what one collection finalizes the next one frees.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Memory a connection, of many that have one service in common and are idle; 0 where none is. */
function idleBytes(protocol: Protocol, capture: Capture, collect: () => void): number {
  const options = { ...OPTIONS };
  const output = new Output(false);
  const open = (): ConnectionParser => playOpen(protocol, options, output, capture);
  if (!open().idle) return 0;
  const before = heldBytes(collect);
  const parsers = Array.from({ length: IDLE_CONNECTIONS }, open);
  const after = heldBytes(collect);
  return parsers.every(({ idle }) => idle) ? Math.round((after - before) / IDLE_CONNECTIONS) : 0;
}

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  return () => {
    if (typeof collect === "function") collect();
  };
}

/** `seconds` for each measurement, of which there are two a protocol; one fifth of it is warm-up. */
export function benchProtocols(seconds: number): readonly ProtocolFigures[] {
  const collect = garbageCollector();
  return PROTOCOLS.flatMap((protocol) => {
    const captures = capturesOf(protocol.name);
    if (captures.length === 0) return [];
    const parsed = measure(protocol, captures, false, seconds);
    const encoded = measure(protocol, captures, true, seconds);
    // The first one warms up.
    const held = [...captures, ...captures].map((one) => idleBytes(protocol, one, collect));
    const most = Math.max(...held.slice(captures.length));
    return [{ protocol: protocol.name, idleBytes: most, parsed, encoded }];
  });
}
