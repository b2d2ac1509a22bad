// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "../testing.ts";
import { HTTP1 } from "./protocol.ts";

const GET = "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Fast enough for linear time on a busy machine, hopeless for quadratic. */
const NS_PER_BYTE_MAX = 2000;
const RECORD_BYTES = 4096;

type Flood = readonly [direction: Direction, text: string][];

/** Sends the prelude, then `text` again and again in records of the given size. */
function flood(prelude: Flood, direction: Direction, text: string, recordBytes: number): Observed {
  const observed = new Observed(HTTP1, { ...TEST_OPTIONS, requestHeaders: ["x"] });
  const positions: [number, number] = [0, 0];
  const send = (to: Direction, bytes: Uint8Array): void => {
    const record = { direction: to, position: positions[to], bytes, timeNs: positions[to] + 1 };
    observed.parser.data(new TestRecord(record));
    positions[to] += bytes.length;
  };
  for (const [to, piece] of prelude) send(to, Buffer.from(piece, "latin1"));
  const bytes = Buffer.from(text.repeat(Math.ceil(recordBytes / text.length)), "latin1");
  const records = Math.ceil(200_000 / recordBytes);
  const before = process.threadCpuUsage();
  for (let count = 0; count < records; count++) send(direction, bytes.subarray(0, recordBytes));
  const { user, system } = process.threadCpuUsage(before);
  const nsPerByte = ((user + system) * 1000) / (records * recordBytes);
  assert.ok(nsPerByte < NS_PER_BYTE_MAX, `${nsPerByte.toFixed(0)} ns a byte`);
  observed.parser.close(1e9, 0);
  assert.equal(observed.openCount, 0);
  return observed;
}

describe("HTTP/1 hostile input", () => {
  const floods: readonly (readonly [string, Flood, Direction, string])[] = [
    ["empty lines", [], RECEIVED, "\r\n"],
    ["a request line without end", [[RECEIVED, "GET /"]], RECEIVED, "a"],
    ["a method without end", [], RECEIVED, "A"],
    ["fields without end", [[RECEIVED, "GET / HTTP/1.1\r\n"]], RECEIVED, "X: y\r\n"],
    ["a folded field", [[RECEIVED, "GET / HTTP/1.1\r\nX: y\r\n"]], RECEIVED, " z\r\n"],
    ["requests without a response", [], RECEIVED, GET],
    ["responses without a request", [], SENT, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["interim responses", [[RECEIVED, GET]], SENT, "HTTP/1.1 100 Continue\r\n\r\n"],
    [
      "chunks of one byte",
      [
        [RECEIVED, GET],
        [SENT, CHUNKED],
      ],
      SENT,
      "1\r\nx\r\n",
    ],
    [
      "zeros of a chunk size",
      [
        [RECEIVED, GET],
        [SENT, CHUNKED],
      ],
      SENT,
      "0",
    ],
    [
      "a chunk extension",
      [
        [RECEIVED, GET],
        [SENT, `${CHUNKED}1;`],
      ],
      SENT,
      "e=f;",
    ],
    [
      "trailers",
      [
        [RECEIVED, GET],
        [SENT, `${CHUNKED}0\r\n`],
      ],
      SENT,
      "X: y\r\n",
    ],
    ["noughts", [], RECEIVED, "\0"],
    [
      "a body until the end",
      [
        [RECEIVED, GET],
        [SENT, "HTTP/1.0 200 OK\r\n\r\n"],
      ],
      SENT,
      GET,
    ],
  ];
  for (const [name, prelude, direction, text] of floods) {
    it(`costs linear time and bounded memory: ${name}`, () => {
      const large = flood(prelude, direction, text, RECORD_BYTES);
      const small = flood(prelude, direction, text, 1);
      for (const observed of [large, small]) assert.ok(observed.ended.length <= 20);
    });
  }
});
