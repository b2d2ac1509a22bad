// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, writeSync } from "node:fs";
import {
  DATA_NO_PAYLOAD,
  WIRE_CLOSE,
  WIRE_CLOSE_SOCKET,
  WIRE_CONNECTION,
  WIRE_CONNECTION_PROTOCOL,
  WIRE_CONNECTION_SOCKET,
  WIRE_CONNECTION_TGID,
  WIRE_DATA,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TAIL,
  WIRE_DATA_TGID,
  WIRE_DATAGRAM,
  WIRE_HEADER_KIND,
  WIRE_HEADER_SIZE,
  WIRE_PEER_BYTES,
  WIRE_PROTOCOL_HTTP1,
  WIRE_PROTOCOL_POSTGRESQL,
  WIRE_PROTOCOL_REDIS,
} from "../../bpf/generated/wire.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { Logger } from "../../src/component/telemetry.ts";
import type { ProcessSelection, SelectedProcess } from "../../src/model/process.ts";
import type { EbpfL7Config } from "./config.ts";
import type { RingMemory } from "./decode.ts";
import {
  BLOCK_CLOCK,
  BLOCK_END,
  BLOCK_HEAD_BYTES,
  BLOCK_HEADER,
  BLOCK_PROCESS,
  BLOCK_RECORD,
  RECORDING_MAGIC,
  toProcessBody,
  wireLayout,
} from "./recording.ts";
import { Http1Masker, type Masker, RedisMasker } from "./redaction.ts";
import { PostgresqlMasker } from "./redaction-postgresql.ts";

const BUFFER_BYTES = 1024 * 1024;
/** Nobody else reads what processes said to each other. */
const FILE_MODE = 0o600;
const DIRECTIONS = 2;
const DATA_SEND = 1;
const TAIL_BYTES = 8;

export interface RecorderOptions {
  readonly config: EbpfL7Config;
  readonly selection: Pick<ProcessSelection, "process">;
  readonly memory: RingMemory;
  readonly offsetNs: bigint;
  readonly version: string;
  readonly logger: Logger;
}

/** Maskers of a connection's two directions and where each stream stands; none: payload is dropped. */
interface Redacted {
  readonly protocol: number;
  readonly maskers: readonly Masker[];
  readonly ends: Float64Array;
}

/** Writes records of the ring to a file before anything is made of them, up to a size. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #out = Buffer.alloc(BUFFER_BYTES);
  readonly #known = new Map<number, SelectedProcess>();
  readonly #connections = new Map<number, Redacted>();
  #file: number | undefined;
  #used = 0;
  #written = 0;
  #records = 0;

  /** @throws AgentError when the file cannot be written. */
  constructor(options: RecorderOptions) {
    const { config, logger } = options;
    const { path, redact } = config.record;
    this.#options = options;
    try {
      this.#file = openSync(path, "w", FILE_MODE);
    } catch (cause) {
      const message = `ebpf_l7: record: path: cannot write ${path}: ${messageOf(cause)}`;
      throw new AgentError("BS_START", message, { cause });
    }
    this.#append(RECORDING_MAGIC);
    this.#json(BLOCK_HEADER, {
      layout: wireLayout(),
      version: options.version,
      offset_ns: String(options.offsetNs),
      redacted: redact,
      config: replayable(config),
    });
    logger.info("Recording", { path, redacted: redact });
  }

  /** A process that records may come from; again when it has become another program. */
  process(process: SelectedProcess): void {
    if (this.#known.get(process.pid) === process) return;
    this.#known.set(process.pid, process);
    this.#json(BLOCK_PROCESS, toProcessBody(process));
  }

  clock(offsetNs: bigint): void {
    this.#json(BLOCK_CLOCK, { offset_ns: String(offsetNs) });
  }

  /** The record at `offset` of the ring's memory. */
  add(offset: number): void {
    if (this.#file === undefined) return;
    const { view, bytes } = this.#options.memory;
    const kind = view.getUint16(offset + WIRE_HEADER_KIND, true);
    const size = view.getUint16(offset + WIRE_HEADER_SIZE, true);
    const isData = kind === WIRE_DATA || kind === WIRE_DATAGRAM;
    if (isData || kind === WIRE_CONNECTION) {
      const at = offset + (isData ? WIRE_DATA_TGID : WIRE_CONNECTION_TGID);
      const process = this.#options.selection.process(view.getUint32(at, true));
      if (process !== undefined) this.process(process);
    }
    const record = Buffer.from(bytes.subarray(offset, offset + size));
    const body = this.#options.config.record.redact ? this.#redact(kind, record) : record;
    if (body === undefined) return;
    this.#records++;
    this.#block(BLOCK_RECORD, body);
  }

  close(): void {
    if (this.#file !== undefined) this.#end("closed");
  }

  /** Undefined: a kind of which it is not known what it holds. */
  #redact(kind: number, record: Buffer): Uint8Array | undefined {
    switch (kind) {
      case WIRE_CONNECTION: {
        const protocol = record.readUInt16LE(WIRE_CONNECTION_PROTOCOL);
        this.#announced(numberAt(record, WIRE_CONNECTION_SOCKET), protocol);
        return record;
      }
      case WIRE_DATA:
        return this.#redactData(record, this.#connections.get(numberAt(record, WIRE_DATA_SOCKET)));
      case WIRE_DATAGRAM:
        return withoutPayload(record, WIRE_PEER_BYTES);
      case WIRE_CLOSE:
        this.#connections.delete(numberAt(record, WIRE_CLOSE_SOCKET));
        return record;
      default:
        return undefined;
    }
  }

  /** A connection may be announced again in the middle of a message. */
  #announced(socket: number, protocol: number): void {
    const known = this.#connections.get(socket);
    if (known?.protocol === protocol) return;
    const [oldest] = this.#connections.keys();
    const isFull = this.#connections.size >= this.#options.config.max_connections;
    if (isFull && oldest !== undefined) this.#connections.delete(oldest);
    const ends = new Float64Array(DIRECTIONS).fill(-1);
    this.#connections.set(socket, { protocol, maskers: this.#maskersOf(protocol), ends });
  }

  #maskersOf(protocol: number): readonly Masker[] {
    const { request_headers, response_headers } = this.#options.config;
    switch (protocol) {
      case WIRE_PROTOCOL_HTTP1: {
        const recorded = [...request_headers, ...response_headers];
        return [new Http1Masker(recorded), new Http1Masker(recorded)];
      }
      case WIRE_PROTOCOL_REDIS:
        return [new RedisMasker(), new RedisMasker()];
      case WIRE_PROTOCOL_POSTGRESQL:
        return [new PostgresqlMasker(), new PostgresqlMasker()];
      default:
        return [];
    }
  }

  #redactData(record: Buffer, connection: Redacted | undefined): Uint8Array {
    const direction = (record[WIRE_DATA_FLAGS] ?? 0) & DATA_SEND;
    const masker = connection?.maskers[direction];
    if (connection === undefined || masker === undefined) return withoutPayload(record, 0);
    const position = numberAt(record, WIRE_DATA_POSITION);
    const length = record.readUInt32LE(WIRE_DATA_LENGTH);
    const captured = record.readUInt16LE(WIRE_DATA_CAPTURED);
    const end = connection.ends[direction] ?? -1;
    connection.ends[direction] = position + length;
    masker.mask(record.subarray(WIRE_DATA_BYTES, WIRE_DATA_BYTES + captured), {
      isGap: end >= 0 && end !== position,
      unseen: length - captured,
    });
    const tail = record.subarray(WIRE_DATA_TAIL, WIRE_DATA_TAIL + TAIL_BYTES);
    tail.fill(0, 0, TAIL_BYTES - (masker.tailKept?.(tail) ?? 0));
    return record;
  }

  #json(kind: number, body: unknown): void {
    this.#block(kind, Buffer.from(JSON.stringify(body)));
  }

  #block(kind: number, body: Uint8Array): void {
    if (this.#file === undefined) return;
    const padded = (body.length + 7) & ~7;
    if (this.#written + BLOCK_HEAD_BYTES + padded > this.#options.config.record.max_size) {
      this.#end("full");
      return;
    }
    this.#write(kind, body);
  }

  #write(kind: number, body: Uint8Array): void {
    const head = Buffer.alloc(BLOCK_HEAD_BYTES);
    head.writeUInt32LE(kind, 0);
    head.writeUInt32LE(body.length, 4);
    this.#append(head);
    this.#append(body);
    this.#append(Buffer.alloc((8 - (body.length % 8)) % 8));
  }

  #append(bytes: Uint8Array): void {
    this.#written += bytes.length;
    if (this.#used + bytes.length > BUFFER_BYTES) this.#flush();
    this.#out.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #flush(): void {
    const file = this.#file;
    if (file === undefined) return;
    let at = 0;
    try {
      while (at < this.#used) at += writeSync(file, this.#out, at, this.#used - at);
    } catch (error) {
      this.#options.logger.error("Recording ends: the file cannot be written", {
        path: this.#options.config.record.path,
        error: messageOf(error),
      });
      closeSync(file);
      this.#file = undefined;
    }
    this.#used = 0;
  }

  #end(reason: "closed" | "full"): void {
    const { logger, config } = this.#options;
    this.#write(BLOCK_END, Buffer.from(JSON.stringify({ reason, records: this.#records })));
    this.#flush();
    if (this.#file === undefined) return;
    closeSync(this.#file);
    this.#file = undefined;
    const fields = { path: config.record.path, records: this.#records, bytes: this.#written };
    if (reason === "full") logger.warn("Recording has reached max_size and ends", fields);
    else logger.info("Recorded", fields);
  }
}

/** What the parsers and the tracker were told; not where and how the kernel was watched. */
function replayable(config: EbpfL7Config): Partial<EbpfL7Config> {
  const { head_bytes_max, pipelined_max, max_connections, url_query, request_headers } = config;
  const { response_headers, routes_max, raw_statements, protocols } = config;
  return {
    ...{ head_bytes_max, pipelined_max, max_connections, url_query, request_headers },
    ...{ response_headers, routes_max, raw_statements, protocols },
  };
}

function numberAt(record: Buffer, offset: number): number {
  return Number(record.readBigUInt64LE(offset));
}

/** The record as if nothing of it had been captured; `behind`: bytes that follow the payload. */
function withoutPayload(record: Buffer, behind: number): Uint8Array {
  const captured = record.readUInt16LE(WIRE_DATA_CAPTURED);
  const head = Buffer.from(record.subarray(0, WIRE_DATA_BYTES));
  const rest = record.subarray(WIRE_DATA_BYTES + captured, WIRE_DATA_BYTES + captured + behind);
  head.writeUInt16LE(0, WIRE_DATA_CAPTURED);
  head.writeUInt16LE(WIRE_DATA_BYTES + rest.length, WIRE_HEADER_SIZE);
  head[WIRE_DATA_FLAGS] = (head[WIRE_DATA_FLAGS] ?? 0) | DATA_NO_PAYLOAD;
  head.fill(0, WIRE_DATA_TAIL, WIRE_DATA_TAIL + TAIL_BYTES);
  return Buffer.concat([head, rest]);
}
