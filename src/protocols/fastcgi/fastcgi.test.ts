// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { u8, u16, u32 } from "../calls-testing.ts";
import { Conversation } from "../testing.ts";
import { FASTCGI } from "./protocol.ts";

/** Records of https://fastcgi-archives.github.io/FastCGI_Specification.html, by hand. */
function record(type: number, content: string, id = 1, padding = 0): string {
  return `\x01${u8(type)}${u16(id)}${u16(content.length)}${u8(padding)}\0${content}${"\0".repeat(padding)}`;
}

const size = (length: number): string => (length < 128 ? u8(length) : u32(length + 2 ** 31));
const param = (name: string, value: string): string =>
  size(name.length) + size(value.length) + name + value;
const begin = (id = 1): string => record(1, "\0\x01\x01\0\0\0\0\0", id);
const end = (id = 1, refusal = 0): string => record(3, `${u32(0)}${u8(refusal)}\0\0\0`, id);

function request(fields: Readonly<Record<string, string>>, id = 1): string {
  const params = Object.entries(fields).map(([name, value]) => param(name, value));
  return begin(id) + record(4, params.join(""), id, 3) + record(4, "", id) + record(5, "", id);
}

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const FIELDS = {
  QUERY_STRING: "q=secret",
  REQUEST_METHOD: "GET",
  REQUEST_URI: `/order/17?q=${"s".repeat(300)}`,
  REQUEST_SCHEME: "https",
  SERVER_NAME: "shop.example",
  SERVER_PORT: "443",
  HTTP_TRACEPARENT: TRACE,
};

describe("FastCGI", () => {
  it("tells the request that the web server got, and its status", () => {
    const talk = new Conversation(FASTCGI).received(request(FIELDS));
    talk.sent(
      record(6, "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nStatus: 500", 1, 5),
    );
    talk.sent(record(6, "") + end());
    const [span] = talk.observed.ended;
    assert.equal(span?.name, "GET /order/{id}");
    assert.deepEqual(span?.attributes, {
      "http.request.method": "GET",
      "http.route": "/order/{id}",
      "url.path": "/order/17",
      "url.scheme": "https",
      "server.address": "shop.example",
      "server.port": 443,
      "http.response.status_code": 404,
      "network.protocol.name": "fastcgi",
    });
    assert.equal(span?.traceContext, `${TRACE.slice(3, 35)}-${TRACE.slice(36, 52)}-true`);
    assert.equal(span?.error, undefined);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("is an error of the client from 400 on, of the server from 500 on", () => {
    const talk = new Conversation(FASTCGI).sent(
      request({ REQUEST_METHOD: "BREW", SCRIPT_NAME: "/pot" }),
    );
    talk.received(record(6, "Status: 418 I'm a teapot\n\n") + end());
    const [span] = talk.observed.ended;
    assert.equal(span?.name, "HTTP");
    assert.equal(span?.attributes["http.request.method"], "_OTHER");
    assert.equal(span?.attributes["http.request.method_original"], "BREW");
    assert.equal(span?.attributes["error.type"], "418");
  });

  it("pairs requests that are sent at once by their ids, and ids that are used again", () => {
    const talk = new Conversation(FASTCGI);
    talk.sent(request({ REQUEST_METHOD: "GET", REQUEST_URI: "/a" }, 1));
    talk.sent(request({ REQUEST_METHOD: "GET", REQUEST_URI: "/b" }, 2));
    talk.received(record(6, "\r\n\r\n", 2) + record(7, "a warning", 1) + end(2));
    talk.sent(request({ REQUEST_METHOD: "GET", REQUEST_URI: "/c" }, 2));
    talk
      .received(end(1, 2) + record(6, "Location: https://x.example/\r\n\r\n", 2) + end(2))
      .close();
    assert.deepEqual(
      talk.observed.ended.map(({ attributes }) => [
        attributes["url.path"],
        attributes["http.response.status_code"],
        attributes["error.type"],
      ]),
      [
        ["/b", 200, undefined],
        ["/a", undefined, "OVERLOADED"],
        ["/c", 302, undefined],
      ],
    );
  });

  it("is recognised by the record that begins a request", () => {
    const detect = (text: string): string =>
      FASTCGI.detect(Buffer.from(text, "latin1"), 0, text.length);
    assert.equal(detect(request(FIELDS)), "yes");
    assert.equal(detect(begin().slice(0, 10)), "more");
    assert.equal(detect(record(6, "hello")), "weak");
    assert.equal(detect(record(1, "\0\x09\x01\0\0\0\0\0")), "no");
    assert.equal(detect("\x01\x01\0\x01\x01\0\0\0\x07"), "no");
    assert.equal(detect("\x01\x0c\0\x01\0\0\0\0"), "no");
  });
});
