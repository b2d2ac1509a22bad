// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { FlatSpan } from "../../test/support/otlp-json.ts";
import {
  type CapturedPacket,
  CLIENT,
  pcapFile,
  SERVER,
  START_NS,
  TcpTalk,
} from "./testing/captures.ts";
import { ethernet, udpPacket, WRAPS } from "./testing/frames.ts";
import { type RunOptions, type RunResult, readBytes, readPaths } from "./testing/run.ts";

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`;
}

function ok(body: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** What tells which request was paired with which response. */
function told(spans: readonly FlatSpan[]): readonly string[] {
  return spans.map(({ attributes }) =>
    [
      attributes.get("url.full"),
      attributes.get("http.response.status_code"),
      attributes.get("http.response.body.size"),
    ].join(" "),
  );
}

async function read(packets: readonly CapturedPacket[], options?: RunOptions): Promise<RunResult> {
  return await readBytes(pcapFile(packets), options);
}

test("a connection's exchanges become spans of the client with the packets' times", async () => {
  const talk = new TcpTalk().open().request(get("/a")).response(ok("12345")).close();
  const { spans } = await read(talk.packets);
  assert.equal(spans.length, 1);
  const [span] = spans;
  assert.equal(span?.kind, "client");
  assert.equal(span?.service, CLIENT.address);
  // The fourth packet is the request, the fifth the response.
  assert.equal(span?.startNs, talk.packets[3]?.timeNs);
  assert.equal(span?.endNs, talk.packets[4]?.timeNs);
  assert.deepEqual(told(spans), ["http://shop/a 200 5"]);
  assert.equal(span?.attributes.get("network.peer.address"), SERVER.address);
  assert.equal(span?.attributes.get("network.peer.port"), 80n);
});

test("the server's perspective tells of the same exchange, and both are linked by the ids", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  const server = await read(packets, { config: { perspective: "server" } });
  assert.deepEqual(
    server.spans.map(({ kind, service }) => [kind, service]),
    [["server", "10.0.0.2:80"]],
  );
  assert.equal(server.spans[0]?.attributes.get("url.path"), "/a");
  assert.equal(server.spans[0]?.attributes.get("client.address"), "10.0.0.1");
  const both = await read(packets, { config: { perspective: "both" } });
  const one = both.spans.find(({ kind }) => kind === "client");
  const other = both.spans.find(({ kind }) => kind === "server");
  assert.equal(other?.parentSpanId, one?.spanId);
  assert.equal(other?.traceId, one?.traceId);
  assert.equal(other?.spanId, server.spans[0]?.spanId);
});

test("services are named by address and port, or by address", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  const services = { "10.0.0.2:80": "shop", "10.0.0.1": "browser", "10.0.0.2": "wrong" };
  const { spans } = await read(packets, { config: { services, perspective: "both" } });
  assert.deepEqual(spans.map(({ service }) => service).toSorted(), ["browser", "shop"]);
});

test("every link layer and tunnel gives the same spans", async () => {
  for (const v6 of [false, true]) {
    for (const [name, { linkType, wrap }] of Object.entries(WRAPS)) {
      const hosts = v6
        ? {
            client: { address: "fd00:0:0:0:0:0:0:1", port: 40_000 },
            server: { address: "fd00:0:0:0:0:0:0:2", port: 80 },
          }
        : {};
      const talk = new TcpTalk({ ...hosts, wrap });
      talk.open().request(get("/a")).response(ok("123")).close();
      const { spans } = await readBytes(pcapFile(talk.packets, { linkType }));
      assert.deepEqual(told(spans), ["http://shop/a 200 3"], name);
      const peer = v6 ? "fd00::2" : "10.0.0.2";
      assert.equal(spans[0]?.attributes.get("network.peer.address"), peer, name);
    }
  }
});

test("a capture that is gzip or zstd is read as what is in it", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  for (const compress of [gzipSync, zstdCompressSync]) {
    const { spans } = await readBytes(compress(pcapFile(packets)));
    assert.deepEqual(told(spans), ["http://shop/a 200 1"]);
  }
});

test("numbers that wrap around change nothing", async () => {
  const plain = new TcpTalk().open().request(get("/a"), 7).response(ok("12345"), 5).close();
  const wrapping = new TcpTalk({ starts: [0xfffffff0, 0xffffffe0] });
  wrapping.open().request(get("/a"), 7).response(ok("12345"), 5).close();
  assert.deepEqual(
    told((await read(wrapping.packets)).spans),
    told((await read(plain.packets)).spans),
  );
});

test("a response that was captured before its request is read after it", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  const [syn, synAck, ack, request, response, ...rest] = packets;
  assert.ok(syn && synAck && ack && request && response);
  const swapped = [syn, synAck, ack, response, request, ...rest];
  assert.deepEqual(told((await read(swapped)).spans), ["http://shop/a 200 1"]);
});

test("what was lost of a request's stream never gives its response to another one", async () => {
  const talk = new TcpTalk().open();
  talk.request(get("/a")).response(ok("1"));
  talk.lost(0, get("/lost").length).response(ok("22"));
  talk.request(get("/c")).response(ok("333"));
  talk.request(get("/d")).response(ok("4444")).close();
  const { spans, metric } = await read(talk.packets);
  const pairs = new Set(["http://shop/a 200 1", "http://shop/c 200 3", "http://shop/d 200 4"]);
  for (const pair of told(spans)) assert.ok(pairs.has(pair), pair);
  assert.ok(told(spans).includes("http://shop/a 200 1"));
  assert.ok(told(spans).includes("http://shop/d 200 4"));
  assert.equal(metric("gap_bytes"), get("/lost").length);
});

test("a connection that began before the capture is followed from its next request", async () => {
  const { packets } = new TcpTalk()
    .open()
    .request(get("/before"))
    .response(ok("1"))
    .request(get("/a"))
    .response(ok("22"))
    .close();
  // Without the handshake and the first request.
  const { spans } = await read(packets.slice(4));
  assert.deepEqual(told(spans), ["http://shop/a 200 2"]);
  assert.equal(spans[0]?.kind, "client");
});

test("the same ports with another beginning are another connection", async () => {
  const first = new TcpTalk().open().request(get("/a"));
  const second = new TcpTalk({ starts: [500_000, 600_000] }).wait(10_000_000_000n);
  second.open().request(get("/b")).response(ok("22")).close();
  const { spans } = await read([...first.packets, ...second.packets]);
  assert.deepEqual(told(spans), ["http://shop/a  ", "http://shop/b 200 2"]);
  assert.equal(spans[0]?.attributes.get("error.type"), "connection_closed");
});

test("a reset ends the request that it finds, with its name as the error", async () => {
  const { spans } = await read(new TcpTalk().open().request(get("/a")).reset().packets);
  assert.equal(spans[0]?.attributes.get("error.type"), "ECONNRESET");
});

test("packets that were captured twice count once", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  const { spans } = await read(packets.flatMap((packet) => [packet, packet]));
  assert.deepEqual(told(spans), ["http://shop/a 200 1"]);
});

test("a packet that the snap length cut counts with its length on the wire", async () => {
  const body = "x".repeat(1000);
  const { packets } = new TcpTalk()
    .open()
    .request(get("/a"))
    .response(ok(body))
    .request(get("/b"))
    .response(ok("1"))
    .close();
  const cut = packets.map(({ timeNs, frame }) => ({
    timeNs,
    frame: frame.subarray(0, 150),
    wireLength: frame.length,
  }));
  const { spans } = await read(cut);
  assert.deepEqual(told(spans), ["http://shop/a 200 1000", "http://shop/b 200 1"]);
});

test("a port that is fixed to a protocol and a protocol that is disabled", async () => {
  const talk = new TcpTalk({ server: { address: "10.0.0.2", port: 7000 } });
  const { packets } = talk.open().request("PING\r\n").response("+PONG\r\n").close();
  const fixed = await read(packets, { config: { protocols: { ports: { 7000: "redis" } } } });
  assert.deepEqual(
    fixed.spans.map(({ name }) => name),
    ["PING"],
  );
  const http = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  const off = await read(http.packets, { config: { protocols: { disabled: ["http1"] } } });
  assert.deepEqual(off.spans, []);
  assert.equal(off.metric('connections{protocol="unknown"}'), 1);
});

test("the end of the capture ends what is open; a young request may be left out", async () => {
  const { packets } = new TcpTalk().open().request(get("/a"));
  const { spans } = await read(packets);
  assert.equal(spans[0]?.attributes.get("error.type"), "ETIMEDOUT");
  const strict = await read(packets, { config: { unanswered_after: "1s" } });
  assert.deepEqual(strict.spans, []);
  assert.equal(strict.metric('exchanges_abandoned{reason="capture_end"}'), 1);
});

test("a file that is missing, empty or no capture is an error that says so", async () => {
  await assert.rejects(readPaths(["/nonexistent/x.pcap"]), /pcap: path: .*ENOENT/);
  await assert.rejects(readBytes(new Uint8Array(0)), /the file is empty/);
  await assert.rejects(readBytes(Buffer.from("hello world")), /neither a pcap nor a pcapng/);
  await assert.rejects(readPaths(["/nonexistent/*.pcap"]), /no file matches/);
});

test("a file that ends within a packet is read up to there, with a warning", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).request(get("/b"));
  const { spans, metric, log } = await readBytes(pcapFile(packets).subarray(0, -3));
  assert.deepEqual(told(spans), ["http://shop/a 200 1"]);
  assert.equal(metric("files_damaged"), 1);
  assert.ok(log.some(({ level, message }) => level === "warn" && /damaged or cut/.test(message)));
});

test("in a metrics pipeline durations come as histograms at the end", async () => {
  const { packets } = new TcpTalk().open().request(get("/a")).response(ok("1")).close();
  const { batches } = await read(packets, { signals: ["metrics"] });
  assert.deepEqual(
    batches.map(({ signal, items }) => [signal, items]),
    [["metrics", 1]],
  );
  const text = Buffer.concat(batches.flatMap(({ chunks }) => chunks)).toString("latin1");
  assert.match(text, /http\.client\.request\.duration/);
});

test("datagrams of nothing we know are counted, and copies once", async () => {
  const frame = ethernet(0x0800, udpPacket(CLIENT, SERVER, Buffer.from("noise noise")));
  const packets = [0n, 1000n, 5_000_000n].map((ns) => ({ timeNs: START_NS + ns, frame }));
  const { metric } = await read(packets);
  assert.equal(metric("packets"), 3);
  assert.equal(metric("repeated_bytes"), 11);
  assert.equal(metric('unpaired{reason="unknown_protocol"}'), 2);
});

test("without a handshake the first request tells who is the server, whatever the ports", async () => {
  const hosts = {
    client: { address: "10.0.0.1", port: 40_000 },
    server: { address: "10.0.0.2", port: 50_051 },
  };
  const talk = new TcpTalk(hosts).request(get("/a")).response(ok("1"));
  const { packets } = talk.request(get("/b")).response(ok("22"));
  const { spans, metric } = await read(packets);
  assert.deepEqual(told(spans), ["http://shop/a 200 1", "http://shop/b 200 2"]);
  assert.deepEqual(
    spans.map(({ kind, service }) => [kind, service]),
    [
      ["client", "10.0.0.1"],
      ["client", "10.0.0.1"],
    ],
  );
  assert.equal(metric("exchanges_started"), 2);
});
