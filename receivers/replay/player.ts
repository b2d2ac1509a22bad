// SPDX-License-Identifier: Apache-2.0
import {
  WIRE_CLOSE,
  WIRE_CLOSE_BYTES,
  WIRE_CONNECTION,
  WIRE_CONNECTION_BYTES,
  WIRE_DATA,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATAGRAM,
  WIRE_HEADER_KIND,
  WIRE_HEADER_TIME_NS,
  WIRE_PEER_BYTES,
} from "../../bpf/generated/wire.ts";
import type { SelectedProcess } from "../../src/model/process.ts";
import { protocolByWire } from "../../src/protocols/registry.ts";
import type { EpochClock } from "../../src/spans/epoch-clock.ts";
import type { Account } from "../ebpf_l7/account.ts";
import { configSchema, type EbpfL7Config } from "../ebpf_l7/config.ts";
import { ConnectionTable } from "../ebpf_l7/connection-table.ts";
import { DataCursor, type RingMemory, readU64 } from "../ebpf_l7/decode.ts";
import type { ExchangeOutput } from "../ebpf_l7/exchange-output.ts";
import { ExchangeTracker } from "../ebpf_l7/exchange-tracker.ts";
import { boundedService, perService } from "../ebpf_l7/parser-options.ts";
import { ProtocolChoice } from "../ebpf_l7/protocol-choice.ts";
import { RecordReader } from "../ebpf_l7/record-reader.ts";
import {
  BLOCK_CLOCK,
  BLOCK_END,
  BLOCK_HEADER,
  BLOCK_PROCESS,
  BLOCK_RECORD,
  clockBody,
  headerBody,
  processBody,
  wireLayout,
} from "../ebpf_l7/recording.ts";
import { RecordingError } from "./block-reader.ts";

/** A record's size is a u16; the rest may be read beyond its end. */
const SLAB_BYTES = 128 * 1024;
/** As the receiver does it, on the records' clock. */
const UPKEEP_NS = 1e9;
const FLOW_TIMEOUT_NS = 10e9;

export interface PlayerOptions {
  readonly clock: EpochClock;
  readonly account: Account;
  readonly output: ExchangeOutput;
  readonly onFailure: (error: unknown) => void;
}

/** Blocks in, exchanges out: what `ebpf_l7` does with its ring. */
export class Player {
  readonly #options: PlayerOptions;
  readonly #memory: RingMemory = createSlab();
  readonly #processes = new Map<number, SelectedProcess>();
  #reader: RecordReader | undefined;
  #upkeepNs = 0;
  /** Of the latest record. */
  nowNs = 0;
  isEnded = false;
  records = 0;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  /** @throws RecordingError */
  readonly onBlock = (kind: number, body: Uint8Array): void => {
    if (kind !== BLOCK_HEADER && this.#reader === undefined) {
      throw new RecordingError("the recording has no header");
    }
    switch (kind) {
      case BLOCK_HEADER:
        this.#begin(body);
        return;
      case BLOCK_PROCESS: {
        const { pid, service_name, attributes, protocols } = parsed(processBody, body);
        this.#processes.set(pid, {
          pid,
          serviceName: service_name,
          attributes: new Map(attributes),
          protocols,
        });
        return;
      }
      case BLOCK_CLOCK:
        this.#options.clock.set(BigInt(parsed(clockBody, body).offset_ns));
        return;
      case BLOCK_RECORD:
        this.#play(body);
        return;
      case BLOCK_END:
        this.isEnded = true;
        return;
      default:
    }
  };

  /** What is open is given up, as at the receiver's shutdown. */
  end(): void {
    this.#reader?.shutdown();
  }

  #begin(body: Uint8Array): void {
    const { layout, offset_ns, config, version } = parsed(headerBody, body);
    if (layout !== wireLayout()) {
      throw new RecordingError(
        `version ${version} wrote it, whose records have another layout than those of this build`,
      );
    }
    this.#options.clock.set(BigInt(offset_ns));
    this.#reader ??= this.#createReader(configSchema.parse(config));
  }

  #createReader(config: EbpfL7Config): RecordReader {
    const { account, output, onFailure } = this.#options;
    const memory = this.#memory;
    const selection = { process: (pid: number) => this.#processes.get(pid) };
    const cursor = new DataCursor(memory);
    const table = new ConnectionTable(config.max_connections);
    const tracker = new ExchangeTracker({ table, cursor, selection, account, output });
    const choice = new ProtocolChoice({
      cursor,
      rules: config.protocols,
      parserOptions: perService(config, selection),
      protocolByWire,
      // The kernel was told at the time of the recording.
      verdicts: { decide: () => undefined, announceAgain: () => undefined },
      account,
      serviceOf: boundedService(selection),
      protocolsOf: (pid) => selection.process(pid)?.protocols,
    });
    const onUnknown = (): void => undefined;
    return new RecordReader({
      ...{ memory, cursor, table, tracker, events: tracker, account, choice },
      ...{ onUnknown, onFailure },
    });
  }

  #play(record: Uint8Array): void {
    const { bytes, u32, view } = this.#memory;
    if (record.length > SLAB_BYTES / 2) throw new RecordingError("a record that is too long");
    bytes.set(record);
    // Whatever a damaged record says, nothing of the one before it is read.
    bytes.fill(0, record.length, Math.min(SLAB_BYTES, record.length + 256));
    if (!isComplete(view, record.length)) throw new RecordingError("a record that is too short");
    this.records++;
    this.nowNs = Math.max(this.nowNs, readU64(u32, WIRE_HEADER_TIME_NS));
    this.#reader?.onRecord(0);
    if (this.nowNs - this.#upkeepNs < UPKEEP_NS) return;
    this.#upkeepNs = this.nowNs;
    this.#reader?.sweepFlows(this.nowNs - FLOW_TIMEOUT_NS, this.nowNs);
  }
}

function isComplete(view: DataView, length: number): boolean {
  if (length < WIRE_HEADER_TIME_NS + 8) return false;
  switch (view.getUint16(WIRE_HEADER_KIND, true)) {
    case WIRE_CONNECTION:
      return length >= WIRE_CONNECTION_BYTES;
    case WIRE_CLOSE:
      return length >= WIRE_CLOSE_BYTES;
    case WIRE_DATA:
      return length >= WIRE_DATA_BYTES + view.getUint16(WIRE_DATA_CAPTURED, true);
    case WIRE_DATAGRAM: {
      const captured = view.getUint16(WIRE_DATA_CAPTURED, true);
      return length >= WIRE_DATA_BYTES + captured + WIRE_PEER_BYTES;
    }
    default:
      return true;
  }
}

function createSlab(): RingMemory {
  const buffer = new ArrayBuffer(SLAB_BYTES);
  return {
    bytes: new Uint8Array(buffer),
    u32: new Uint32Array(buffer),
    view: new DataView(buffer),
  };
}

interface Schema<T> {
  parse(input: unknown): T;
}

function parsed<T>(schema: Schema<T>, body: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch (cause) {
    throw new RecordingError("a block that cannot be read", { cause });
  }
}
