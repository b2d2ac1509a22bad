// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CustomProtocol } from "../../model/custom-protocol.ts";
import { callLine, u8, u16, u32 } from "../calls-testing.ts";
import { createDetectingParser } from "../detection.ts";
import { Conversation } from "../testing.ts";
import { createCustomProtocol, withCustomProtocols } from "./protocol.ts";

/** `SH`, length of what follows, kind, status, id, method and body. */
const SHOP: CustomProtocol = {
  name: "shop_wire",
  ports: [7000],
  magic: "5348",
  byte_order: "big",
  length: { offset: 2, bytes: 2, adds: 4 },
  kind: { offset: 4, bytes: 1, mask: 0x0f, request: [1], response: [2], one_way: [3] },
  status: { offset: 5, bytes: 1, success: [0], names: { 4: "SOLD_OUT" } },
  id: { offset: 6, bytes: 4 },
  method: { offset: 10, bytes: 1, text: false, names: { 1: "buy", 2: "look" } },
};

function shop(kind: number, status: number, id: number, method = 0, body = "hello"): string {
  const rest = u8(kind) + u8(status) + u32(id) + u8(method) + body;
  return `SH${u16(rest.length)}${rest}`;
}

/** A length in front, in the other order; responses come in the order of requests. */
const PLAIN: CustomProtocol = {
  name: "plain",
  ports: [],
  magic: "",
  byte_order: "little",
  length: { offset: 0, bytes: 4, adds: 0 },
  method: { offset: 4, bytes: 1, text: true, names: {} },
};

const little32 = (value: number): string => [...u32(value)].reverse().join("");
const plain = (method: string, body = ""): string =>
  little32(5 + method.length + body.length) + u8(method.length) + method + body;

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);

describe("a described protocol", () => {
  it("pairs requests and responses by their ids, and names methods and statuses", () => {
    const talk = new Conversation(createCustomProtocol(SHOP));
    talk
      .sent(shop(0x81, 0, 1, 1))
      .sent(shop(0x01, 0, 2, 9))
      .sent(shop(3, 0, 0, 2));
    talk
      .received(shop(9, 0, 0))
      .received(shop(2, 0, 2))
      .received(shop(2, 4, 1))
      .close();
    assert.deepEqual(lines(talk), [
      "look rpc.method=look rpc.system.name=shop_wire",
      "method_9 rpc.method=method_9 rpc.status_code=0 rpc.system.name=shop_wire",
      "buy error.type=SOLD_OUT rpc.method=buy rpc.status_code=SOLD_OUT rpc.system.name=shop_wire",
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("is followed in mid-stream and after a loss, where frames say what they are", () => {
    const talk = new Conversation(createCustomProtocol(SHOP)).lost(0, 100).lost(1, 100);
    talk.received(shop(1, 0, 5, 1) + shop(1, 0, 6, 1)).sent(shop(2, 0, 6) + shop(2, 0, 5));
    // Whether an older response was lost cannot be known: those are not believed.
    talk.received(shop(1, 0, 9, 1)).sent(shop(2, 0, 9));
    talk
      .received(shop(1, 0, 7, 1))
      .lost(1, 40)
      .sent("half a frame");
    talk
      .received(shop(1, 0, 7, 2) + shop(1, 0, 8, 2))
      .sent(shop(2, 0, 8) + shop(2, 0, 7))
      .close();
    assert.deepEqual(talk.names, ["buy", "look", "look"]);
  });

  it("does not take the lost end of a response for that of the next request of its id", () => {
    const talk = new Conversation(createCustomProtocol(SHOP)).received(shop(1, 0, 5, 1));
    talk.sent(shop(2, 4, 5).slice(0, -1)).lost(1, 1);
    talk
      .received(shop(1, 0, 5, 2))
      .sent(shop(2, 0, 5))
      .close();
    assert.deepEqual(
      talk.observed.ended.filter(({ attributes }) => "error.type" in attributes),
      [],
    );
  });

  it("takes responses in order without ids, and whoever speaks first asks", () => {
    const talk = new Conversation(createCustomProtocol(PLAIN));
    talk
      .received(plain("first") + plain("second"))
      .received(plain("third", "x".repeat(20_000)), 50);
    talk
      .sent(plain("ok"))
      .sent(plain("ok", "y".repeat(9000)), 10)
      .sent(plain("ok"))
      .close();
    assert.deepEqual(
      talk.observed.ended.map(({ role, name }) => `${role} ${name}`),
      ["server first", "server second", "server third"],
    );
  });

  it("pairs nothing after a loss where only the order would tell", () => {
    const talk = new Conversation(createCustomProtocol(PLAIN));
    talk.sent(plain("first")).received(plain("ok")).sent(plain("second"));
    talk
      .lost(1, 30)
      .lost(0, 20)
      .sent(plain("fourth") + plain("fifth"))
      .received(plain("ok"))
      .close();
    assert.deepEqual(talk.names, ["first"]);
    const older = new Conversation(createCustomProtocol(PLAIN)).lost(0, 50).lost(1, 50);
    older
      .received(plain("a") + plain("b"))
      .sent(plain("ok") + plain("ok"))
      .close();
    assert.deepEqual(older.names, []);
  });

  it("tells ids of eight bytes apart", () => {
    const wide = createCustomProtocol({ ...SHOP, id: { offset: 6, bytes: 8 } });
    const frame = (kind: number, id: string): string => `SH${u16(11)}${u8(kind)}\0${id}\x01`;
    const talk = new Conversation(wide).sent(frame(1, `${"\xff".repeat(7)}\x01`));
    talk.sent(frame(1, `${"\xff".repeat(7)}\x02`)).received(frame(2, `${"\xff".repeat(7)}\x01`));
    assert.equal(talk.observed.ended.length, 1);
    assert.equal(talk.observed.openCount, 1);
  });

  it("is found by its magic among all protocols, and by its port only without", () => {
    const found = (definition: CustomProtocol, frames: readonly string[]): string | undefined => {
      let name: string | undefined;
      const talk = new Conversation({
        name: "detected",
        detect: () => "no",
        createParser: (options, events) => {
          const endpoint = { localPort: 50_000, remotePort: 40_000, transport: "tcp" } as const;
          const protocols = withCustomProtocols([definition]);
          const parser = createDetectingParser(options, events, { ...endpoint, protocols });
          return {
            data: (record) => {
              parser.data(record);
              name = parser.protocol?.name;
            },
            close: () => undefined,
            get idle() {
              return parser.idle;
            },
          };
        },
      });
      frames.forEach((text, index) => {
        if (index % 2 === 0) talk.sent(text);
        else talk.received(text);
      });
      return name;
    };
    assert.equal(found(SHOP, [shop(1, 0, 1, 1), shop(2, 0, 1)]), "shop_wire");
    assert.equal(found(PLAIN, [plain("first"), plain("ok")]), undefined);
    assert.equal(found({ ...PLAIN, ports: [40_000] }, [plain("first"), plain("ok")]), "plain");
  });

  it("takes lengths that cannot be for no frame", () => {
    const protocol = createCustomProtocol({ ...SHOP, length: { offset: 2, bytes: 2, adds: -100 } });
    const text = shop(1, 0, 1);
    assert.equal(protocol.detect(Buffer.from(text, "latin1"), 0, text.length), "no");
    const talk = new Conversation(protocol).sent(text).sent(text).sent(text).sent(text).close();
    assert.deepEqual(talk.names, []);
    assert.deepEqual([...new Set(talk.observed.losses)], ["mid_stream"]);
  });
});
