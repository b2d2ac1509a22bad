// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { Conversation, type SeenExchange, TEST_OPTIONS } from "../testing.ts";
import { HTTP2 } from "./protocol.ts";
import {
  byIndex,
  data,
  END_STREAM_FLAG,
  fields,
  frame,
  grpcRequest,
  headers,
  indexedField,
  message,
  PREFACE_TEXT,
  reset,
  settings,
  TYPES,
  uint32,
} from "./testing.ts";

const HEAD = fields({ ":status": "200", "content-type": "application/grpc" });

function trailers(status: number): string {
  return fields({ "grpc-status": String(status), "grpc-message": "secret text" });
}

interface Call {
  readonly request?: Record<string, string>;
  readonly messages?: number;
  readonly answers?: number;
  readonly status?: number;
}

function play(role: "server" | "client", call: Call): SeenExchange {
  const talk = new Conversation(HTTP2, { ...TEST_OPTIONS });
  const ask = (text: string): Conversation =>
    role === "server" ? talk.received(text) : talk.sent(text);
  const answer = (text: string): Conversation =>
    role === "server" ? talk.sent(text) : talk.received(text);
  ask(PREFACE_TEXT + settings());
  answer(settings());
  const request = call.request ?? grpcRequest("shop.Prices/Get");
  ask(headers(1, fields(request)) + data(1, message("a").repeat(call.messages ?? 1), 1));
  if ((call.answers ?? 1) > 0) {
    answer(headers(1, HEAD) + data(1, message("reply").repeat(call.answers ?? 1)));
    answer(headers(1, trailers(call.status ?? 0), END_STREAM_FLAG));
  } else answer(headers(1, HEAD + trailers(call.status ?? 0), END_STREAM_FLAG));
  const [seen] = talk.observed.ended;
  assert.ok(seen !== undefined && talk.observed.ended.length === 1);
  return seen;
}

// https://opentelemetry.io/docs/specs/semconv/rpc/grpc/ in version 1.45
describe("gRPC", () => {
  it("describes a call by the conventions for RPC", () => {
    const seen = play("server", {});
    assert.equal(seen.name, "shop.Prices/Get");
    assert.equal(seen.error, undefined);
    assert.deepEqual(seen.attributes, {
      "rpc.system.name": "grpc",
      "rpc.method": "shop.Prices/Get",
      "rpc.status_code": "OK",
      "server.address": "shop",
      "server.port": 50_051,
      "rpc.request.message_count": 1,
      "rpc.response.message_count": 1,
    });
    assert.equal(seen.metric["instrument"], "rpc.server.call.duration");
    assert.equal(play("client", {}).metric["instrument"], "rpc.client.call.duration");
  });

  it("calls every status but OK an error of the client, some an error of the server", () => {
    // The server's by the note on rpc.status_code.
    const errors = new Set([2, 4, 12, 13, 14, 15]);
    for (let status = 1; status <= 16; status++) {
      const client = play("client", { status, answers: 0 });
      assert.equal(client.error, "", String(status));
      assert.equal(client.attributes["error.type"], client.attributes["rpc.status_code"]);
      const server = play("server", { status, answers: 0 });
      assert.equal(server.error !== undefined, errors.has(status), String(status));
      assert.equal(server.attributes["error.type"] !== undefined, errors.has(status));
      assert.ok(!JSON.stringify(server).includes("secret text"));
    }
    assert.equal(
      play("client", { status: 4, answers: 0 }).attributes["rpc.status_code"],
      "DEADLINE_EXCEEDED",
    );
  });

  it("counts the messages of a streaming call", () => {
    const { attributes } = play("client", { messages: 3, answers: 7 });
    assert.equal(attributes["rpc.request.message_count"], 3);
    assert.equal(attributes["rpc.response.message_count"], 7);
  });

  it("counts messages that are cut by frames, calls and the capture limit", () => {
    const talk = new Conversation(HTTP2).received(PREFACE_TEXT + settings()).sent(settings());
    talk.received(headers(1, fields(grpcRequest("a.B/C"))) + data(1, message("x"), 1));
    talk.sent(headers(1, HEAD));
    const stream = message("y".repeat(1000)).repeat(3);
    talk.sent(data(1, stream.slice(0, 3))).sent(data(1, stream.slice(3, 1500)), 60);
    talk.sent(data(1, stream.slice(1500))).sent(headers(1, trailers(0), 1));
    const [seen] = talk.observed.ended;
    // The second prefix was not captured.
    assert.equal(seen?.attributes["rpc.response.message_count"], undefined);
    assert.equal(seen?.attributes["rpc.request.message_count"], 1);
    assert.equal(seen?.attributes["rpc.status_code"], "OK");
  });

  it("takes a cancelled call for one that ran out of time only when its time was over", () => {
    const times: readonly (readonly [number, string])[] = [
      [20e6, "CANCELLED"],
      [101e6, "DEADLINE_EXCEEDED"],
    ];
    for (const [elapsedNs, expected] of times) {
      const talk = new Conversation(HTTP2).sent(PREFACE_TEXT + settings()).received(settings());
      talk.sent(headers(1, fields({ ...grpcRequest("a.B/C"), "grpc-timeout": "100m" })));
      talk.timeNs += elapsedNs;
      talk.sent(reset(1, 8));
      assert.equal(talk.observed.ended[0]?.attributes["rpc.status_code"], expected);
      assert.equal(talk.observed.ended[0]?.error, "");
    }
  });

  it("maps errors of HTTP/2 and of HTTP as gRPC's documents say", () => {
    const resets: readonly (readonly [number, string])[] = [
      [7, "UNAVAILABLE"],
      [11, "RESOURCE_EXHAUSTED"],
      [12, "PERMISSION_DENIED"],
      [2, "INTERNAL"],
    ];
    for (const [code, expected] of resets) {
      const talk = new Conversation(HTTP2).sent(PREFACE_TEXT + settings()).received(settings());
      talk.sent(headers(1, fields(grpcRequest("a.B/C")))).received(reset(1, code));
      assert.equal(talk.observed.ended[0]?.attributes["rpc.status_code"], expected);
    }
    const talk = new Conversation(HTTP2).sent(PREFACE_TEXT + settings()).received(settings());
    talk.sent(headers(1, fields(grpcRequest("a.B/C")), 1));
    talk.received(headers(1, fields({ ":status": "503" }), 1));
    assert.equal(talk.observed.ended[0]?.attributes["rpc.status_code"], "UNAVAILABLE");
    talk.sent(headers(3, fields(grpcRequest("a.B/C")), 1)).close(104);
    assert.equal(talk.observed.ended[1]?.attributes["rpc.status_code"], "UNAVAILABLE");
    assert.equal(talk.observed.ended[1]?.attributes["error.type"], "ECONNRESET");
  });

  it("learns methods that the server does not have up to half of what is kept", () => {
    const options = { ...TEST_OPTIONS, routesMax: 4 };
    const ask = (method: string, status: number): SeenExchange | undefined => {
      const talk = new Conversation(HTTP2, options)
        .received(PREFACE_TEXT + settings())
        .sent(settings());
      talk.received(headers(1, fields(grpcRequest(method)), 1));
      talk.sent(headers(1, HEAD + trailers(status), 1));
      return talk.observed.ended[0];
    };
    assert.equal(ask("a.B/One", 12)?.name, "a.B/One");
    assert.equal(ask("a.B/Two", 12)?.name, "a.B/Two");
    const third = ask("a.B/Three", 12);
    assert.equal(third?.name, "grpc");
    assert.equal(third?.attributes["rpc.method"], "_OTHER");
    assert.equal(third?.attributes["rpc.method_original"], "a.B/Three");
    assert.equal(ask("a.B/Four", 0)?.name, "a.B/Four");
  });

  it("knows Triple by its media type and by Dubbo's fields", () => {
    const triple = {
      ...grpcRequest("org.Greeter/greet"),
      "content-type": "application/triple+wrapper",
    };
    assert.equal(play("client", { request: triple }).attributes["rpc.system.name"], "dubbo");
    const named = { ...grpcRequest("org.Greeter/greet"), "tri-service-version": "1.0.0" };
    const seen = play("server", { request: named });
    assert.equal(seen.attributes["rpc.system.name"], "dubbo");
    assert.equal(seen.name, "org.Greeter/greet");
  });

  it("knows Connect, and takes its errors from HTTP's status", () => {
    const talk = new Conversation(HTTP2).received(PREFACE_TEXT + settings()).sent(settings());
    const request = { ...grpcRequest("a.B/C"), "content-type": "application/json" };
    talk.received(headers(1, fields({ ...request, "connect-protocol-version": "1" })));
    talk.received(data(1, "{}", 1)).sent(headers(1, fields({ ":status": "503" }), 1));
    const [seen] = talk.observed.ended;
    assert.equal(seen?.name, "a.B/C");
    assert.equal(seen?.attributes["rpc.system.name"], "connectrpc");
    assert.equal(seen?.attributes["error.type"], "503");
  });

  it("reads the status of gRPC-Web in the body", () => {
    const request = { ...grpcRequest("a.B/C"), "content-type": "application/grpc-web+proto" };
    const talk = new Conversation(HTTP2).received(PREFACE_TEXT + settings()).sent(settings());
    talk.received(headers(1, fields(request)) + data(1, message("ask"), 1));
    const block = "grpc-status: 5\r\ngrpc-message: no\r\n";
    const end = `\x80${uint32(block.length)}${block}`;
    talk.sent(headers(1, fields({ ":status": "200" })) + data(1, message("r") + end, 1));
    const [seen] = talk.observed.ended;
    assert.equal(seen?.attributes["rpc.status_code"], "NOT_FOUND");
    assert.equal(seen?.attributes["rpc.response.message_count"], 1);
  });

  it("knows gRPC by its trailers where the request's fields are in an older table", () => {
    const talk = new Conversation(HTTP2).lost(RECEIVED, 999).lost(SENT, 999);
    const block = byIndex(3) + byIndex(6) + byIndex(65) + byIndex(64);
    talk.received(headers(77, block) + data(77, message("a"), END_STREAM_FLAG));
    talk.sent(headers(77, byIndex(8) + byIndex(66)) + data(77, message("b")));
    talk.sent(headers(77, indexedField("grpc-status", "0"), END_STREAM_FLAG));
    const [seen] = talk.observed.ended;
    assert.equal(seen?.name, "grpc");
    assert.equal(seen?.attributes["rpc.method"], undefined);
    assert.equal(seen?.attributes["rpc.status_code"], "OK");
    assert.equal(seen?.attributes["rpc.response.message_count"], 1);
  });

  it("gives metadata under RPC's names", () => {
    const options = { ...TEST_OPTIONS, requestHeaders: ["x-tenant"] };
    const talk = new Conversation(HTTP2, options)
      .received(PREFACE_TEXT + settings())
      .sent(settings());
    talk.received(headers(1, fields({ ...grpcRequest("a.B/C"), "x-tenant": "blue" }), 1));
    talk.sent(headers(1, HEAD + trailers(0), 1));
    assert.deepEqual(talk.observed.ended[0]?.attributes["rpc.request.header.x-tenant"], ["blue"]);
  });

  it("ends calls that GOAWAY leaves unprocessed as unavailable", () => {
    const talk = new Conversation(HTTP2).sent(PREFACE_TEXT + settings()).received(settings());
    talk.sent(headers(1, fields(grpcRequest("a.B/C"))));
    talk.received(frame(TYPES.goAway, 0, 0, uint32(0) + uint32(0)));
    assert.equal(talk.observed.ended[0]?.attributes["rpc.status_code"], "UNAVAILABLE");
  });
});
