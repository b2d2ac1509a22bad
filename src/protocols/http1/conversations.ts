// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";

/** For property tests: whole HTTP/1.1 conversations whose requests and responses carry numbers. */

/** Bytes of one direction that one message sends, and how many of them are its head. */
export interface Piece {
  readonly direction: Direction;
  readonly text: string;
  readonly headBytes: number;
}

export interface Script {
  readonly pieces: readonly Piece[];
  /** Requests that get a final response. */
  readonly exchanges: number;
}

interface Message {
  readonly method: "GET" | "POST" | "HEAD" | "PUT" | "PURGE";
  readonly requestBody: "none" | "length" | "chunked";
  readonly status: 200 | 204 | 304 | 404 | 500;
  readonly responseBody: "length" | "chunked" | "trailers";
  readonly interim: boolean;
  readonly sizes: readonly number[];
  readonly bareLf: boolean;
  readonly leadingCrlf: boolean;
}

const message: fc.Arbitrary<Message> = fc.record({
  method: fc.constantFrom("GET", "POST", "HEAD", "PUT"),
  requestBody: fc.constantFrom("none", "length", "chunked"),
  status: fc.constantFrom(200, 204, 304, 404, 500),
  responseBody: fc.constantFrom("length", "chunked", "trailers"),
  interim: fc.boolean(),
  sizes: fc.array(fc.nat(60), { maxLength: 4 }),
  bareLf: fc.boolean(),
  leadingCrlf: fc.boolean(),
});

/** `depth`: requests sent before the first of them is answered. */
export function scripts(depth: number): fc.Arbitrary<Script> {
  const bursts = fc.array(fc.array(message, { minLength: 1, maxLength: depth }), {
    minLength: 1,
    maxLength: 6,
  });
  return bursts.map((groups) => {
    const pieces: Piece[] = [];
    let number = 0;
    for (const group of groups) {
      group.forEach((entry, index) => {
        pieces.push(requestOf(entry, number + index));
      });
      group.forEach((entry, index) => {
        pieces.push(...responsesOf(entry, number + index));
      });
      number += group.length;
    }
    return { pieces, exchanges: number };
  });
}

/** Always one more request on its way than answered: the worst that a client can do to us. */
export const laggingScripts: fc.Arbitrary<Script> = fc
  .array(message, { minLength: 2, maxLength: 12 })
  .map((messages) => {
    const pieces: Piece[] = [];
    messages.forEach((entry, index) => {
      pieces.push(requestOf(entry, index));
      const before = messages[index - 1];
      if (before !== undefined) pieces.push(...responsesOf(before, index - 1));
    });
    return { pieces, exchanges: messages.length - 1 };
  });

function requestOf(entry: Message, number: number): Piece {
  const end = entry.bareLf ? "\n" : "\r\n";
  const start = entry.leadingCrlf ? "\r\n" : "";
  const lines = [`${entry.method} /numbered/n${number}x HTTP/1.1`, "Host: test"];
  const body = bodyOf(entry.requestBody, entry.sizes);
  lines.push(...body.fields);
  const head = `${start}${lines.join(end)}${end}${end}`;
  return { direction: RECEIVED, text: head + body.text, headBytes: head.length };
}

function responsesOf(entry: Message, number: number): readonly Piece[] {
  const end = entry.bareLf ? "\n" : "\r\n";
  const lines = [`HTTP/1.1 ${entry.status} Status`, `X-Number: ${number}`];
  const empty = entry.method === "HEAD" || entry.status === 204 || entry.status === 304;
  const body = bodyOf(entry.responseBody, entry.sizes);
  lines.push(...body.fields);
  const head = `${lines.join(end)}${end}${end}`;
  const interim = entry.interim ? `HTTP/1.1 103 Early Hints${end}Link: </x>${end}${end}` : "";
  const text = interim + head + (empty ? "" : body.text);
  return [{ direction: SENT, text, headBytes: interim.length + head.length }];
}

function bodyOf(
  kind: "none" | "length" | "chunked" | "trailers",
  sizes: readonly number[],
): { readonly fields: readonly string[]; readonly text: string } {
  if (kind === "none") return { fields: [], text: "" };
  const parts = sizes.filter((size) => size > 0).map((size) => bodyText(size));
  if (kind === "length") {
    const text = parts.join("");
    return { fields: [`Content-Length: ${text.length}`], text };
  }
  const chunks = parts.map((part) => `${part.length.toString(16)};e="x"\r\n${part}\r\n`);
  const trailers = kind === "trailers" ? "Digest: abc\r\n" : "";
  return { fields: ["Transfer-Encoding: chunked"], text: `${chunks.join("")}0\r\n${trailers}\r\n` };
}

/** Bodies that look like messages: nothing in them may be believed. */
function bodyText(size: number): string {
  const bait = "GET /bait HTTP/1.1\r\n\r\nHTTP/1.1 200 OK\r\nX-Number: 999\r\n\r\n";
  return bait.repeat(2).slice(0, size);
}
