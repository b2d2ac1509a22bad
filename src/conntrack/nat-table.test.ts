// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressText } from "./nat-entry.ts";
import { NatTable } from "./nat-table.ts";
import { entryOf, look, type Tuple } from "./testing.ts";

const S = 1e9;
const CLIENT = ["10.201.1.2", 34_510] as const;
const SERVICE = ["10.201.9.9", 80] as const;
/** The trial of shared fact 3: DNAT and SNAT with a random port at once. */
const BOTH = {
  original: { from: CLIENT, to: SERVICE },
  reply: { from: ["10.201.2.2", 18_092], to: ["10.201.2.1", 28_647] },
} as const;

const at = (sinceNs: number, nowNs = sinceNs, round = 1) => ({ sinceNs, nowNs, round });

function found(table: NatTable, view: Tuple, startNs: number, protocol = 6): string {
  const { resolution, lookup } = look(table, view, startNs, protocol);
  return resolution === "found" ? `${addressText(lookup.real, 0)} ${lookup.realPort}` : resolution;
}

const CLIENT_VIEW: Tuple = { from: CLIENT, to: SERVICE };
const SERVER_VIEW: Tuple = { from: ["10.201.2.2", 18_092], to: ["10.201.2.1", 28_647] };

test("each end is told who the other really is", () => {
  const table = new NatTable(1000);
  assert.equal(table.put(entryOf(BOTH), at(0)), true);
  assert.equal(found(table, CLIENT_VIEW, S), "10.201.2.2 18092");
  assert.equal(found(table, SERVER_VIEW, S), "10.201.1.2 34510");
  const { lookup } = look(table, SERVER_VIEW, S);
  assert.equal(`${addressText(lookup.ours, 0)} ${lookup.oursPort}`, "10.201.9.9 80");
});

test("of another protocol, port or address nothing is known", () => {
  const table = new NatTable(1000);
  table.put(entryOf(BOTH), at(0));
  assert.equal(found(table, CLIENT_VIEW, S, 17), "none");
  assert.equal(found(table, { ...CLIENT_VIEW, from: ["10.201.1.2", 1] }, S), "none");
  assert.equal(found(table, { ...CLIENT_VIEW, from: ["10.201.1.3", 34_510] }, S), "none");
});

test("a connection that is not translated is not kept", () => {
  const table = new NatTable(1000);
  const reply = { from: SERVICE, to: CLIENT };
  assert.equal(table.put(entryOf({ original: CLIENT_VIEW, reply }), at(0)), true);
  assert.equal(table.live, 0);
});

test("NAT behind NAT is followed, through two namespaces and back", () => {
  const table = new NatTable(1000);
  const outer = {
    original: CLIENT_VIEW,
    reply: { from: ["10.201.2.2", 30_080], to: ["10.201.2.1", 40_001] },
  } as const;
  const inner = {
    original: { from: ["10.201.2.1", 40_001], to: ["10.201.2.2", 30_080] },
    reply: { from: ["10.201.3.7", 8080], to: ["10.201.3.1", 50_002] },
  } as const;
  table.put(entryOf({ ...outer, source: 1 }), at(0));
  table.put(entryOf({ ...inner, source: 2 }), at(0));
  assert.equal(found(table, CLIENT_VIEW, S), "10.201.3.7 8080");
  const server = { from: ["10.201.3.7", 8080], to: ["10.201.3.1", 50_002] } as const;
  assert.equal(found(table, server, S), "10.201.1.2 34510");
  const { lookup } = look(table, server, S);
  assert.equal(addressText(lookup.ours, 0), "10.201.9.9");
});

test("connections with the same addresses and ports are told apart by time", () => {
  const table = new NatTable(1000);
  const to = (address: string) => ({ from: [address, 8080] as const, to: CLIENT });
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.1"), id: 1 }), at(10 * S));
  table.remove(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.1"), id: 1 }), 20 * S);
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.2"), id: 2 }), at(30 * S));
  assert.equal(found(table, CLIENT_VIEW, 15 * S), "10.0.0.1 8080");
  assert.equal(found(table, CLIENT_VIEW, 35 * S), "10.0.0.2 8080");
  assert.equal(found(table, CLIENT_VIEW, 25 * S), "none");
  assert.equal(found(table, CLIENT_VIEW, 29 * S), "10.0.0.2 8080", "heard of a little late");
});

test("within the time that the news took both may be meant: no answer", () => {
  const table = new NatTable(1000);
  const to = (address: string) => ({ from: [address, 8080] as const, to: CLIENT });
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.1") }), at(0));
  // Both heard at 20.1 s, after a look at 20 s.
  table.remove(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.1") }), 20.1 * S);
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.2") }), at(20 * S, 20.1 * S));
  assert.equal(found(table, CLIENT_VIEW, 20.05 * S), "ambiguous");
  assert.equal(found(table, CLIENT_VIEW, 19.9 * S), "10.0.0.1 8080");
  assert.equal(found(table, CLIENT_VIEW, 20.2 * S), "10.0.0.2 8080");
});

test("the same tuple in two namespaces with different answers gives none", () => {
  const table = new NatTable(1000);
  const to = (address: string) => ({ from: [address, 8080] as const, to: CLIENT });
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.1"), source: 1 }), at(0));
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.2"), source: 2 }), at(0));
  assert.equal(found(table, CLIENT_VIEW, S), "ambiguous");
  table.put(entryOf({ original: CLIENT_VIEW, reply: to("10.0.0.1"), source: 2 }), at(2 * S));
  assert.equal(found(table, CLIENT_VIEW, 3 * S), "10.0.0.1 8080", "the second one ended");
});

test("a new connection with an old one's tuple ends the old one, also when nothing said so", () => {
  const table = new NatTable(1000);
  table.put(entryOf({ ...BOTH, id: 1 }), at(0));
  table.put(entryOf({ ...BOTH, id: 2 }), at(5 * S));
  assert.deepEqual([table.live, table.ended], [1, 1]);
  table.remove(entryOf({ ...BOTH, id: 1 }), 6 * S);
  assert.equal(table.live, 1, "the end of the old one comes late and is not that of the new one");
});

test("what a listing does not show any more has ended, of that namespace only", () => {
  const table = new NatTable(1000);
  const other = { ...BOTH, original: { from: CLIENT, to: ["10.201.9.9", 81] } } as const;
  const third = { ...BOTH, original: { from: CLIENT, to: ["10.201.9.9", 82] } } as const;
  table.put(entryOf({ ...BOTH, source: 1 }), at(0, 0, 1));
  table.put(entryOf({ ...other, source: 1 }), at(0, 0, 1));
  table.put(entryOf({ ...third, source: 2 }), at(0, 0, 1));
  table.put(entryOf({ ...other, source: 1 }), at(0, 9 * S, 2));
  table.endUnseen(1, 2, 9 * S);
  assert.deepEqual([table.live, table.ended], [2, 1]);
  assert.equal(found(table, CLIENT_VIEW, 8 * S), "10.201.2.2 18092");
  assert.equal(found(table, CLIENT_VIEW, 10 * S), "none");
});

test("it is bounded: what ended first makes room, and then what is new is refused", () => {
  const table = new NatTable(100);
  const entry = (port: number): Int32Array =>
    entryOf({ ...BOTH, original: { from: ["10.0.0.1", port], to: SERVICE } });
  for (let port = 1; port <= 100; port++) assert.equal(table.put(entry(port), at(0)), true);
  assert.equal(table.put(entry(101), at(0)), false);
  table.remove(entry(7), S);
  assert.equal(table.put(entry(101), at(2 * S)), true);
  assert.deepEqual([table.live, table.ended], [100, 0]);
  assert.equal(found(table, { from: ["10.0.0.1", 7], to: SERVICE }, S / 2), "none");
  assert.equal(found(table, { from: ["10.0.0.1", 8], to: SERVICE }, S), "10.201.2.2 18092");
});

test("after many connections came and went, exactly the living ones are found", () => {
  const table = new NatTable(5000);
  const entry = (n: number): Int32Array =>
    entryOf({
      original: { from: [`10.1.${n >> 8}.${n & 255}`, 1000], to: SERVICE },
      reply: { from: ["10.2.0.1", n], to: ["10.3.0.1", n] },
    });
  for (let n = 1; n <= 4000; n++) table.put(entry(n), at(0));
  for (let n = 1; n <= 4000; n += 2) table.remove(entry(n), S);
  table.forget(2 * S);
  assert.deepEqual([table.live, table.ended], [2000, 0]);
  for (let n = 1; n <= 4000; n++) {
    const view = { from: [`10.1.${n >> 8}.${n & 255}`, 1000], to: SERVICE } as const;
    assert.equal(found(table, view, S), n % 2 === 0 ? `10.2.0.1 ${n}` : "none");
  }
});

test("a circle of translations ends without an answer", () => {
  const table = new NatTable(100);
  const a = { from: ["10.0.0.1", 1], to: ["10.0.0.2", 2] } as const;
  const b = { from: ["10.0.0.3", 3], to: ["10.0.0.4", 4] } as const;
  const backwards = ({ from, to }: Tuple): Tuple => ({ from: to, to: from });
  table.put(entryOf({ original: a, reply: backwards(b) }), at(0));
  table.put(entryOf({ original: b, reply: backwards(a) }), at(0));
  assert.equal(found(table, a, S), "ambiguous");
});
