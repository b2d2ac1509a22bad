// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callLine, u8, u16, u32 } from "../calls-testing.ts";
import { Conversation } from "../testing.ts";
import { DUBBO } from "./protocol.ts";

/** https://dubbo.apache.org: dubbo2 protocol; http://hessian.caucho.com: Hessian 2. */
function frame(flags: number, status: number, id: string, body: string): string {
  return `\xda\xbb${u8(flags)}${u8(status)}${id}${u32(body.length)}${body}`;
}

const REQUEST = 0xc2;
const ONE_WAY = 0x82;
const RESPONSE = 0x02;
const id = (value: number): string => u32(0) + u32(value);

function text(value: string): string {
  if (value.length < 32) return u8(value.length) + value;
  if (value.length < 1024) return u8(0x30 + (value.length >> 8)) + u8(value.length) + value;
  return `S${u16(value.length)}${value}`;
}

const SERVICE = "com.example.shop.OrderService";
function call(method: string, version = "1.2.0"): string {
  const values = ["2.0.2", SERVICE, version, method, "Ljava/lang/String;", "secret"];
  return `${values.map(text).join("")}H\x04pathZ`;
}

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);
const expected = (method: string, rest: string, error = ""): string =>
  `${SERVICE}/${method} dubbo.service.version=1.2.0 ${error}rpc.method=${SERVICE}/${method} ${rest}rpc.system.name=dubbo`;

describe("Dubbo 2", () => {
  it("pairs calls by their number, in any order, and says what the service threw", () => {
    const talk = new Conversation(DUBBO);
    talk.sent(frame(REQUEST, 0, id(1), call("find"))).sent(frame(REQUEST, 0, id(2), call("buy")));
    const thrown = `\x90C${text("com.example.shop.SoldOut")}\x91\x04what`;
    talk.received(frame(RESPONSE, 20, id(2), thrown));
    talk.received(frame(RESPONSE, 20, id(1), `\x94${text("found")}H\x05dubboZ`));
    assert.deepEqual(lines(talk), [
      expected("buy", "rpc.status_code=OK ", "error.type=com.example.shop.SoldOut "),
      expected("find", "rpc.status_code=OK "),
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("ends a one-way call at once, and makes nothing of heartbeats", () => {
    const talk = new Conversation(DUBBO).sent(frame(ONE_WAY, 0, id(5), call("log", "0.0.0")));
    talk
      .sent(frame(0xe2, 0, id(6), "N"))
      .received(frame(0x22, 20, id(6), "N"))
      .close();
    assert.deepEqual(lines(talk), [
      `${SERVICE}/log rpc.method=${SERVICE}/log rpc.system.name=dubbo`,
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("names the status of a call that the server could not make", () => {
    const talk = new Conversation(DUBBO).received(frame(REQUEST, 0, id(9), call("find")));
    talk.sent(frame(RESPONSE, 100, id(9), text("pool exhausted")));
    assert.deepEqual(lines(talk), [
      expected(
        "find",
        "rpc.status_code=SERVER_THREADPOOL_EXHAUSTED_ERROR ",
        "error.type=SERVER_THREADPOOL_EXHAUSTED_ERROR ",
      ),
    ]);
  });

  it("reads fastjson's lines, too", () => {
    const body = ["2.0.2", SERVICE, "1.2.0", "find", "Ljava/lang/String;", "x"]
      .map((value) => `${JSON.stringify(value)}\n`)
      .join("");
    const talk = new Conversation(DUBBO).sent(frame(0xc6, 0, id(1), body));
    talk.received(frame(0x06, 20, id(1), '0\n{"message":"no"}\n'));
    assert.deepEqual(lines(talk), [
      expected("find", "rpc.status_code=OK ", "error.type=exception "),
    ]);
  });

  it("tells numbers of 64 bits apart, and passes bodies that were not captured", () => {
    const large = call("find") + "x".repeat(20_000);
    const talk = new Conversation(DUBBO);
    talk.sent(frame(REQUEST, 0, "\x7f\xff\xff\xff\xff\xff\xff\xfe", large), 300);
    talk.sent(frame(REQUEST, 0, "\x7f\xff\xff\xff\xff\xff\xff\xff", call("buy")));
    talk.received(frame(RESPONSE, 20, "\x7f\xff\xff\xff\xff\xff\xff\xfe", "\x91"));
    talk.received(frame(RESPONSE, 20, "\x7f\xff\xff\xff\xff\xff\xff\xff", "\x92"));
    assert.deepEqual(talk.names, [`${SERVICE}/find`, `${SERVICE}/buy`]);
  });

  it("is recognised by its magic, and by a status that exists", () => {
    const detect = (bytes: string): string =>
      DUBBO.detect(Buffer.from(bytes, "latin1"), 0, bytes.length);
    assert.equal(detect(frame(REQUEST, 0, id(1), call("find"))), "yes");
    assert.equal(detect(frame(RESPONSE, 20, id(1), "\x92")), "yes");
    assert.equal(detect(frame(RESPONSE, 21, id(1), "\x92")), "no");
    assert.equal(detect("\xda\xbb\xc2"), "more");
    assert.equal(detect("\xda\xbc\xc2\0"), "no");
  });
});
