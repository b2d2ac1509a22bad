// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  FIELD_AUTHORITY,
  FIELD_METHOD,
  FIELD_PATH,
  FIELD_SCHEME,
  FIELD_STATUS,
  FIELD_UNKNOWN,
  FieldNames,
} from "../http/fields.ts";
import { HpackDecoder, HpackShared } from "./hpack.ts";

const WANTED = ["custom-key", "cache-control", "location", "set-cookie", "password", "date"];
const shared = new HpackShared(new FieldNames(WANTED, []));

const NAMES: ReadonlyMap<number, string> = new Map([
  [FIELD_METHOD, ":method"],
  [FIELD_PATH, ":path"],
  [FIELD_SCHEME, ":scheme"],
  [FIELD_AUTHORITY, ":authority"],
  [FIELD_STATUS, ":status"],
  [FIELD_UNKNOWN, "?"],
]);

class Block {
  readonly decoder = new HpackDecoder(shared);

  constructor(complete = true) {
    this.decoder.table.complete = complete;
  }

  /** The fields as `name: value`, then `!` if the block is malformed. */
  decode(hex: string, cut = false): string[] {
    const bytes = Buffer.from(`ee${hex.replaceAll(" ", "")}ee`, "hex");
    const fields: string[] = [];
    const field = (code: number, from: Uint8Array, start: number, end: number): void => {
      const index = shared.names.wanted(code)?.requestIndex ?? -1;
      const name = WANTED[index] ?? NAMES.get(code) ?? String(code);
      const value = Buffer.from(from.subarray(start, end)).toString("latin1");
      fields.push(name === "?" ? name : `${name}: ${value}`);
    };
    if (!this.decoder.decode(bytes, 1, bytes.length - 1, cut, { field })) fields.push("!");
    return fields;
  }
}

const REQUESTS = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [
    ...[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    "cache-control: no-cache",
  ],
  [
    ...[":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com"],
    "custom-key: custom-value",
  ],
];

const DATE = "Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_2 = "Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION = "location: https://www.example.com";
const RESPONSES = [
  [":status: 302", "cache-control: private", `date: ${DATE}`, LOCATION],
  [":status: 307", "cache-control: private", `date: ${DATE}`, LOCATION],
  [
    ...[":status: 200", "cache-control: private", `date: ${DATE_2}`, LOCATION],
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ],
];

// Bytes and expected fields: RFC 7541 appendix C.
describe("HPACK, the examples of RFC 7541", () => {
  it("C.2: one field in each representation", () => {
    assert.deepEqual(
      new Block().decode("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"),
      ["custom-key: custom-header"],
    );
    assert.deepEqual(new Block().decode("040c 2f73 616d 706c 652f 7061 7468"), [
      ":path: /sample/path",
    ]);
    assert.deepEqual(new Block().decode("1008 7061 7373 776f 7264 0673 6563 7265 74"), [
      "password: secret",
    ]);
    assert.deepEqual(new Block().decode("82"), [":method: GET"]);
  });

  it("C.3: requests without Huffman coding", () => {
    const block = new Block();
    const blocks = [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    assert.deepEqual(
      blocks.map((hex) => block.decode(hex)),
      REQUESTS,
    );
  });

  it("C.4: requests with Huffman coding", () => {
    const block = new Block();
    const blocks = [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    assert.deepEqual(
      blocks.map((hex) => block.decode(hex)),
      REQUESTS,
    );
  });

  // C.5 and C.6 are with a table of 256 bytes, which SETTINGS and not the blocks say: 3fe1 01 says it.
  it("C.5: responses without Huffman coding, with evictions", () => {
    const block = new Block();
    const blocks = [
      "3fe1 01 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    assert.deepEqual(
      blocks.map((hex) => block.decode(hex)),
      RESPONSES,
    );
    assert.ok(block.decoder.table.count <= 4);
  });

  it("C.6: responses with Huffman coding, with evictions", () => {
    const block = new Block();
    const blocks = [
      "3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    assert.deepEqual(
      blocks.map((hex) => block.decode(hex)),
      RESPONSES,
    );
  });
});

describe("HPACK, a table that is older than the agent", () => {
  it("reads static and literal fields, and says of the others that they are unknown", () => {
    const block = new Block(false);
    assert.deepEqual(block.decode("8286 84be 5886 a8eb 1064 9cbf"), [
      ...[":method: GET", ":scheme: http", ":path: /", "?"],
      "cache-control: no-cache",
    ]);
  });

  it("knows what was inserted since, counted from the newest", () => {
    const block = new Block(false);
    block.decode("5886 a8eb 1064 9cbf");
    block.decode("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    assert.deepEqual(block.decode("bebf c0"), [
      ...["custom-key: custom-value", "cache-control: no-cache", "?"],
    ]);
  });

  it("knows no value of an entry whose name is older", () => {
    const block = new Block(false);
    assert.deepEqual(block.decode("7e05 7661 6c75 65"), ["?"]);
    assert.deepEqual(block.decode("be"), ["?"]);
  });

  it("forgets everything where a block is cut", () => {
    const block = new Block();
    block.decode("5886 a8eb 1064 9cbf");
    assert.deepEqual(block.decode("82be 40", true), [
      ":method: GET",
      "cache-control: no-cache",
      "!",
    ]);
    assert.deepEqual(block.decode("be"), ["?"]);
  });
});

describe("HPACK, malformed blocks", () => {
  const faults: readonly (readonly [string, string])[] = [
    ["index 0", "80"],
    ["an index that the complete table does not have", "be"],
    ["an integer that never ends", "ff ff ff ff ff ff ff ff ff ff ff ff"],
    ["an integer that is cut", "ff"],
    ["a string that is cut", "0405 61"],
    ["a string without a length", "04"],
    ["the symbol EOS", "0484 ffff ffff"],
    ["padding of more than seven bits", "0482 1fff"],
    ["padding with zeros", "0481 18"],
  ];
  for (const [what, hex] of faults) {
    it(`refuses ${what}`, () => {
      assert.equal(new Block().decode(hex).at(-1), "!");
    });
  }

  it("keeps a bounded table whatever is inserted", () => {
    const block = new Block();
    for (let round = 0; round < 10_000; round++) block.decode("5886 a8eb 1064 9cbf");
    // RFC 7541 section 4.1: 13 + 8 + 32 bytes an entry, 4096 in all.
    assert.equal(block.decoder.table.count, Math.floor(4096 / 53));
    assert.ok(block.decoder.table.bytes.length <= 4096);
    assert.deepEqual(block.decode("be"), ["cache-control: no-cache"]);
  });
});
