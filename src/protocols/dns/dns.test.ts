// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Protocol } from "../../model/protocol.ts";
import { NameTable } from "../byte-cursor.ts";
import { callLine, fromHex, u8, u16, u32 } from "../calls-testing.ts";
import { Conversation } from "../testing.ts";
import { DnsMessage, ipv6 } from "./message.ts";
import { DNS } from "./protocol.ts";

/** DNS in datagrams, as a protocol of its own. */
function datagrams(): Protocol {
  assert.ok(DNS.datagrams);
  return { name: "dns", ...DNS.datagrams };
}
const UDP = datagrams();

function name(text: string): string {
  return `${text
    .split(".")
    .filter((label) => label !== "")
    .map((label) => u8(label.length) + label)
    .join("")}\0`;
}

const RECURSE = 0x0100;
const ANSWER = 0x8180;

interface Message {
  readonly id: number;
  readonly flags?: number;
  readonly name: string;
  readonly type?: number;
  readonly answers?: readonly string[];
  readonly extra?: readonly string[];
}

function message({ id, flags = RECURSE, name: asked, type = 1, ...rest }: Message): string {
  const { answers = [], extra = [] } = rest;
  const counts = u16(1) + u16(answers.length) + u16(0) + u16(extra.length);
  const question = name(asked) + u16(type) + u16(1);
  return u16(id) + u16(flags) + counts + question + answers.join("") + extra.join("");
}

/** Its name is a pointer to the question's. */
function record(type: number, data: string, ttl = 60, owner = "\xc0\x0c"): string {
  return owner + u16(type) + u16(1) + u32(ttl) + u16(data.length) + data;
}

/** RFC 6891: version 0, with the upper bits of the response code. */
function opt(upperCode = 0): string {
  return `\0${u16(41)}${u16(1232)}${u8(upperCode)}\0\0\0${u16(0)}`;
}

const stream = (text: string): string => u16(text.length) + text;
const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);

describe("DNS", () => {
  it("pairs a question with the answer of its id, with the addresses that it has", () => {
    const talk = new Conversation(UDP);
    talk.sent(message({ id: 7, name: "Shop.Example", extra: [opt()] }));
    talk.sent(message({ id: 8, name: "shop.example", type: 28 }));
    const v6 = fromHex("20010db8000000000000000000000001");
    talk.received(
      message({ id: 8, flags: ANSWER, name: "shop.example", type: 28, answers: [record(28, v6)] }),
    );
    const answers = [
      record(5, name("www.example")),
      record(1, "\x0a\0\0\x01", 1, name("www.example")),
    ];
    talk.received(message({ id: 7, flags: ANSWER, name: "shop.EXAMPLE", answers }));
    assert.deepEqual(lines(talk), [
      "dns query AAAA dns.answer_count=1 dns.answers=2001:db8::1 dns.question.name=shop.example dns.question.type=AAAA",
      "dns query A dns.answer_count=2 dns.answers=10.0.0.1 dns.question.name=shop.example dns.question.type=A",
    ]);
    assert.deepEqual(talk.observed.losses, []);
    const [first] = talk.observed.ended;
    assert.deepEqual(first?.metric, {
      instrument: "dns.lookup.duration",
      "dns.question.name": "shop.example",
    });
  });

  it("says what went wrong, with the upper bits of EDNS", () => {
    const talk = new Conversation(UDP);
    talk
      .received(message({ id: 1, name: "none.example" }))
      .sent(message({ id: 1, flags: ANSWER | 3, name: "none.example" }));
    talk
      .received(message({ id: 2, name: "a.example" }))
      .sent(message({ id: 2, flags: ANSWER | 2, name: "a.example" }));
    talk.received(message({ id: 3, name: "b.example" }));
    talk.sent(message({ id: 3, flags: ANSWER, name: "b.example", extra: [opt(1)] }));
    assert.deepEqual(
      talk.observed.ended.map(({ attributes, error }) => [attributes["error.type"], error]),
      [
        ["NXDOMAIN", undefined],
        ["SERVFAIL", ""],
        ["BADVERS", ""],
      ],
    );
  });

  it("counts a question that is sent again as the same, and one without an answer times out", () => {
    const talk = new Conversation(UDP);
    talk
      .sent(message({ id: 9, name: "slow.example" }))
      .sent(message({ id: 9, name: "slow.example" }));
    talk.received(message({ id: 9, flags: ANSWER, name: "slow.example" }));
    talk.sent(message({ id: 10, name: "dead.example", type: 15 })).close();
    assert.deepEqual(lines(talk), [
      "dns query A dns.answer_count=0 dns.question.name=slow.example dns.question.type=A dns.request.resend_count=1",
      "dns query MX dns.question.name=dead.example dns.question.type=MX error.type=timeout",
    ]);
    assert.equal(talk.observed.ended[0]?.timesNs[0], 1000);
  });

  it("does not believe an answer to another question", () => {
    const talk = new Conversation(UDP).sent(message({ id: 4, name: "bank.example" }));
    talk.received(
      message({
        id: 4,
        flags: ANSWER,
        name: "evil.example",
        answers: [record(1, "\x06\x06\x06\x06")],
      }),
    );
    talk.received(
      message({ id: 4, flags: ANSWER, name: "bank.example", answers: [record(1, "\x0a\0\0\x02")] }),
    );
    assert.deepEqual(talk.observed.losses, ["response_without_request"]);
    assert.deepEqual(
      talk.observed.ended.map(({ attributes }) => attributes["dns.answers"]),
      [["10.0.0.2"]],
    );
  });

  it("takes a multicast question for a message that everybody may answer", () => {
    const talk = new Conversation(UDP).sent(
      message({ id: 0, flags: 0, name: "_http._tcp.local", type: 12 }),
    );
    talk.received(
      `${u16(0)}${u16(0x8400)}\0\0\0\x01\0\0\0\0${record(12, name("x.local"), 9, name("_http._tcp.local"))}`,
    );
    assert.deepEqual(lines(talk), [
      "dns query PTR dns.question.name=_http._tcp.local dns.question.type=PTR",
    ]);
    assert.equal(talk.observed.ended[0]?.error, undefined);
  });

  it("follows messages on a stream, several at once, and a zone's transfer to its end", () => {
    const talk = new Conversation(DNS);
    const soa = record(6, `${name("ns.example")}${name("me.example")}${u32(1).repeat(5)}`);
    talk.sent(stream(message({ id: 1, flags: 0, name: "example", type: 252 })));
    talk.sent(stream(message({ id: 2, name: "a.example" })));
    talk.received(
      stream(
        message({
          id: 1,
          flags: 0x8400,
          name: "example",
          type: 252,
          answers: [soa, record(1, "\x01\x02\x03\x04")],
        }),
      ),
    );
    talk.received(stream(message({ id: 2, flags: ANSWER, name: "a.example" })));
    talk.received(
      stream(
        message({
          id: 1,
          flags: 0x8400,
          name: "example",
          type: 252,
          answers: [record(1, "\x01\x02\x03\x05"), soa],
        }),
      ),
    );
    talk.close();
    assert.deepEqual(lines(talk), [
      "dns query A dns.answer_count=0 dns.question.name=a.example dns.question.type=A",
      "dns query AXFR dns.answer_count=4 dns.answers=1.2.3.5 dns.question.name=example dns.question.type=AXFR",
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("names updates and notifications by their operation", () => {
    const talk = new Conversation(UDP).sent(
      message({ id: 5, flags: 0x2800, name: "example", type: 6 }),
    );
    talk.received(message({ id: 5, flags: 0xa800 | 5, name: "example", type: 6 }));
    assert.deepEqual(lines(talk), [
      "dns update SOA dns.answer_count=0 dns.opcode=update dns.question.name=example dns.question.type=SOA error.type=REFUSED",
    ]);
  });
});

describe("DNS messages", () => {
  const read = (text: string): DnsMessage | undefined => {
    const bytes = Buffer.from(text, "latin1");
    const found = new DnsMessage(new NameTable());
    return found.read(bytes, 0, bytes.length) ? found : undefined;
  };
  const head = `${u16(1)}${u16(RECURSE)}\0\x01\0\0\0\0\0\0`;

  it("follow a pointer back, and none that leads forward or in a circle", () => {
    const two = `${u16(1)}${u16(RECURSE)}\0\x02\0\0\0\0\0\0`;
    assert.equal(
      read(`${two}${name("a.example")}\0\x01\0\x01\x01b\xc0\x0e\0\x01\0\x01`)?.name,
      "a.example",
    );
    assert.equal(read(`${head}\xc0\x0c\0\x01\0\x01`), undefined);
    assert.equal(read(`${head}\xc0\x0e\0\x01\0\x01`), undefined);
    assert.equal(read(`${head}\xff\xff\0\x01\0\x01`), undefined);
    assert.equal(read(`${head}\x01a\xc0\x0c\0\x01\0\x01`), undefined);
  });

  it("have names of up to 255 bytes", () => {
    const label = `\x3f${"a".repeat(63)}`;
    assert.equal(read(`${head}${label.repeat(4)}\0\0\x01\0\x01`), undefined);
    assert.equal(read(`${head}${label.repeat(3)}\0\0\x01\0\x01`)?.name.length, 191);
  });

  it("have IPv6 addresses as RFC 5952 writes them", () => {
    const text = (hex: string): string => ipv6(Buffer.from(hex, "hex"), 0);
    assert.equal(text("20010db8000000000001000000000001"), "2001:db8::1:0:0:1");
    assert.equal(text("00000000000000000000000000000001"), "::1");
    assert.equal(text("00000000000000000000ffffc0000280"), "::ffff:192.0.2.128");
    assert.equal(text("20010db8000100010001000100010001"), "2001:db8:1:1:1:1:1:1");
    assert.equal(text("20010db8000000010001000100010001"), "2001:db8:0:1:1:1:1:1");
  });

  it("are recognised, and other bytes are not", () => {
    const detect = (protocol: Protocol, text: string): string =>
      protocol.detect(Buffer.from(text, "latin1"), 0, text.length);
    const question = message({ id: 1, name: "shop.example" });
    assert.equal(detect(UDP, question), "yes");
    assert.equal(detect(DNS, stream(question)), "yes");
    assert.equal(detect(DNS, stream(question).slice(0, 20)), "more");
    assert.equal(detect(UDP, question.slice(0, 20)), "no");
    assert.equal(
      detect(
        UDP,
        message({ id: 1, flags: ANSWER, name: "x", answers: [record(1, "\x01\x01\x01\x01")] }),
      ),
      "yes",
    );
    assert.equal(detect(UDP, "GET / HTTP/1.1\r\nHost: example\r\n\r\n"), "no");
    assert.equal(detect(DNS, "GET / HTTP/1.1\r\nHost: example\r\n\r\n"), "no");
    assert.equal(detect(UDP, "\0".repeat(64)), "no");
  });

  it("never break the parser, whatever a datagram holds", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
      fc.constantFrom(
        message({ id: 1, name: "a.b" }),
        message({
          id: 1,
          flags: ANSWER,
          name: "a.b",
          answers: [record(1, "\x01\x01\x01\x01"), opt(1)],
        }),
        "\xc0\x0c",
        "\xff",
      ),
    );
    const datagram = fc.array(piece, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(""));
    const talks = fc.array(fc.tuple(fc.boolean(), datagram, fc.nat(80)), { maxLength: 12 });
    fc.assert(
      fc.property(talks, (script) => {
        const talk = new Conversation(UDP);
        for (const [isSent, text, captured] of script) {
          if (isSent) talk.sent(text, captured);
          else talk.received(text, captured);
        }
        talk.close();
        assert.equal(talk.observed.openCount, 0);
        assert.ok(talk.observed.parser.idle);
      }),
      { numRuns: 500 },
    );
  });
});
