// SPDX-License-Identifier: Apache-2.0
import type { Protocol } from "../model/protocol.ts";
import { BRPC } from "./brpc/protocol.ts";
import { u8, u16, u32 } from "./calls-testing.ts";
import { createCustomProtocol } from "./custom/protocol.ts";
import { DNS } from "./dns/protocol.ts";
import { DUBBO } from "./dubbo/protocol.ts";
import { FASTCGI } from "./fastcgi/protocol.ts";
import { LDAP } from "./ldap/protocol.ts";
import { SOFARPC } from "./sofarpc/protocol.ts";
import { THRIFT } from "./thrift/protocol.ts";
import { ZOOKEEPER } from "./zookeeper/protocol.ts";

/** For correlated.properties.test.ts: how RPC protocols and DNS write numbered messages. */

type Attributes = Readonly<Record<string, unknown>>;

interface CallWriter {
  readonly protocol: Protocol;
  readonly opening: readonly [];
  readonly ids: number;
  readonly inOrder: boolean;
  request(id: number, number: number, padding: number): string;
  response(id: number, number: number, padding: number): string;
  requestNumber(attributes: Attributes): number;
  responseNumber(attributes: Attributes): number;
}

const SHARED = { opening: [], inOrder: false } as const;

function numberIn(pattern: RegExp, value: unknown): number {
  return Number(pattern.exec(String(value))?.[1] ?? -1);
}

/** The number in the method's name, and in that of the error. */
const NUMBERS = {
  requestNumber: (attributes: Attributes): number => numberIn(/m(\d+)$/, attributes["rpc.method"]),
  responseNumber: (attributes: Attributes): number => numberIn(/(\d+)$/, attributes["error.type"]),
} as const;

/** What a body may hold that begins like messages. */
function bait(length: number): string {
  return `\xda\xbb\xc2\0${u32(0)}${u32(1)}PRPC\0\0\0\x08\x80\x01\0\x01\0\0\0\x01m`
    .repeat(20)
    .slice(0, length);
}

/** Questions for the name that the number is; response codes that have no name. */
const dns = {
  ...SHARED,
  protocol: DNS,
  ids: 4,
  request: (id: number, number: number, padding: number): string =>
    dnsMessage(id, "\x01\0", number, bait(padding)),
  response: (id: number, number: number, padding: number): string => {
    const upper = `\0\0\x29\x04\xd0${u8(10 + number)}\0\0\0\0\0`;
    return dnsMessage(id, "\x81\x8c", number, upper + bait(padding));
  },
  requestNumber: (attributes: Attributes): number =>
    numberIn(/^n(\d+)$/, attributes["dns.question.name"]),
  responseNumber: (attributes: Attributes): number => {
    const code = numberIn(/^RCODE(\d+)$/, attributes["error.type"]);
    return code < 0 ? -1 : (code - 12) / 16 - 10;
  },
};

/** One question, and one more record behind it. */
function dnsMessage(id: number, flags: string, number: number, rest: string): string {
  const name = `n${number}`;
  const question = `${u8(name.length)}${name}\0\0\x01\0\x01`;
  const body = `${u16(id + 1)}${flags}\0\x01\0\0\0\0\0\x01${question}${rest}`;
  return u16(body.length) + body;
}

const dubbo = {
  ...SHARED,
  ...NUMBERS,
  protocol: DUBBO,
  ids: 2 ** 31,
  request: (id: number, number: number, padding: number): string =>
    dubboFrame(
      "\xc2\0",
      id,
      `\x052.0.2\x01s\x051.0.0${u8(1 + String(number).length)}m${number}${bait(padding)}`,
    ),
  response: (id: number, number: number, padding: number): string =>
    dubboFrame("\x02\x14", id, `\x90C${u8(1 + String(number).length)}E${number}${bait(padding)}`),
};

function dubboFrame(head: string, id: number, body: string): string {
  return `\xda\xbb${head}${u32(0)}${u32(id)}${u32(body.length)}${body}`;
}

/** Replies with an exception that the method declares, of the number. */
const thrift = {
  ...SHARED,
  ...NUMBERS,
  protocol: THRIFT,
  ids: 4,
  request: (id: number, number: number, padding: number): string =>
    thriftFrame("\x01", id, number, `\x0b\0\x01${u32(padding)}${bait(padding)}\0`),
  response: (id: number, number: number, padding: number): string =>
    thriftFrame("\x02", id, number, `\x0b${u16(number + 1)}${u32(padding)}${bait(padding)}\0`),
  responseNumber: (attributes: Attributes): number => {
    const id = numberIn(/(\d+)$/, attributes["error.type"]);
    return id < 0 ? -1 : id - 1;
  },
};

function thriftFrame(type: string, id: number, number: number, body: string): string {
  // A reply names its method: that of another call would not be believed anyway.
  const name = type === "\x01" ? `s:m${number}` : `m${number}`;
  return framed(`\x80\x01\0${type}${u32(name.length)}${name}${u32(id)}${body}`);
}

function framed(text: string): string {
  return u32(text.length) + text;
}

function varint(value: number): string {
  return value < 128 ? u8(value) : u8((value & 127) | 128) + varint(Math.floor(value / 128));
}

const brpc = {
  ...SHARED,
  ...NUMBERS,
  protocol: BRPC,
  ids: 2 ** 31,
  request: (id: number, number: number, padding: number): string => {
    const method = `m${number}`;
    const asked = `\x0a\x01s\x12${varint(method.length)}${method}`;
    return brpcFrame(`\x0a${varint(asked.length)}${asked}\x20${varint(id)}`, padding);
  },
  response: (id: number, number: number, padding: number): string => {
    const answer = `\x08${varint(5000 + number)}`;
    return brpcFrame(`\x12${varint(answer.length)}${answer}\x20${varint(id)}`, padding);
  },
  responseNumber: (attributes: Attributes): number => {
    const code = numberIn(/(\d+)$/, attributes["error.type"]);
    return code < 0 ? -1 : code - 5000;
  },
};

function brpcFrame(meta: string, padding: number): string {
  return `PRPC${u32(meta.length + padding)}${u32(meta.length)}${meta}${bait(padding)}`;
}

const sofarpc = {
  ...SHARED,
  ...NUMBERS,
  protocol: SOFARPC,
  ids: 2 ** 31,
  request: (id: number, number: number, padding: number): string => {
    const method = `m${number}`;
    const header = `${framed("sofa_head_method_name")}${framed(method)}`;
    return bolt("\x01\0\x01", id, u32(1000), header, padding);
  },
  response: (id: number, number: number, padding: number): string =>
    bolt("\0\0\x02", id, u16(100 + number), "", padding),
  responseNumber: (attributes: Attributes): number => {
    const status = numberIn(/(\d+)$/, attributes["error.type"]);
    return status < 0 ? -1 : status - 100;
  },
};

function bolt(type: string, id: number, middle: string, header: string, padding: number): string {
  const name = "com.example.Message";
  const lengths = u16(name.length) + u16(header.length) + u32(padding);
  return `\x01${type}\x01${u32(id)}\x01${middle}${lengths}${name}${header}${bait(padding)}`;
}

/** Extended operations whose object identifier ends with the number. */
const ldap = {
  ...SHARED,
  protocol: LDAP,
  ids: 2 ** 31,
  request: (id: number, number: number, padding: number): string =>
    ldapMessage(id, "\x77", ber("\x80", `1.3.${number}`) + ber("\x81", bait(padding))),
  response: (id: number, number: number, padding: number): string =>
    ldapMessage(id, "\x78", `\x0a\x01${u8(90 + number)}\x04\0\x04\0${ber("\x8b", bait(padding))}`),
  requestNumber: (attributes: Attributes): number =>
    numberIn(/1\.3\.(\d+)$/, attributes["db.query.text"]),
  responseNumber: (attributes: Attributes): number => {
    const code = numberIn(/^result_(\d+)$/, attributes["error.type"]);
    return code < 0 ? -1 : code - 90;
  },
};

function ber(tag: string, content: string): string {
  return `${tag}\x82${u16(content.length)}${content}`;
}

function ldapMessage(id: number, tag: string, content: string): string {
  return ber("\x30", `\x02\x04${u32(id)}${ber(tag, content)}`);
}

/** Paths and errors of the number. */
const zookeeper = {
  ...SHARED,
  protocol: ZOOKEEPER,
  ids: 2 ** 31,
  request: (id: number, number: number, padding: number): string =>
    framed(`${u32(id + 1)}${u32(5)}${framed(`/n${number}`)}${framed(bait(padding))}${u32(0)}`),
  response: (id: number, number: number, padding: number): string =>
    framed(`${u32(id + 1)}${u32(0)}${u32(9)}${u32(-130 - number)}${bait(padding)}`),
  requestNumber: (attributes: Attributes): number =>
    numberIn(/n(\d+)$/, attributes["db.query.text"]),
  responseNumber: (attributes: Attributes): number => {
    const code = numberIn(/^error_-(\d+)$/, attributes["error.type"]);
    return code < 0 ? -1 : code - 130;
  },
};

/** Paths and statuses of the number; ids are used again at once. */
const fastcgi = {
  ...SHARED,
  protocol: FASTCGI,
  ids: 4,
  request: (id: number, number: number, padding: number): string => {
    const path = `/n${number}`;
    const params = `\x0b${u8(path.length)}REQUEST_URI${path}`;
    const body = fcgi(5, id, bait(padding)) + (padding === 0 ? "" : fcgi(5, id, ""));
    return fcgi(1, id, "\0\x01\x01\0\0\0\0\0") + fcgi(4, id, params) + fcgi(4, id, "") + body;
  },
  response: (id: number, number: number, padding: number): string =>
    fcgi(6, id, `Status: ${500 + number}\r\n\r\n${bait(padding)}`) +
    fcgi(3, id, "\0\0\0\0\0\0\0\0"),
  requestNumber: (attributes: Attributes): number => numberIn(/n(\d+)$/, attributes["url.path"]),
  responseNumber: (attributes: Attributes): number => {
    const status = Number(attributes["http.response.status_code"] ?? -1);
    return status < 0 ? -1 : status - 500;
  },
};

function fcgi(type: number, id: number, content: string): string {
  return `\x01${u8(type)}${u16(id + 1)}${u16(content.length)}\0\0${content}`;
}

/** A described protocol; methods and statuses of the number. */
const custom = {
  ...SHARED,
  ...NUMBERS,
  protocol: createCustomProtocol({
    name: "described",
    ports: [],
    magic: "53485700",
    byte_order: "little",
    length: { offset: 4, bytes: 4, adds: 12 },
    id: { offset: 8, bytes: 2 },
    kind: { offset: 10, bytes: 1, mask: 0, request: [1], response: [2], one_way: [] },
    method: { offset: 11, bytes: 1, text: true, names: {} },
    status: { offset: 11, bytes: 1, success: [], names: {} },
  }),
  ids: 4,
  request: (id: number, number: number, padding: number): string => {
    const method = `m${number}`;
    return described(id, `\x01${u8(method.length)}${method}${bait(padding)}`);
  },
  response: (id: number, number: number, padding: number): string =>
    described(id, `\x02${u8(number)}${bait(padding)}`),
};

/** The length lacks the head and two bytes of the body. */
function described(id: number, body: string): string {
  return `SHW\0${u8(body.length - 2)}\0\0\0${u8(id)}\0${body}`;
}

export const CALL_WRITERS: readonly CallWriter[] = [
  ...[dns, dubbo, thrift, brpc, sofarpc],
  ...[ldap, zookeeper, fastcgi, custom],
];
