// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callLine, u8, u16, u32 } from "../calls-testing.ts";
import { Conversation } from "../testing.ts";
import { SOFARPC } from "./protocol.ts";

/** Bolt, https://github.com/sofastack/sofa-bolt: RpcProtocol and RpcProtocolV2. */
const REQUEST_CLASS = "com.alipay.sofa.rpc.core.request.SofaRequest";
const RESPONSE_CLASS = "com.alipay.sofa.rpc.core.response.SofaResponse";

interface Command {
  readonly version: 1 | 2;
  readonly type: 0 | 1 | 2;
  readonly id: number;
  readonly code?: number;
  readonly status?: number;
  readonly header?: Readonly<Record<string, string>>;
  readonly content?: string;
  readonly checksum?: boolean;
}

function command(fields: Command): string {
  const { version, type, id, status = 0, content = "hessian" } = fields;
  const { code = type === 0 ? 2 : 1, checksum = false } = fields;
  const className = code === 0 ? "" : type === 0 ? RESPONSE_CLASS : REQUEST_CLASS;
  const header = Object.entries(fields.header ?? {})
    .map(([name, value]) => u32(name.length) + name + u32(value.length) + value)
    .join("");
  const body = code === 0 ? "" : content;
  return [
    version === 1 ? u8(1) : u8(2) + u8(1),
    u8(type) + u16(code) + u8(1) + u32(id) + u8(1),
    version === 1 ? "" : u8(checksum ? 1 : 0),
    type === 0 ? u16(status) : u32(3000),
    u16(className.length) + u16(header.length) + u32(body.length),
    className + header + body + (version === 2 && checksum ? "\x11\x22\x33\x44" : ""),
  ].join("");
}

const HEADER = {
  sofa_head_target_service: "com.example.OrderService:1.0",
  sofa_head_method_name: "find",
  sofa_head_target_app: "orders",
};
const METHOD = "com.example.OrderService:1.0/find";
const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);

describe("SOFARPC", () => {
  for (const version of [1, 2] as const) {
    it(`pairs calls of Bolt ${version} by their number`, () => {
      const talk = new Conversation(SOFARPC);
      const checksum = version === 2;
      talk.sent(command({ version, type: 1, id: 1, header: HEADER, checksum }));
      talk.sent(command({ version, type: 1, id: 2, header: HEADER, checksum }));
      talk.received(command({ version, type: 0, id: 2, status: 7, checksum }));
      talk.received(command({ version, type: 0, id: 1, checksum }));
      assert.deepEqual(lines(talk), [
        `${METHOD} error.type=TIMEOUT rpc.method=${METHOD} rpc.status_code=TIMEOUT rpc.system.name=sofarpc`,
        `${METHOD} rpc.method=${METHOD} rpc.status_code=SUCCESS rpc.system.name=sofarpc`,
      ]);
      assert.deepEqual(talk.observed.losses, []);
    });
  }

  it("ends a one-way call at once, and makes nothing of heartbeats", () => {
    const talk = new Conversation(SOFARPC);
    talk.sent(command({ version: 1, type: 2, id: 1, header: HEADER }));
    talk.sent(command({ version: 1, type: 1, id: 2, code: 0 }));
    talk.received(command({ version: 1, type: 0, id: 2, code: 0 })).close();
    assert.deepEqual(talk.names, [METHOD]);
    assert.equal(talk.observed.ended[0]?.error, undefined);
  });

  it("sees that the service failed although the call did not", () => {
    const talk = new Conversation(SOFARPC);
    talk.received(
      command({ version: 1, type: 1, id: 4, header: HEADER, content: "x".repeat(9999) }),
      400,
    );
    talk.sent(
      command({ version: 1, type: 0, id: 4, header: { sofa_head_response_error: "true" } }),
    );
    assert.equal(talk.observed.ended[0]?.attributes["error.type"], "exception");
  });

  it("is recognised by its class, and other bytes are not", () => {
    const detect = (bytes: string): string =>
      SOFARPC.detect(Buffer.from(bytes, "latin1"), 0, bytes.length);
    assert.equal(detect(command({ version: 1, type: 1, id: 1 })), "yes");
    assert.equal(detect(command({ version: 2, type: 0, id: 1 })), "yes");
    assert.equal(detect(command({ version: 1, type: 1, id: 1, code: 0 })), "weak");
    assert.equal(detect("\x01\x01\0"), "more");
    assert.equal(detect("\0\0\0\x20\0\x12\0\x03aaaabbbb"), "no");
  });
});
