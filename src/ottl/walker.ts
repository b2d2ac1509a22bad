// SPDX-License-Identifier: Apache-2.0
import { malformed } from "../attributes/attribute-list.ts";
import { inMask } from "../pdata/levels.ts";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { FieldReader, WIRE_BYTES } from "../pdata/wire.ts";
import type { Message } from "./message.ts";
import type { ContextName } from "./paths.ts";
import { METRIC_KINDS, type Telemetry } from "./telemetry.ts";

interface Level {
  /** Fields of the parent that hold the messages. */
  readonly mask: number;
  readonly message: Message;
}

const KINDS_MASK = METRIC_KINDS.reduce((mask, field) => mask | (1 << field), 0);

function levelsOf(context: ContextName, telemetry: Telemetry): Level[] {
  const { resource, scope, item, data, part } = telemetry;
  const resources = { mask: 1 << 1, message: resource };
  const scopes = { mask: 1 << 2, message: scope };
  const items = { mask: 1 << 2, message: item };
  switch (context) {
    case "resource":
      return [resources];
    case "scope":
      return [resources, scopes];
    case "spanevent":
      return [resources, scopes, items, { mask: 1 << 11, message: part }];
    case "datapoint":
      return [
        resources,
        scopes,
        items,
        { mask: KINDS_MASK, message: data },
        { mask: 1 << 1, message: part },
      ];
    default:
      return [resources, scopes, items];
  }
}

/** Runs statements on the messages of one context; what they do not change stays the bytes it was. */
export class Walker {
  readonly #levels: readonly Level[];
  readonly #readers: readonly FieldReader[];
  readonly #telemetry: Telemetry;
  readonly #kindLevel: number;
  readonly #run: () => void;
  readonly #out = new ProtoWriter(64 * 1024);
  #bytes: Uint8Array = new Uint8Array(0);

  /** `run` is called for each message; it finds it, and all around it, in `telemetry`. */
  constructor(context: ContextName, telemetry: Telemetry, run: () => void) {
    this.#levels = levelsOf(context, telemetry);
    this.#readers = this.#levels.map(() => new FieldReader());
    this.#telemetry = telemetry;
    this.#kindLevel = context === "datapoint" ? 3 : -1;
    this.#run = run;
  }

  /** The chunk itself when nothing in it changes. Throws on malformed bytes. */
  rewrite(chunk: Uint8Array): Uint8Array {
    this.#bytes = chunk;
    this.#out.reset();
    this.#telemetry.pointKind = 0;
    if (!this.#inside(0, 0, chunk.length)) return chunk;
    const { bytes, length } = this.#out;
    // Not cleared, as every byte is written.
    const taken = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    taken.set(new Uint8Array(bytes.buffer, bytes.byteOffset, length));
    return taken;
  }

  /** Writes the body `[start, end)` with its inner messages rewritten, or nothing and gives false. */
  #inside(level: number, start: number, end: number): boolean {
    const out = this.#out;
    const mark = out.length;
    const { mask = 0 } = this.#levels[level] ?? {};
    const reader = (this.#readers[level] ?? new FieldReader()).reset(this.#bytes, start, end);
    let from = start;
    let isChanged = false;
    while (reader.next()) {
      const { field, tagAt } = reader;
      if (!inMask(mask, field) || reader.wireType !== WIRE_BYTES) continue;
      if (level === this.#kindLevel) this.#telemetry.pointKind = field;
      const before = out.length;
      this.#copy(from, tagAt);
      const header = out.beginMessage(field * 8 + WIRE_BYTES);
      if (!this.#message(level, reader.start, reader.stop)) {
        out.length = before;
        continue;
      }
      out.endMessage(header);
      from = reader.stop;
      isChanged = true;
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
    if (isChanged) this.#copy(from, end);
    else out.length = mark;
    return isChanged;
  }

  /** Writes one message when it has changed. */
  #message(level: number, start: number, stop: number): boolean {
    const out = this.#out;
    const { message } = this.#levels[level] ?? {};
    if (message === undefined) return false;
    message.reset(this.#bytes, start, stop);
    if (level === this.#levels.length - 1) {
      this.#run();
      if (!message.isChanged) return false;
      message.writeTo(out);
      return true;
    }
    const mark = out.length;
    const isInsideChanged = this.#inside(level + 1, start, stop);
    // Statements may write to what is around them, too: to the resource of a span.
    if (!message.isChanged) return isInsideChanged;
    const body = isInsideChanged ? out.bytes.slice(mark, out.length) : undefined;
    out.length = mark;
    message.writeTo(out, body);
    return true;
  }

  #copy(from: number, to: number): void {
    if (to <= from) return;
    this.#out.reserve(to - from);
    this.#out.copy(this.#bytes, from, to);
  }
}
