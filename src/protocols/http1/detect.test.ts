// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { protocolByWire } from "../registry.ts";
import { HTTP1 } from "./protocol.ts";

function detection(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  return HTTP1.detect(bytes, 0, bytes.length);
}

describe("HTTP/1 detection", () => {
  it("knows requests and responses", () => {
    for (const text of [
      "GET / HTTP/1.1\r\nHost: x\r\n",
      "GET / HTTP/1.0\n",
      "PROPFIND /dav HTTP/1.1\r\n",
      "CONNECT a:443 HTTP/1.1",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.0 404",
    ]) {
      assert.equal(detection(text), "yes", text);
    }
  });

  it("asks for more when the bytes may still become one", () => {
    for (const text of ["", "G", "GET", "GET ", "GET /path?x", "GET / HTTP", "HTTP/1.1 20", "H"]) {
      assert.equal(detection(text), "more", text);
    }
  });

  it("refuses what is something else", () => {
    for (const text of [
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01",
      "*1\r\n$4\r\nPING\r\n",
      "GET / SPDY/3",
      "HTTP/1.1 2x0",
      "SSH-2.0-OpenSSH_9.2\r\n",
      "get",
      "GETS / ",
      '{"a":1}',
    ]) {
      assert.equal(detection(text), "no", text);
    }
  });

  it("is found by the kernel's number", () => {
    assert.equal(protocolByWire(1), HTTP1);
    assert.equal(protocolByWire(0), undefined);
    assert.equal(protocolByWire(60000), undefined);
  });
});
