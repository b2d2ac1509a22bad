// SPDX-License-Identifier: Apache-2.0
import type {
  DataRecord,
  Detection,
  ExchangeEvents,
  LossReason,
  Role,
} from "../../model/protocol.ts";
import type { Dialect, Outcome, Skipping } from "../ordered-connection.ts";
import { BinaryCommands } from "./binary.ts";
import { detectRequest } from "./detect.ts";
import type { MemcachedShared } from "./exchange.ts";
import { CommandQueue } from "./queue.ts";
import { TextCommands } from "./text.ts";

const REQUEST_MAGIC = 0x80;

/** Commands and answers of one connection, which speaks text or binary from its first byte on. */
export class MemcachedDialect implements Dialect {
  readonly #shared: MemcachedShared;
  readonly #queue: CommandQueue;
  #text: TextCommands | undefined = undefined;
  #binary: BinaryCommands | undefined = undefined;

  constructor(shared: MemcachedShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#queue = new CommandQueue(shared, events);
  }

  get openCount(): number {
    return this.#queue.count;
  }

  get atBoundary(): boolean {
    const { requestBoundary } = this;
    if (this.#binary !== undefined) return requestBoundary && this.#binary.responses.atBoundary;
    return requestBoundary && (this.#text?.responses.atBoundary ?? true);
  }

  get requestBoundary(): boolean {
    if (this.#binary !== undefined) return this.#binary.requests.atBoundary;
    return this.#text?.requests.atBoundary ?? true;
  }

  detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
    return detectRequest(bytes, start, end);
  }

  /** Nothing comes unasked. */
  answers(): boolean {
    return true;
  }

  begin(_role: Role, _fromStart: boolean): void {
    this.#reset();
  }

  #reset(): void {
    this.#text = undefined;
    this.#binary = undefined;
  }

  request(record: DataRecord): Outcome {
    if (this.#text === undefined && this.#binary === undefined) this.#choose(record);
    if (this.#binary !== undefined) return this.#binary.read(this.#binary.requests, record);
    this.#text ??= new TextCommands(this.#shared, this.#queue);
    return this.#text.read(this.#text.requests, record);
  }

  #choose(record: DataRecord): void {
    if (record.captured === 0 || record.bytes[record.start] !== REQUEST_MAGIC) return;
    this.#binary = new BinaryCommands(this.#shared, this.#queue);
  }

  response(record: DataRecord): Outcome {
    if (this.#binary !== undefined) return this.#binary.read(this.#binary.responses, record);
    this.#text ??= new TextCommands(this.#shared, this.#queue);
    return this.#text.read(this.#text.responses, record);
  }

  get skipping(): Skipping {
    return (this.#text ?? new TextCommands(this.#shared, this.#queue)).skipping;
  }

  requestHole(count: number): boolean {
    if (this.#binary !== undefined) return this.#binary.hole(this.#binary.requests, count);
    return this.#text?.hole(this.#text.requests, count) ?? false;
  }

  responseHole(count: number): boolean {
    if (this.#binary !== undefined) return this.#binary.hole(this.#binary.responses, count);
    return this.#text?.hole(this.#text.responses, count) ?? false;
  }

  loseRequests(reason: LossReason): void {
    this.#queue.takeBack(reason);
    this.#text?.requests.reset();
    this.#binary?.requests.reset();
  }

  abandonAll(reason: LossReason): void {
    this.#queue.abandonAll(reason);
    this.#reset();
  }

  close(timeNs: number, error: number): void {
    this.loseRequests("malformed");
    this.#queue.close(timeNs, error);
    this.#reset();
  }
}
