// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callLine, u8, u32 } from "../calls-testing.ts";
import { Conversation } from "../testing.ts";
import { BRPC } from "./protocol.ts";

/** baidu_std, https://brpc.apache.org/docs/rpc-in-depth/baidu_std/; meta data by hand. */
function varint(value: bigint): string {
  return value < 128n ? u8(Number(value)) : u8(Number(value & 127n) | 128) + varint(value >> 7n);
}
const number = (field: number, value: number | bigint): string =>
  varint(BigInt(field * 8)) + varint(BigInt(value));
const part = (field: number, text: string): string =>
  varint(BigInt(field * 8 + 2)) + varint(BigInt(text.length)) + text;
const frame = (meta: string, body = "payload"): string =>
  `PRPC${u32(meta.length + body.length)}${u32(meta.length)}${meta}${body}`;

function request(id: number | bigint, method: string, body?: string): string {
  const asked = part(1, "example.EchoService") + part(2, method) + number(3, 17);
  return frame(part(1, asked) + number(3, 1) + number(4, id), body);
}

function response(id: number | bigint, code: number): string {
  const answer = code === 0 ? "" : number(1, code) + part(2, "went wrong");
  return frame(part(2, answer) + number(4, id) + number(5, 3));
}

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);

describe("bRPC", () => {
  it("pairs calls by their correlation id, with the error by its name", () => {
    const talk = new Conversation(BRPC);
    talk.sent(request(1, "Echo")).sent(request(2n ** 40n + 5n, "Lost"));
    talk.received(response(2n ** 40n + 5n, 1002)).received(response(1, 0));
    assert.deepEqual(lines(talk), [
      "example.EchoService/Lost error.type=ENOMETHOD rpc.method=example.EchoService/Lost rpc.status_code=1002 rpc.system.name=brpc",
      "example.EchoService/Echo rpc.method=example.EchoService/Echo rpc.status_code=0 rpc.system.name=brpc",
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("tells ids apart that no double can hold", () => {
    const talk = new Conversation(BRPC);
    talk.sent(request(2n ** 62n, "A")).sent(request(2n ** 62n + 1n, "B"));
    talk.received(response(2n ** 62n + 1n, 0)).received(response(2n ** 62n, 0));
    assert.deepEqual(talk.names, ["example.EchoService/B", "example.EchoService/A"]);
  });

  it("passes what was not captured, and the frames of streams", () => {
    const talk = new Conversation(BRPC).received(request(7, "Put", "x".repeat(30_000)), 200);
    talk
      .received(`STRM${u32(5)}${u32(2)}ababc`)
      .sent(response(7, 0))
      .close();
    assert.deepEqual(talk.names, ["example.EchoService/Put"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("is recognised by its magic and lengths that fit", () => {
    const detect = (bytes: string): string =>
      BRPC.detect(Buffer.from(bytes, "latin1"), 0, bytes.length);
    assert.equal(detect(request(1, "Echo")), "yes");
    assert.equal(detect("PRPC\0\0\0\x05\0\0\0\x06aaaaaa"), "no");
    assert.equal(detect("PRI * HTTP/2.0"), "no");
    assert.equal(detect("PRPC\0"), "more");
  });
});
