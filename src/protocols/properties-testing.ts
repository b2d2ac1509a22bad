// SPDX-License-Identifier: Apache-2.0
import type { Direction, ParserOptions, Protocol } from "../model/protocol.ts";
import { Observed, TestRecord } from "./testing.ts";

/** For property tests: what one side says without a pause, as characters of Latin-1. */
export interface Piece {
  readonly direction: Direction;
  readonly text: string;
}

/** Each piece cut in two; `where`: at which part of its length, again from the first when there are no more. */
export function cut(pieces: readonly Piece[], where: readonly number[]): Piece[] {
  return pieces.flatMap(({ direction, text }, index) => {
    const at = Math.floor(text.length * (where[index % where.length] ?? 1));
    return [text.slice(0, at), text.slice(at)]
      .filter((part) => part !== "")
      .map((part) => ({ direction, text: part }));
  });
}

/** A whole connection, whose pieces of the `dropped` numbers nobody saw. */
export function playPieces(
  protocol: Protocol,
  options: ParserOptions,
  pieces: readonly Piece[],
  dropped: ReadonlySet<number>,
): Observed {
  const observed = new Observed(protocol, options);
  const positions = [0, 0];
  pieces.forEach(({ direction, text }, index) => {
    const bytes = Buffer.from(text, "latin1");
    const position = positions[direction] ?? 0;
    positions[direction] = position + bytes.length;
    if (dropped.has(index)) return;
    observed.parser.data(new TestRecord({ direction, position, bytes, timeNs: index * 1000 }));
  });
  observed.parser.close(1e9, 0);
  if (observed.openCount > 0) throw new Error("An exchange is open after the connection's end.");
  if (!observed.parser.idle) throw new Error("The parser is not idle after the connection's end.");
  return observed;
}
