// SPDX-License-Identifier: Apache-2.0
import { Body } from "./body.ts";

const LF = 10;
const CR = 13;

/** States of the search for an empty line. */
const IN_LINE = 0;
const LINE_START = 1;
const LINE_START_CR = 2;

const CARRY_BYTES = 1024;

/** One direction of a connection: either in a head, of which a part may be carried, or in a body. */
export class Half {
  /** Stream position after the last record, -1 before the first. */
  expected = -1;
  inBody = false;
  readonly body: Body = new Body();
  /** The part of a head that came in earlier records: `carry[0 … carryLength)`. */
  carry: Uint8Array = NOTHING;
  carryLength = 0;
  /** Time and thread of the carried head's first byte. */
  headNs = 0;
  headTid = 0;
  #state = IN_LINE;

  startMessage(): void {
    this.inBody = false;
    this.carryLength = 0;
    this.carry = NOTHING;
    this.#state = IN_LINE;
  }

  /**
   * Carries bytes up to the end of the head, `bytesMax` at most in all. Returns the offset after
   * the last byte carried, or -1 when there was no room. `headComplete` tells the end.
   */
  carryHead(bytes: Uint8Array, start: number, end: number, bytesMax: number): number {
    const headEnd = this.#findHeadEnd(bytes, start, end);
    const length = this.carryLength + headEnd - start;
    if (length > bytesMax) return -1;
    if (length > this.carry.length) {
      const grown = new Uint8Array(Math.max(CARRY_BYTES, this.carry.length * 2, length));
      grown.set(this.carry.subarray(0, this.carryLength));
      this.carry = grown;
    }
    this.carry.set(bytes.subarray(start, headEnd), this.carryLength);
    this.carryLength = length;
    return headEnd;
  }

  headComplete = false;

  #findHeadEnd(bytes: Uint8Array, start: number, end: number): number {
    this.headComplete = false;
    let state = this.#state;
    for (let at = start; at < end; at++) {
      const byte = bytes[at];
      if (byte === LF) {
        if (state !== IN_LINE) {
          this.headComplete = true;
          return at + 1;
        }
        state = LINE_START;
      } else state = byte === CR && state === LINE_START ? LINE_START_CR : IN_LINE;
    }
    this.#state = state;
    return end;
  }
}

const NOTHING = new Uint8Array(0);
