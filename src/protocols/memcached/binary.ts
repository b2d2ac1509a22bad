// SPDX-License-Identifier: Apache-2.0
import { type DataRecord, RECEIVED, SENT } from "../../model/protocol.ts";
import {
  type Frame,
  FrameReader,
  type Framing,
  NEED_MORE,
  NOT_A_FRAME,
  READ,
} from "../frame-reader.ts";
import {
  BOUNDARY_LOST,
  MALFORMED,
  type Outcome,
  TAKEN,
  TOO_MANY,
  UNASKED,
} from "../ordered-connection.ts";
import { binaryName, isErrorStatus, isQuiet, QUIT, STAT } from "./commands.ts";
import { readInt32 } from "./detect.ts";
import type { MemcachedShared } from "./exchange.ts";
import type { CommandQueue } from "./queue.ts";

const HEADER_BYTES = 24;
const REQUEST = 0x80;
const RESPONSE = 0x81;
const QUITQ = 0x17;
const FRAME_BYTES = HEADER_BYTES + 320;

/** https://docs.memcached.org/protocols/binary/: a header of 24 bytes, extras, key, value. */
function framing(magic: number): Framing {
  return {
    headerBytes: HEADER_BYTES,
    frameLength: (bytes, start, end) => {
      if (bytes[start] !== magic) return NOT_A_FRAME;
      if (end - start < HEADER_BYTES) return NEED_MORE;
      const key = ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0);
      const body = readInt32(bytes, start + 8);
      if (key + (bytes[start + 4] ?? 0) > body || bytes[start + 5] !== 0) return NOT_A_FRAME;
      return HEADER_BYTES + body;
    },
  };
}

/** The binary protocol. */
export class BinaryCommands {
  readonly #shared: MemcachedShared;
  readonly #queue: CommandQueue;
  readonly requests: FrameReader<unknown>;
  readonly responses: FrameReader<unknown>;
  #record: DataRecord | undefined = undefined;
  #outcome: Outcome = TAKEN;

  constructor(shared: MemcachedShared, queue: CommandQueue) {
    this.#shared = shared;
    this.#queue = queue;
    this.requests = new FrameReader(
      framing(REQUEST),
      {
        started: (frame) => this.#requestStarted(frame),
        ended: (frame) => this.#requestEnded(frame),
      },
      { direction: RECEIVED, prefixBytesMax: FRAME_BYTES },
    );
    this.responses = new FrameReader(
      framing(RESPONSE),
      { started: (frame) => this.#responseStarted(frame), ended: (frame) => this.#response(frame) },
      { direction: SENT, prefixBytesMax: FRAME_BYTES },
    );
  }

  read(reader: FrameReader<unknown>, record: DataRecord): Outcome {
    this.#record = record;
    this.#outcome = TAKEN;
    const read = reader.read(record);
    if (this.#outcome !== TAKEN) return this.#outcome;
    return read === READ ? TAKEN : MALFORMED;
  }

  hole(reader: FrameReader<unknown>, count: number): boolean {
    this.#outcome = TAKEN;
    return reader.hole(count, this.#record?.timeNs ?? 0) === READ && this.#outcome === TAKEN;
  }

  #requestStarted(frame: Frame<unknown>): void {
    const record = this.#record;
    const opcode = frame.bytes[frame.start + 1] ?? 0;
    if (record === undefined) return;
    if (binaryName(opcode) === "") this.#outcome = MALFORMED;
    else if (!this.#queue.begin(record, frame.position)) this.#outcome = TOO_MANY;
    const { sending } = this.#queue;
    if (sending === undefined || this.#outcome !== TAKEN) return;
    // The header may have come in pieces.
    sending.startNs = frame.startNs;
    sending.requestTid = frame.tid;
    const { state } = sending.details;
    state.opcode = opcode;
    state.opaque = readInt32(frame.bytes, frame.start + 12);
    state.isQuiet = isQuiet(opcode);
  }

  #requestEnded(frame: Frame<unknown>): boolean {
    const { sending } = this.#queue;
    if (sending === undefined || this.#outcome !== TAKEN) return false;
    const { bytes, start, end } = frame;
    const { opcode } = sending.details.state;
    const keyBytes = ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0);
    const keyStart = start + HEADER_BYTES + (bytes[start + 4] ?? 0);
    const operation = binaryName(opcode);
    const statement = this.#shared.statement(operation, keyBytes > 0 ? 1 : 0);
    sending.details.statement = statement;
    if (keyBytes > 0 && this.#shared.options.rawStatements) {
      const key = this.#shared.rawStatement(
        statement,
        bytes,
        keyStart,
        Math.min(end, keyStart + keyBytes),
      );
      sending.details.statement = statement.withText(`${operation} ${key.facts.text}`);
    }
    sending.requestEndNs = frame.endNs;
    if (opcode === QUIT || opcode === QUITQ) this.#queue.takeBack("no_operation");
    this.#queue.sending = undefined;
    return true;
  }

  #responseStarted(frame: Frame<unknown>): void {
    const { bytes, start } = frame;
    const record = this.#record;
    if (record === undefined) return;
    const opcode = bytes[start + 1] ?? 0;
    const opaque = readInt32(bytes, start + 12);
    // QUIT is answered, too, and nobody waits for it.
    if (opcode === QUIT) return;
    const isMatched = this.#queue.match(({ details }) => {
      const { state } = details;
      return state.opcode === opcode && state.opaque === opaque;
    }, record);
    if (isMatched) return;
    this.#outcome = this.#queue.first === undefined ? UNASKED : BOUNDARY_LOST;
    if (this.#outcome === BOUNDARY_LOST) this.#outcome = MALFORMED;
  }

  #response(frame: Frame<unknown>): boolean {
    const { bytes, start } = frame;
    const front = this.#queue.first;
    const record = this.#record;
    if (this.#outcome !== TAKEN || record === undefined) return false;
    if (front === undefined || bytes[start + 1] === QUIT) return true;
    const status = ((bytes[start + 6] ?? 0) << 8) | (bytes[start + 7] ?? 0);
    const isItem = front.details.state.opcode === STAT && readInt32(bytes, start + 8) > 0;
    if (isErrorStatus(status)) front.details.status = String(status);
    else if (isItem) return true;
    this.#queue.finish(record.timeNs);
    return true;
  }
}
