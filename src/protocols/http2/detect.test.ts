// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HTTP2 } from "./protocol.ts";
import { byIndex, data, headers, PREFACE_TEXT, settings } from "./testing.ts";

function detection(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  return HTTP2.detect(bytes, 0, bytes.length);
}

describe("HTTP/2 detection", () => {
  it("knows the preface, a server's SETTINGS, and frames of a connection under way", () => {
    const head = headers(5, byIndex(2), 1);
    for (const text of [PREFACE_TEXT, settings(), head, head + data(5, "x").slice(0, 9)]) {
      assert.equal(detection(text), "yes");
    }
  });

  it("asks for more, or only guesses, where little is there", () => {
    assert.equal(detection("PRI * HTTP"), "more");
    assert.equal(detection("\0\0\x05"), "more");
    assert.equal(detection(data(5, "hello")), "weak");
  });

  it("refuses what is something else", () => {
    for (const text of [
      "GET / HTTP/1.1\r\n",
      "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03",
      // Kafka, Thrift, MySQL, zeros.
      "\0\0\0\x1f\0\x03\0\x04\0\0\0\x01",
      "\0\0\0\x1d\x80\x01\0\x01\0\0\0\x04",
      "\x4a\0\0\0\x0a8.0.30\0\x08",
      "\0".repeat(32),
    ]) {
      assert.equal(detection(text), "no", JSON.stringify(text));
    }
  });
});
