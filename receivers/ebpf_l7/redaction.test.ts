// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Http1Masker, type Masker, RedisMasker } from "./redaction.ts";

/** What is left of a stream that comes in records of `bytes` bytes. */
function masked(masker: Masker, text: string, bytes = text.length): string {
  const all = Buffer.from(text, "latin1");
  for (let at = 0; at < all.length; at += bytes) {
    masker.mask(all.subarray(at, at + bytes), { isGap: false, unseen: 0 });
  }
  return all.toString("latin1");
}

test("of an HTTP/1 head the query and the values of headers go, what frames stays", () => {
  const request =
    "POST /orders/7?card=4111 HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer abc\r\n" +
    "Content-Length: 11\r\ntraceparent: 00-1-2-01\r\n\r\nhello\r\nyou\r\n";
  assert.equal(
    masked(new Http1Masker([]), request),
    "POST /orders/7?xxxxxxxxx HTTP/1.1\r\nHost: shop\r\nAuthorization:xxxxxxxxxxx\r\n" +
      "Content-Length: 11\r\ntraceparent: 00-1-2-01\r\n\r\nxxxxx\r\nxxx\r\n".slice(0),
  );
  assert.match(masked(new Http1Masker(["authorization"]), request), /Bearer abc/);
});

test("of a chunked HTTP/1 body the sizes stay, and lines as short as they", () => {
  const response =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nsecret text, 26 bytes, end\r\n0\r\n\r\n" +
    "HTTP/1.1 204 No Content\r\nSet-Cookie: id=1\r\n\r\n";
  const expected =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n" +
    "HTTP/1.1 204 No Content\r\nSet-Cookie:xxxxx\r\n\r\n";
  assert.equal(masked(new Http1Masker([]), response), expected);
});

test("an HTTP/1 body that looks like a head is a body, and a promised one may not come", () => {
  const body = "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n";
  const head = `POST /a HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n`;
  assert.doesNotMatch(masked(new Http1Masker([]), head + body), /secret/);
  const masker = new Http1Masker([]);
  masked(masker, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
  assert.equal(masked(masker, "HTTP/1.1 404 No\r\n\r\n"), "HTTP/1.1 404 No\r\n\r\n");
});

test("of Redis the names of commands stay, strings and numbers go", () => {
  const command =
    "*3\r\n$3\r\nSET\r\n$4\r\nname\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
  const expected =
    "*3\r\n$3\r\nSET\r\n$4\r\nxxxx\r\n$6\r\nxxxxxx\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
  assert.equal(masked(new RedisMasker(), command), expected);
  const replies =
    "+OK\r\n-ERR no such key secret\r\n:1234\r\n$6\r\nsecret\r\n*1\r\n$6\r\nSECRET\r\n_\r\n";
  const left =
    "+OK\r\n-ERR xxxxxxxxxxxxxxxxxx\r\n:1111\r\n$6\r\nxxxxxx\r\n*1\r\n$6\r\nxxxxxx\r\n_\r\n";
  assert.equal(masked(new RedisMasker(), replies), left);
});

test("wherever the calls cut the stream, no byte of a value is left", () => {
  const text = "*3\r\n$3\r\nSET\r\n$9\r\nsecretkey\r\n$14\r\nsecret\r\nsecret\r\n";
  const http =
    "PUT /a?secret HTTP/1.1\r\nX-Secret-Free: secret\r\nContent-Length: 14\r\n\r\nsecret\r\nsecret";
  for (let bytes = 1; bytes < 90; bytes++) {
    assert.doesNotMatch(masked(new RedisMasker(), text, bytes), /secret/, `${bytes}`);
    const left = masked(new Http1Masker([]), http, bytes);
    // Calls that cut the first line or a header's name leave less, never more.
    assert.doesNotMatch(left.replace("X-Secret-Free", ""), /secret/, `${bytes}: ${left}`);
  }
});
