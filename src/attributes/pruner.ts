// SPDX-License-Identifier: Apache-2.0
import { inMask } from "../pdata/levels.ts";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";
import { malformed } from "./attribute-list.ts";

export interface PrunerOptions {
  /** Field numbers from the request down to the deepest messages that may go, as masks. */
  readonly path: readonly number[];
  /** A container that is left without children goes, too, at these levels and above. */
  readonly emptyBelowLevel: number;
  /** Level 0 is a resource's data. `field` is where the message stands in its parent. */
  isRemoved(level: number, bytes: Uint8Array, start: number, stop: number, field: number): boolean;
}

const SAME = 0;
const CHANGED = 1;
const EMPTY = 2;

/** Takes messages out of request bodies; all that stays is the bytes that it was. */
export class Pruner {
  readonly #options: PrunerOptions;
  readonly #out = new ProtoWriter(64 * 1024);
  readonly #readers: readonly FieldReader[];
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(options: PrunerOptions) {
    this.#options = options;
    this.#readers = options.path.map(() => new FieldReader());
  }

  /** The chunk itself when nothing goes, undefined when nothing stays. Throws when malformed. */
  prune(chunk: Uint8Array): Uint8Array | undefined {
    this.#bytes = chunk;
    this.#out.reset();
    const result = this.#level(0, 0, chunk.length);
    if (result === SAME) return chunk;
    return result === EMPTY ? undefined : this.#out.take();
  }

  #level(level: number, start: number, end: number): typeof SAME | typeof CHANGED | typeof EMPTY {
    const { path, emptyBelowLevel, isRemoved } = this.#options;
    const out = this.#out;
    const mark = out.length;
    const reader = (this.#readers[level] ?? new FieldReader()).reset(this.#bytes, start, end);
    const mask = path[level] ?? 0;
    let from = start;
    let isChanged = false;
    let kept = 0;
    while (reader.next()) {
      const { field, tagAt, stop } = reader;
      if (!inMask(mask, field) || reader.wireType !== WIRE_BYTES) continue;
      let result: typeof SAME | typeof CHANGED | typeof EMPTY = SAME;
      if (isRemoved(level, this.#bytes, reader.start, stop, field)) result = EMPTY;
      else if (level < path.length - 1) {
        this.#copy(from, tagAt);
        from = tagAt;
        const header = out.length;
        const message = out.beginMessage(field * 8 + WIRE_BYTES);
        result = this.#level(level + 1, reader.start, stop);
        if (result === CHANGED) out.endMessage(message);
        else out.length = header;
      }
      if (result === EMPTY) this.#copy(from, tagAt);
      else kept++;
      if (result === SAME) continue;
      from = stop;
      isChanged = true;
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
    const isEmpty = kept === 0 && level <= emptyBelowLevel;
    if (isEmpty || !isChanged) {
      out.length = mark;
      return isEmpty ? EMPTY : SAME;
    }
    this.#copy(from, end);
    return CHANGED;
  }

  #copy(from: number, to: number): void {
    if (to <= from) return;
    this.#out.reserve(to - from);
    this.#out.copy(this.#bytes, from, to);
  }
}
