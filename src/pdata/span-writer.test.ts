// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { attributeKey, SharedBlock, type SpanSink } from "../model/attribute.ts";
import { toOtlpJson } from "./json-encode.ts";
import { ProtoWriter, varintBytes } from "./proto-writer.ts";
import { SpanWriter } from "./span-writer.ts";

/** What a second implementation reads of the spans that `write` writes. */
function written(write: (span: SpanWriter) => void): unknown {
  const out = new ProtoWriter(8);
  const span = new SpanWriter(out);
  span.begin();
  write(span);
  span.end();
  const result = toOtlpJson("ScopeSpans", out.take());
  assert.ok(result.ok, JSON.stringify(result));
  return JSON.parse(result.json);
}

function attributeOf(write: (span: SpanWriter) => void): unknown {
  const json = JSON.stringify(written(write));
  return JSON.parse(json).spans[0].attributes[0].value;
}

const KEY = attributeKey("some.key");

describe("SpanWriter", () => {
  it("writes attributes of every kind", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 300 });
    fc.assert(
      fc.property(text, (value) => {
        const expected = { stringValue: Buffer.from(value).toString() };
        assert.deepEqual(
          attributeOf((span) => span.string(KEY, value)),
          expected,
        );
        const bytes = Buffer.from(value);
        const padded = Buffer.concat([Buffer.from("<<"), bytes, Buffer.from(">>")]);
        const write = (span: SpanWriter): void => span.bytes(KEY, padded, 2, 2 + bytes.length);
        assert.deepEqual(attributeOf(write), expected);
      }),
    );
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        assert.deepEqual(
          attributeOf((span) => span.int(KEY, value)),
          { intValue: String(value) },
        );
      }),
    );
    assert.deepEqual(
      attributeOf((span) => span.double(KEY, 0.1)),
      { doubleValue: 0.1 },
    );
    assert.deepEqual(
      attributeOf((span) => span.bool(KEY, true)),
      { boolValue: true },
    );
    assert.deepEqual(
      attributeOf((span) => span.stringArray(KEY, ["a", "é"])),
      {
        arrayValue: { values: [{ stringValue: "a" }, { stringValue: "é" }] },
      },
    );
  });

  it("writes keys and values of every length", () => {
    for (const keyLength of [1, 50, 109, 110, 111, 127, 128, 300]) {
      for (const length of [0, 1, 50, 100, 127, 128, 16_383, 16_384, 100_000]) {
        const key = attributeKey("k".repeat(keyLength));
        const value = "v".repeat(length);
        assert.deepEqual(
          written((span) => span.string(key, value)),
          {
            spans: [{ attributes: [{ key: key.name, value: { stringValue: value } }] }],
          },
        );
        const number = written((span) => span.int(key, length));
        assert.deepEqual(number, {
          spans: [{ attributes: [{ key: key.name, value: { intValue: String(length) } }] }],
        });
      }
    }
  });

  it("replaces bytes that are not UTF-8", () => {
    const bytes = Uint8Array.of(0x61, 0xff, 0xc3, 0x62);
    assert.deepEqual(
      attributeOf((span) => span.bytes(KEY, bytes, 0, 4)),
      {
        stringValue: "a\ufffd\ufffdb",
      },
    );
  });

  it("writes names and errors", () => {
    const span = written((sink) => {
      sink.name("GET /é");
      sink.error("why");
    });
    assert.deepEqual(span, { spans: [{ name: "GET /é", status: { message: "why", code: 2 } }] });
    assert.deepEqual(
      written((sink) => sink.error("")),
      { spans: [{ status: { code: 2 } }] },
    );
  });

  it("describes a shared block once, and knows what is in it", () => {
    let described = 0;
    const block = new SharedBlock<SpanSink>((sink) => {
      described++;
      sink.name("shared");
      sink.string(attributeKey("server.address"), "x");
    });
    const once = written((span) => {
      assert.equal(span.hasServerAddress, false);
      span.block(block);
      assert.equal(span.hasServerAddress, true);
    });
    assert.deepEqual(
      written((span) => span.block(block)),
      once,
    );
    assert.equal(described, 1);
    written((span) => assert.equal(span.hasServerAddress, false));
  });
});

describe("ProtoWriter", () => {
  it("writes varints as protobuf does", () => {
    const check = (value: number): void => {
      const out = new ProtoWriter(16);
      out.varint(value);
      let read = 0n;
      out.take().forEach((byte, index) => {
        read |= BigInt(byte & 0x7f) << BigInt(7 * index);
      });
      assert.equal(read, BigInt(value));
      assert.equal(out.length, varintBytes(value));
    };
    fc.assert(fc.property(fc.maxSafeNat(), check));
    for (const value of [0, 127, 128, 16383, 16384, 2 ** 31 - 1, 2 ** 31, 2 ** 32]) check(value);
  });
});
