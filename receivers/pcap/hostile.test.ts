// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BehaviorSubject } from "rxjs";
import { Random } from "../../test/fuzz/random.ts";
import {
  type CapturedPacket,
  enhancedPacket,
  interfaceBlock,
  pcapFile,
  pcapngFile,
  START_NS,
  sectionHeader,
  TcpTalk,
} from "./testing/captures.ts";
import { fragmentsOf, tcpSegment, WRAPS } from "./testing/frames.ts";
import { readBytes } from "./testing/run.ts";

/** Files that are tried; PCAP_MUTANTS=10000 tries more. */
const MUTANTS = Number(process.env["PCAP_MUTANTS"] ?? 400);
/** No mutant is longer than 20 KB. */
const MUTANT_MS_MAX = 2000;

function talk(port: number, wrap?: (packet: Uint8Array) => Buffer): CapturedPacket[] {
  const client = { address: "10.0.0.1", port };
  const all = new TcpTalk(wrap === undefined ? { client } : { client, wrap });
  all.open().request("GET /a HTTP/1.1\r\nHost: shop\r\n\r\n", 11);
  all.response(`HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n${"x".repeat(50)}`, 17);
  return all.close().packets;
}

function seeds(): readonly Buffer[] {
  const ethernet = Object.values(WRAPS).filter(({ linkType }) => linkType === 1);
  const packets = ethernet.flatMap(({ wrap }, at) => talk(40_000 + at, wrap));
  const segment = tcpSegment({
    from: { address: "10.0.0.1", port: 39_999 },
    to: { address: "10.0.0.2", port: 80 },
    sequence: 1,
    payload: Buffer.from("GET / HTTP/1.1\r\n\r\n"),
  });
  const ip = { from: "10.0.0.1", to: "10.0.0.2", protocol: 6, payload: segment };
  const wrap = WRAPS["ethernet"]?.wrap ?? Buffer.from;
  for (const piece of fragmentsOf(ip, 16)) packets.push({ timeNs: START_NS, frame: wrap(piece) });
  const blocks = packets.map(({ timeNs, frame }) =>
    enhancedPacket({ ticks: timeNs / 1000n, frame }),
  );
  return [pcapFile(packets), pcapngFile([sectionHeader(), interfaceBlock({}), ...blocks])];
}

function mutate(file: Buffer, random: Random): Buffer {
  const mutant = Buffer.from(file);
  for (let count = random.below(12) + 1; count > 0; count--) {
    const at = 4 + random.below(mutant.length - 4);
    const kind = random.below(4);
    if (kind === 0) mutant[at] = random.below(256);
    else if (kind === 1) mutant[at] = (mutant[at] ?? 0) ^ (1 << random.below(8));
    else if (kind === 2)
      mutant.fill(random.below(2) * 255, at, Math.min(mutant.length, at + random.below(6)));
    else mutant.copyWithin(at, 4 + random.below(mutant.length - 4), at + random.below(300));
  }
  return random.below(4) === 0 ? mutant.subarray(0, random.below(mutant.length)) : mutant;
}

test("damaged files end in order: no crash, no failed parser, every exchange accounted for", async () => {
  const seed = Number(process.env["PCAP_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  const files = seeds();
  for (let number = 0; number < MUTANTS; number++) {
    const random = new Random(seed + number);
    const mutant = mutate(files[number % files.length] ?? Buffer.alloc(0), random);
    if (mutant.length === 0) continue;
    const startMs = performance.now();
    try {
      const { metric, log } = await readBytes(mutant).catch((error: unknown) => {
        if (!/neither a pcap/.test(String(error))) throw error;
        return { metric: () => 0, log: [] };
      });
      assert.equal(metric("parser_failures"), 0);
      assert.equal(metric("held_bytes"), 0);
      assert.deepEqual(
        log.filter(({ level }) => level === "error"),
        [],
      );
      assert.ok(performance.now() - startMs < MUTANT_MS_MAX, "it took too long");
    } catch (cause) {
      throw new Error(`PCAP_SEED=${seed + number} PCAP_MUTANTS=1 fails`, { cause });
    }
  }
});

test("reading stops while nothing below has room, and goes on where it was", async () => {
  const packets = Array.from({ length: 1500 }, (_, at) => talk(10_000 + at)).flat();
  const demand = new BehaviorSubject(true);
  let spans = 0;
  let wasClosed = false;
  let duringClosed = 0;
  const result = await readBytes(pcapFile(packets), {
    demand,
    onBatch: (batch) => {
      spans += batch.items;
      if (wasClosed) return;
      wasClosed = true;
      demand.next(false);
      const before = spans;
      setTimeout(() => {
        duringClosed = spans - before;
        demand.next(true);
      }, 100);
    },
  });
  assert.equal(result.spans.length, 1500);
  // One piece of 256 KiB has some 250 of these connections.
  assert.ok(duringClosed < 600, `${duringClosed} spans came while there was no room`);
});

test("connections that nobody ends are bounded by max_connections and by idleness", async () => {
  const open = (at: number): CapturedPacket[] =>
    new TcpTalk({ client: { address: `10.1.${at >> 8}.${at & 255}`, port: 1024 } })
      .wait(BigInt(at) * 1_000_000_000n)
      .open()
      .request("GET /a HTTP/1.1\r\n\r\n").packets;
  const packets = Array.from({ length: 400 }, (_, at) => open(at)).flat();
  const full = await readBytes(pcapFile(packets), { config: { max_connections: 100 } });
  assert.equal(full.metric("connections_evicted"), 300);
  assert.equal(full.spans.length, 400);
  const idle = await readBytes(pcapFile(packets), { config: { idle_timeout: "10s" } });
  assert.equal(idle.metric("connections_evicted"), 0);
  assert.equal(idle.metric('connections{protocol="http1"}'), 400);
});
