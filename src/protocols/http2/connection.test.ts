// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { Conversation, type SeenExchange, TEST_OPTIONS } from "../testing.ts";
import { HTTP2 } from "./protocol.ts";
import {
  byIndex,
  data,
  END_HEADERS_FLAG,
  END_STREAM_FLAG,
  fields,
  frame,
  get,
  headers,
  indexedField,
  PADDED_FLAG,
  PREFACE_TEXT,
  PRIORITY_FLAG,
  reset,
  settings,
  status,
  TYPES,
  uint32,
} from "./testing.ts";

function server(options = TEST_OPTIONS): Conversation {
  return new Conversation(HTTP2, options).received(PREFACE_TEXT + settings()).sent(settings());
}

function names(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(
    ({ name, attributes }) => `${name} ${String(attributes["http.response.status_code"] ?? "-")}`,
  );
}

function only(talk: Conversation): SeenExchange {
  const [seen] = talk.observed.ended;
  assert.ok(seen !== undefined && talk.observed.ended.length === 1);
  return seen;
}

function request(stream: number, path: string, flags = END_STREAM_FLAG): string {
  return headers(stream, fields(get(path)), flags);
}

function response(stream: number, code = 200): string {
  return headers(stream, fields(status(code)), END_STREAM_FLAG);
}

// Frames by RFC 9113; attributes by https://opentelemetry.io/docs/specs/semconv/http/http-spans/
describe("HTTP/2", () => {
  it("gives a connection up whose preface no SETTINGS follow", () => {
    const talk = new Conversation(HTTP2).received(PREFACE_TEXT).received(request(1, "/")).close();
    assert.deepEqual(talk.observed.ended, []);
    assert.ok(talk.observed.losses.includes("malformed"));
  });

  it("describes a server's exchange by the conventions, its name the HEADERS frame's first byte", () => {
    const talk = server();
    const position = talk.positions[RECEIVED];
    talk.received(request(1, "/orders/17?secret=1"));
    talk.sent(headers(1, fields(status(200))) + data(1, "hello", END_STREAM_FLAG));
    const seen = only(talk);
    assert.equal(seen.name, "GET /orders/{id}");
    assert.equal(seen.role, "server");
    assert.equal(seen.position, position);
    assert.deepEqual(seen.timesNs, [3000, 3000, 4000, 4000]);
    assert.deepEqual(seen.attributes, {
      "http.request.method": "GET",
      "url.scheme": "http",
      "url.path": "/orders/17",
      "http.route": "/orders/{id}",
      "server.address": "shop",
      "server.port": 8080,
      "network.protocol.version": "2",
      "http.response.status_code": 200,
      "http.response.body.size": 5,
    });
    assert.equal(seen.metric["instrument"], "http.server.request.duration");
    assert.deepEqual(talk.observed.losses, []);
  });

  it("describes a client's exchange, with the body that was sent", () => {
    const talk = new Conversation(HTTP2).sent(PREFACE_TEXT + settings()).received(settings());
    talk.sent(headers(1, fields({ ...get("/orders?secret=1"), ":method": "POST" })));
    talk
      .sent(data(1, "abc"))
      .sent(data(1, "de", END_STREAM_FLAG))
      .received(response(1, 404));
    const seen = only(talk);
    assert.equal(seen.role, "client");
    assert.equal(seen.name, "POST");
    assert.equal(seen.attributes["url.full"], "http://shop:8080/orders");
    assert.equal(seen.attributes["http.request.body.size"], 5);
    assert.equal(seen.attributes["error.type"], "404");
    assert.equal(seen.error, "");
  });

  it("pairs 100 streams that are open at once, answered in any order", () => {
    const talk = server({ ...TEST_OPTIONS, pipelinedMax: 100, routesMax: 200 });
    const ids = Array.from({ length: 100 }, (_, index) => 2 * index + 1);
    talk.received(ids.map((id) => request(id, `/s${id}x`)).join(""));
    for (const id of ids.toReversed()) talk.sent(response(id, 200 + (id % 100)));
    assert.deepEqual(
      names(talk),
      ids.toReversed().map((id) => `GET /s${id}x ${200 + (id % 100)}`),
    );
    const positions = new Set(talk.observed.ended.map(({ position }) => position));
    assert.equal(positions.size, 100);
  });

  it("reads padding, priority and blocks that go on in CONTINUATION frames", () => {
    const talk = server();
    const block = fields(get("/long"));
    const first = `\x03\0\0\0\0\x10${block.slice(0, 20)}pad`;
    const flags = PADDED_FLAG | PRIORITY_FLAG | END_STREAM_FLAG;
    talk.received(frame(TYPES.headers, flags, 1, first));
    talk.received(frame(TYPES.continuation, 0, 1, block.slice(20, 31)));
    talk.received(frame(TYPES.continuation, END_HEADERS_FLAG, 1, block.slice(31)));
    talk.sent(headers(1, fields(status(200))));
    talk.sent(frame(TYPES.data, PADDED_FLAG | END_STREAM_FLAG, 1, "\x04helloPADS"));
    assert.deepEqual(names(talk), ["GET /long 200"]);
    const seen = only(talk);
    assert.equal(seen.attributes["http.response.body.size"], 5);
    assert.equal(seen.timesNs[0], 3000);
    assert.equal(seen.timesNs[1], 5000);
  });

  it("waits for the final response after interim ones, and takes trailers for its end", () => {
    const talk = server();
    talk.received(request(1, "/early"));
    talk.sent(headers(1, fields(status(103)))).sent(headers(1, fields(status(200))));
    talk.sent(data(1, "body")).sent(headers(1, fields({ "x-sum": "1" }), END_STREAM_FLAG));
    assert.deepEqual(names(talk), ["GET /early 200"]);
    assert.deepEqual(only(talk).timesNs, [3000, 3000, 5000, 7000]);
  });

  it("leaves pushed streams out and keeps the table right that their heads use", () => {
    const talk = server();
    talk.received(request(1, "/page"));
    const promised = uint32(2) + indexedField("x-a", "1") + fields(get("/style.css"));
    talk.sent(frame(TYPES.push, END_HEADERS_FLAG, 1, promised));
    talk.sent(headers(1, indexedField(":status", "418") + byIndex(63)));
    talk.sent(headers(2, fields(status(200)), END_STREAM_FLAG));
    talk.sent(data(1, "x", END_STREAM_FLAG));
    assert.deepEqual(names(talk), ["GET /page 418"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("names the error of a stream that was reset, whoever did it", () => {
    const talk = server();
    talk
      .received(request(1, "/a") + request(3, "/b"))
      .received(reset(1, 8))
      .sent(reset(3, 2));
    assert.deepEqual(
      talk.observed.ended.map(({ attributes }) => attributes["error.type"]),
      ["CANCEL", "INTERNAL_ERROR"],
    );
  });

  it("does not call it an error that a server resets a request that it has answered", () => {
    const talk = server();
    talk.received(request(1, "/upload", 0)).received(data(1, "part"));
    talk.sent(headers(1, fields(status(413))) + reset(1, 0));
    assert.deepEqual(names(talk), ["GET /upload 413"]);
    assert.equal(only(talk).attributes["error.type"], undefined);
  });

  it("ends streams that GOAWAY leaves unprocessed, and waits for the others", () => {
    const talk = server();
    talk.received(request(1, "/a") + request(3, "/b"));
    talk.sent(frame(TYPES.goAway, 0, 0, uint32(1) + uint32(0)));
    assert.equal(only(talk).attributes["error.type"], "REFUSED_STREAM");
    talk.sent(response(1));
    assert.deepEqual(names(talk), ["GET /b -", "GET /a 200"]);
  });

  it("gives what is open at the connection's end with its error", () => {
    const talk = server();
    talk.received(request(1, "/a")).close(104);
    assert.equal(only(talk).attributes["error.type"], "ECONNRESET");
  });

  it("reads the trace context and the configured fields, also from the table", () => {
    const options = { ...TEST_OPTIONS, requestHeaders: ["x-tenant"], responseHeaders: ["server"] };
    const talk = server(options);
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const block = indexedField("x-tenant", "blue") + indexedField("traceparent", traceparent);
    talk.received(headers(1, fields(get("/a")) + block, END_STREAM_FLAG));
    talk.sent(headers(1, fields({ ...status(200), server: "s/1" }), END_STREAM_FLAG));
    talk.received(headers(3, fields(get("/a")) + byIndex(63) + byIndex(62), END_STREAM_FLAG));
    talk.sent(response(3));
    for (const seen of talk.observed.ended) {
      assert.deepEqual(seen.attributes["http.request.header.x-tenant"], ["blue"]);
      assert.equal(seen.traceContext, "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-true");
    }
    assert.deepEqual(talk.observed.ended[0]?.attributes["http.response.header.server"], ["s/1"]);
  });

  it("uses the scheme's default port", () => {
    const talk = server();
    const block = fields({ ...get("/"), ":scheme": "https", ":authority": "shop" });
    talk.received(headers(1, block, END_STREAM_FLAG)).sent(response(1));
    assert.equal(only(talk).attributes["server.port"], 443);
    assert.equal(only(talk).attributes["url.scheme"], "https");
  });

  it("bounds the open streams and counts what is beyond", () => {
    const talk = server();
    for (let id = 1; id <= 2 * 20; id += 2) talk.received(request(id, "/a"));
    assert.equal(talk.observed.openCount, TEST_OPTIONS.pipelinedMax);
    assert.equal(talk.observed.losses.filter((reason) => reason === "pipeline_limit").length, 4);
  });
});

describe("HTTP/2, what was not captured", () => {
  it("skips a body of any length by the frame's length", () => {
    const talk = server();
    talk.received(request(1, "/file"));
    const body = "x".repeat(16_384);
    talk.sent(headers(1, fields(status(200))) + data(1, body), 100).sent(data(1, body), 9);
    talk.sent(data(1, body, END_STREAM_FLAG).slice(0, 5000), 64);
    talk
      .lost(SENT, 16_384 + 9 - 5000)
      .received(request(3, "/next"))
      .sent(response(3));
    assert.deepEqual(names(talk), ["GET /file 200", "GET /next 200"]);
    assert.equal(talk.observed.ended[0]?.attributes["http.response.body.size"], 3 * 16_384);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("believes no name and no value after a head that was cut", () => {
    const talk = server();
    const block = indexedField("x-tenant", "blue") + fields(get("/a"));
    talk.received(headers(1, block, END_STREAM_FLAG), 40).sent(response(1));
    talk.received(headers(3, byIndex(62) + fields(get("/b")), END_STREAM_FLAG)).sent(response(3));
    assert.deepEqual(names(talk), ["GET 200", "GET /b 200"]);
    assert.equal(talk.observed.ended[0]?.attributes["url.path"], undefined);
    assert.deepEqual(talk.observed.losses, ["head_too_large"]);
  });

  it("goes on at the next frame at the start of a call when frames are missing", () => {
    const talk = server();
    talk.received(request(1, "/a") + request(3, "/b"));
    talk.sent(headers(1, fields(status(200))) + data(1, "x".repeat(500)) + response(3), 60);
    talk.received(request(5, "/c")).sent(response(5, 201));
    // Whether /a is over, and with what length, was not seen.
    assert.deepEqual(names(talk), ["GET /c 201"]);
    talk.close();
    assert.deepEqual(names(talk), ["GET /c 201", "GET /a 200"]);
    assert.deepEqual(talk.observed.abandoned, ["gap"]);
    assert.equal(talk.observed.ended[1]?.attributes["http.response.body.size"], undefined);
    assert.equal(talk.observed.ended[1]?.attributes["error.type"], undefined);
  });

  it("takes a response whose end was not seen for over after a second of silence", () => {
    const talk = server();
    talk.received(request(1, "/a"));
    talk.sent(headers(1, fields(status(200))) + data(1, "x".repeat(500)).repeat(3), 60);
    talk.timeNs += 1e9;
    talk.received(request(3, "/b"));
    assert.deepEqual(names(talk), ["GET /a 200"]);
    assert.equal(only(talk).timesNs[3], 4000);
  });

  it("sees the end of a stream in the last bytes of a call", () => {
    const talk = server();
    talk.received(request(1, "/a"));
    const end = data(1, "", END_STREAM_FLAG);
    talk.sent(headers(1, fields(status(200))) + data(1, "x".repeat(500)).repeat(3) + end, 60);
    assert.deepEqual(names(talk), ["GET /a 200"]);
  });
});

describe("HTTP/2, a connection that is older than the agent", () => {
  it("finds the roles and reads what does not need the table", () => {
    const talk = new Conversation(HTTP2);
    talk.lost(RECEIVED, 5000).lost(SENT, 7000);
    const block = byIndex(2) + byIndex(6) + byIndex(70) + byIndex(71);
    talk.received(headers(401, block, END_STREAM_FLAG)).sent(headers(401, byIndex(8), 1));
    const seen = only(talk);
    assert.equal(seen.name, "GET");
    assert.equal(seen.role, "server");
    assert.equal(seen.attributes["url.path"], undefined);
    assert.equal(seen.attributes["http.route"], undefined);
    assert.equal(seen.attributes["http.response.status_code"], 200);
  });

  it("takes what is inserted since from the table, at its place counted from the newest", () => {
    const talk = new Conversation(HTTP2).lost(RECEIVED, 5000);
    const block = byIndex(2) + byIndex(6) + byIndex(80);
    talk.received(headers(401, block + indexedField(":path", "/new"), END_STREAM_FLAG));
    talk.sent(headers(401, byIndex(8), END_STREAM_FLAG));
    talk.received(headers(403, block + byIndex(62), END_STREAM_FLAG));
    talk.sent(headers(403, byIndex(8), END_STREAM_FLAG));
    assert.deepEqual(names(talk), ["GET /new 200", "GET /new 200"]);
  });

  it("says nothing of a status that only the older table knows", () => {
    const talk = new Conversation(HTTP2).lost(RECEIVED, 5000).lost(SENT, 5000);
    talk.received(request(9, "/a")).sent(headers(9, byIndex(62), END_STREAM_FLAG));
    assert.deepEqual(names(talk), ["GET /a -"]);
  });

  it("does not take the trailers of an older request for a request", () => {
    const talk = server().lost(RECEIVED, 3000);
    talk
      .received(headers(7, fields({ "x-sum": "1" }), END_STREAM_FLAG))
      .sent(response(7))
      .close();
    assert.deepEqual(names(talk), []);
    assert.deepEqual(talk.observed.abandoned, ["mid_stream"]);
  });

  it("counts responses to requests that it did not see", () => {
    const talk = new Conversation(HTTP2).lost(SENT, 5000);
    talk.sent(response(5)).received(request(7, "/a")).sent(response(7));
    assert.deepEqual(names(talk), ["GET /a 200"]);
    assert.deepEqual(talk.observed.losses, ["mid_stream"]);
  });
});
