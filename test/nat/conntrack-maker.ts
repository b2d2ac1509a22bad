// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { NETLINK_RECEIVE_BYTES_MIN, NetlinkSocket } from "libbpf-ts";

const NETFILTER = 12;
/** NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL; without an answer but for errors. */
const FLAGS = 0x601;
const CT_NEW = 0x100;
const CT_DELETE = 0x102;
const NESTED = 0x8000;
const MESSAGES_AT_ONCE = 64;

function attribute(type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array((4 + body.length + 3) & ~3);
  const view = new DataView(out.buffer);
  view.setUint16(0, 4 + body.length, true);
  view.setUint16(2, type, true);
  out.set(body, 4);
  return out;
}

function tuple(type: number, from: number, to: number, ports: readonly [number, number]) {
  const word = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
  const port = (value: number) => Uint8Array.of(value >>> 8, value);
  const addresses = Buffer.concat([attribute(1, word(from)), attribute(2, word(to))]);
  const protocol = Buffer.concat([
    attribute(1, Uint8Array.of(17)),
    attribute(2, port(ports[0])),
    attribute(3, port(ports[1])),
  ]);
  const body = [attribute(1 | NESTED, addresses), attribute(2 | NESTED, protocol)];
  return attribute(type | NESTED, Buffer.concat(body));
}

function message(type: number, flags: number, attributes: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat([Uint8Array.of(2, 0, 0, 0), ...attributes]);
  const out = Buffer.concat([new Uint8Array(16), body]);
  out.writeUInt32LE(out.length, 0);
  out.writeUInt16LE(type, 4);
  out.writeUInt16LE(flags, 6);
  return out;
}

/** Of connection `n`: 10.1.x.y:1000 → 10.99.0.1:53, answered by 10.2.x.y:5353. */
function originalOf(n: number): Uint8Array {
  return tuple(1, 0x0a010000 + (n >>> 4), 0x0a630001, [1000 + (n & 15), 53]);
}

/** Puts translated connections into the connection tracking of a namespace of its own. */
export class ConntrackMaker implements Disposable {
  readonly path: string;
  readonly #name: string = `bstest-${process.pid}-maker`;
  readonly #socket: NetlinkSocket;

  constructor() {
    execFileSync("ip", ["netns", "add", this.#name]);
    this.path = `/run/netns/${this.#name}`;
    this.#socket = NetlinkSocket.open({ family: NETFILTER, namespacePath: this.path });
  }

  add(first: number, count: number): void {
    const timeout = attribute(7, Uint8Array.of(0, 0, 2, 0x58));
    this.#send(first, count, (n) => {
      const reply = tuple(2, 0x0a020000 + (n >>> 4), 0x0a010000 + (n >>> 4), [
        5353,
        1000 + (n & 15),
      ]);
      return message(CT_NEW, FLAGS, [originalOf(n), reply, timeout]);
    });
  }

  remove(first: number, count: number): void {
    this.#send(first, count, (n) => message(CT_DELETE, 1, [originalOf(n)]));
  }

  deleteNamespace(): void {
    this.#socket.close();
    if (existsSync(this.path)) execFileSync("ip", ["netns", "delete", this.#name]);
  }

  [Symbol.dispose](): void {
    this.deleteNamespace();
  }

  #send(first: number, count: number, make: (n: number) => Uint8Array): void {
    for (let from = first; from < first + count; from += MESSAGES_AT_ONCE) {
      const messages: Uint8Array[] = [];
      const end = Math.min(from + MESSAGES_AT_ONCE, first + count);
      for (let n = from; n < end; n++) messages.push(make(n));
      this.#socket.send(Buffer.concat(messages));
      const { bytes } = this.#socket.receive(new Uint8Array(NETLINK_RECEIVE_BYTES_MIN));
      if (bytes > 0) throw new Error("the kernel refused a connection");
    }
  }
}
