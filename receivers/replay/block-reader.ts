// SPDX-License-Identifier: Apache-2.0
import { BLOCK_BYTES_MAX, BLOCK_HEAD_BYTES, RECORDING_MAGIC } from "../ebpf_l7/recording.ts";

/** The file is not what the format says. */
export class RecordingError extends Error {
  override readonly name: string = "RecordingError";
}

/** Takes a recording in pieces and calls the listener for each block; its body is valid until the return. */
export class BlockReader {
  readonly #listener: (kind: number, body: Uint8Array) => void;
  #rest: Uint8Array = new Uint8Array(0);
  #hasBegun = false;

  constructor(listener: (kind: number, body: Uint8Array) => void) {
    this.#listener = listener;
  }

  /** Bytes of a block that never came complete. */
  get pendingBytes(): number {
    return this.#rest.length;
  }

  /** @throws RecordingError */
  push(piece: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let at = 0;
    if (!this.#hasBegun) {
      if (bytes.length < RECORDING_MAGIC.length) {
        this.#rest = bytes;
        return;
      }
      checkMagic(bytes);
      this.#hasBegun = true;
      at = RECORDING_MAGIC.length;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    while (at + BLOCK_HEAD_BYTES <= bytes.length) {
      const length = view.getUint32(at + 4, true);
      if (length > BLOCK_BYTES_MAX) throw new RecordingError(`a block of ${length} bytes`);
      const body = at + BLOCK_HEAD_BYTES;
      const end = body + ((length + 7) & ~7);
      if (end > bytes.length) break;
      this.#listener(view.getUint32(at, true), bytes.subarray(body, body + length));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}

/** @throws RecordingError */
export function checkMagic(head: Uint8Array): void {
  const isOurs = RECORDING_MAGIC.subarray(0, 7).every((byte, at) => head[at] === byte);
  if (!isOurs) throw new RecordingError("this is no recording of ebpf_l7");
  if (head[7] !== RECORDING_MAGIC[7]) {
    throw new RecordingError(
      `this is a recording of version ${head[7]}, which this build does not read`,
    );
  }
}
