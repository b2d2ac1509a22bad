// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameDecoder } from "./frame-decoder.ts";
import { Packet } from "./packet.ts";
import {
  ethernet,
  etherTypeOf,
  fragmentsOf,
  type IpFields,
  ipPacket,
  tcpPacket,
  udpDatagram,
  WRAPS,
} from "./testing/frames.ts";

function packetOf(frame: Uint8Array, linkType = 1, timeNs = 1): Packet {
  const packet = new Packet();
  // Other bytes around it: nothing outside the packet may be read.
  packet.bytes = Buffer.concat([Buffer.alloc(3, 0xff), frame, Buffer.alloc(64, 0xff)]);
  packet.start = 3;
  packet.end = 3 + frame.length;
  packet.wireLength = frame.length;
  packet.linkType = linkType;
  packet.timeNs = timeNs;
  return packet;
}

function payloadOf({ segment }: FrameDecoder): string {
  const { bytes, start, captured } = segment;
  return Buffer.from(bytes.subarray(start, start + captured)).toString("latin1");
}

const FROM = { address: "10.0.0.1", port: 5000 };
const TO = { address: "10.0.0.2", port: 53 };
const TEXT = "0123456789".repeat(30);
const V4: IpFields = {
  from: FROM.address,
  to: TO.address,
  protocol: 17,
  payload: udpDatagram(FROM, TO, Buffer.from(TEXT)),
  identification: 77,
};
const V6: IpFields = { ...V4, from: "fd00:0:0:0:0:0:0:1", to: "fd00:0:0:0:0:0:0:2" };

function inOrder(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}

test("fragments of IPv4 and IPv6 are joined in any order, also twice and overlapping", () => {
  for (const fields of [V4, V6]) {
    const pieces = [...fragmentsOf(fields, 64), ...fragmentsOf(fields, 128)];
    const small = fragmentsOf(fields, 64).length;
    const orders = [inOrder(small), inOrder(small).toReversed(), inOrder(pieces.length)];
    for (const order of orders) {
      const decoder = new FrameDecoder();
      const whole: string[] = [];
      for (const at of order) {
        const piece = pieces[at] ?? Buffer.alloc(0);
        const refusal = decoder.decode(packetOf(ethernet(etherTypeOf(piece), piece)));
        if (refusal === undefined) whole.push(payloadOf(decoder));
        else assert.equal(refusal, "fragment");
      }
      assert.equal(whole[0], TEXT);
    }
  }
});

test("of bytes that fragments give twice, the first are taken", () => {
  const evil = { ...V4, payload: V4.payload.map((byte, at) => (at < 64 ? byte : 0x21)) };
  const first = fragmentsOf(V4, 64);
  const second = fragmentsOf(evil, 64);
  const decoder = new FrameDecoder();
  for (const piece of [...first.slice(0, -1), ...second]) {
    decoder.decode(packetOf(ethernet(0x0800, piece)));
  }
  const taken = payloadOf(decoder);
  assert.equal(
    taken.slice(0, 64 * (first.length - 1) - 8),
    TEXT.slice(0, 64 * (first.length - 1) - 8),
  );
});

test("fragments that never become whole are bounded and counted", () => {
  const decoder = new FrameDecoder();
  for (let identification = 1; identification <= 5000; identification++) {
    const [piece = Buffer.alloc(0)] = fragmentsOf({ ...V4, identification }, 64);
    assert.equal(decoder.decode(packetOf(ethernet(0x0800, piece))), "fragment");
  }
  assert.equal(decoder.fragments.dropped, 5000 - 256);
});

test("fragments that are older than 30 s do not meet new ones with their number", () => {
  const decoder = new FrameDecoder();
  const pieces = fragmentsOf(V4, 160);
  assert.equal(pieces.length, 2);
  const [first, last] = pieces.map((piece) => ethernet(0x0800, piece));
  assert.ok(first && last);
  assert.equal(decoder.decode(packetOf(first, 1, 1e9)), "fragment");
  assert.equal(decoder.decode(packetOf(last, 1, 40e9)), "fragment");
  assert.equal(decoder.decode(packetOf(first, 1, 41e9)), undefined);
  assert.equal(payloadOf(decoder), TEXT);
});

test("IPv6 extension headers are stepped over", () => {
  const inner = udpDatagram(FROM, TO, Buffer.from("hi"));
  // Hop by hop (0), then destination options (60) of 16 bytes, then UDP.
  const options = Buffer.from([60, 0, 1, 4, 0, 0, 0, 0, 17, 1, 1, 12, ...new Array(12).fill(0)]);
  const packet = ipPacket({ ...V6, protocol: 0, payload: Buffer.concat([options, inner]) });
  const decoder = new FrameDecoder();
  assert.equal(decoder.decode(packetOf(ethernet(0x86dd, packet))), undefined);
  assert.equal(payloadOf(decoder), "hi");
});

test("a length of 0, as cards that cut segments give it, is that of the frame", () => {
  const packet = tcpPacket({ from: FROM, to: TO, sequence: 1, payload: Buffer.from("big") });
  packet.writeUInt16BE(0, 2);
  const decoder = new FrameDecoder();
  assert.equal(decoder.decode(packetOf(ethernet(0x0800, packet))), undefined);
  assert.equal(payloadOf(decoder), "big");
});

test("what is no IP, no TCP or UDP, or cut in a header says so", () => {
  const decoder = new FrameDecoder();
  const arp = ethernet(0x0806, Buffer.alloc(28));
  assert.equal(decoder.decode(packetOf(arp)), "not_ip");
  const icmp = ethernet(0x0800, ipPacket({ ...V4, protocol: 1, payload: Buffer.alloc(8) }));
  assert.equal(decoder.decode(packetOf(icmp)), "other_transport");
  const tcp = ethernet(0x0800, tcpPacket({ from: FROM, to: TO, sequence: 1 }));
  assert.equal(decoder.decode(packetOf(tcp.subarray(0, 40))), "cut");
  assert.equal(decoder.decode(packetOf(Buffer.alloc(0))), "cut");
  assert.equal(decoder.decode(packetOf(tcp, 9999)), "not_ip");
});

test("headers inside headers without end are given up", () => {
  let packet: Uint8Array = tcpPacket({ from: FROM, to: TO, sequence: 1 });
  for (let depth = 0; depth < 40; depth++) {
    packet = ipPacket({ from: FROM.address, to: TO.address, protocol: 4, payload: packet });
  }
  assert.equal(new FrameDecoder().decode(packetOf(ethernet(0x0800, packet))), "too_deep");
});

test("every frame cut anywhere gives an answer and reads nothing behind its end", () => {
  const inner = tcpPacket({ from: FROM, to: TO, sequence: 1, payload: Buffer.from("payload") });
  for (const [name, { linkType, wrap }] of Object.entries(WRAPS)) {
    const frame = wrap(inner);
    for (let length = 0; length <= frame.length; length++) {
      const decoder = new FrameDecoder();
      const packet = packetOf(frame.subarray(0, length), linkType);
      packet.wireLength = frame.length;
      if (decoder.decode(packet) !== undefined) continue;
      assert.ok("payload".startsWith(payloadOf(decoder)), `${name} cut at ${length}`);
      assert.equal(decoder.segment.length, 7, `${name} cut at ${length}`);
    }
  }
});
