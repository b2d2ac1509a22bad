// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import type { Batch } from "../model/batch.ts";
import type { SelectedProcess } from "../model/process.ts";
import type { Exchange, ExchangeEvents } from "../model/protocol.ts";
import { RECEIVED, SENT } from "../model/protocol.ts";
import { KEY_PEER_OBSERVED, KEY_SLEPT, TRIGGER_RESPONSE } from "../model/stitch-key.ts";
import { toOtlpJson } from "../pdata/json-encode.ts";
import { HTTP1 } from "../protocols/http1/protocol.ts";
import { TEST_OPTIONS, TestRecord } from "../protocols/testing.ts";
import { EpochClock } from "./epoch-clock.ts";
import { ResourceBatcher } from "./resource-batcher.ts";
import { type ConnectionFacts, SpanConnection } from "./span-connection.ts";
import { SpanEncoder, type StitchFacts } from "./span-encoder.ts";

const EPOCH_NS = 1_795_360_440_000_000_000n;
const SHOP: SelectedProcess = {
  pid: 4711,
  serviceName: "shöp",
  attributes: new Map<string, string | number>([
    ["process.pid", 4711],
    ["container.id", "abc"],
  ]),
};

const FACTS: ConnectionFacts = {
  role: "server",
  clientStart: 0xfffffff0,
  serverStart: 7,
  positionExcess: 0,
  family: 4,
  localAddress: "10.0.0.2",
  localPort: 8080,
  remoteAddress: "10.0.0.1",
  remotePort: 51234,
};

const NONE_OPEN = { openServerRequests: 0, openInProcess: 0 };
const CLIENT_FACTS: ConnectionFacts = {
  ...FACTS,
  role: "client",
  // A client whose connection is older than the agent counts its own bytes one too high.
  positionExcess: 1,
  family: 6,
  localAddress: "2001:db8::1",
  localPort: 51234,
  remoteAddress: "2001:db8::2",
  remotePort: 8080,
};

const value = z.object({
  stringValue: z.string().optional(),
  intValue: z.string().optional(),
  bytesValue: z.string().optional(),
});
const attributes = z.array(z.object({ key: z.string(), value }));
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(
        z.object({
          scope: z.object({ name: z.string(), version: z.string() }),
          spans: z.array(
            z.object({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number(),
              startTimeUnixNano: z.string(),
              endTimeUnixNano: z.string(),
              attributes,
              status: z.object({ code: z.number(), message: z.string().optional() }).optional(),
            }),
          ),
        }),
      ),
    }),
  ),
});

type Request = z.infer<typeof requestSchema>;
type Attributes = z.infer<typeof attributes>;

function decode(batch: Batch | undefined): Request {
  assert.ok(batch !== undefined);
  assert.equal(batch.signal, "traces");
  const bytes = Buffer.concat(batch.chunks);
  assert.equal(bytes.length, batch.bytes);
  const result = toOtlpJson("ExportTraceServiceRequest", bytes);
  assert.ok(result.ok);
  return requestSchema.parse(JSON.parse(result.json));
}

function plain(list: Attributes): Record<string, string | undefined> {
  return Object.fromEntries(
    list.map(({ key, value: { stringValue, intValue, bytesValue } }) => [
      key,
      stringValue ?? intValue ?? bytesValue,
    ]),
  );
}

interface Setup {
  readonly facts?: ConnectionFacts;
  readonly request?: string;
  readonly response?: string;
  readonly stitch?: StitchFacts;
  /** Stream position of the request. */
  readonly position?: number;
}

/** Encodes one exchange; the client's view counts its own bytes one too high. */
function encodeOne(setup: Setup): Request {
  const facts = setup.facts ?? FACTS;
  const batcher = new ResourceBatcher({ version: "1.2.3" });
  const encoder = new SpanEncoder({ clock: new EpochClock(EPOCH_NS), batcher });
  const connection = new SpanConnection(facts);
  const events: ExchangeEvents = {
    begin(): void {},
    end(exchange: Exchange): void {
      encoder.encode(SHOP, connection, exchange, setup.stitch);
    },
    abandon(): void {},
    lost(): void {},
  };
  const parser = HTTP1.createParser({ ...TEST_OPTIONS }, events);
  const server = facts.role === "server";
  const request = Buffer.from(setup.request ?? "GET /é HTTP/1.1\r\nHost: shop:81\r\n\r\n");
  const response = Buffer.from(setup.response ?? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const position = facts.positionExcess;
  if (position > 0) {
    // In mid-stream the parser waits for a response first.
    const direction = server ? SENT : RECEIVED;
    parser.data(new TestRecord({ direction, position: 500, bytes: response, timeNs: 1 }));
  }
  const base = position > 0 ? 500 + response.length : 0;
  parser.data(
    new TestRecord({
      direction: server ? RECEIVED : SENT,
      position: (setup.position ?? 0) + position,
      bytes: request,
      timeNs: 1_000_000_001,
      tid: 99,
    }),
  );
  parser.data(
    new TestRecord({
      direction: server ? SENT : RECEIVED,
      position: base,
      bytes: response,
      timeNs: 1_500_000_002,
    }),
  );
  return decode(batcher.take());
}

function spanOf(request: Request): Request["resourceSpans"][0]["scopeSpans"][0]["spans"][0] {
  const span = request.resourceSpans[0]?.scopeSpans[0]?.spans[0];
  assert.ok(span !== undefined);
  return span;
}

describe("SpanEncoder", () => {
  it("writes a span that a second implementation reads", () => {
    const request = encodeOne({});
    const resource = request.resourceSpans[0];
    assert.deepEqual(plain(resource?.resource.attributes ?? []), {
      "service.name": "shöp",
      "process.pid": "4711",
      "container.id": "abc",
    });
    assert.deepEqual(resource?.scopeSpans[0]?.scope, {
      name: "backstitch/ebpf_l7",
      version: "1.2.3",
    });
    const span = spanOf(request);
    assert.equal(span.kind, 2);
    assert.equal(span.startTimeUnixNano, String(EPOCH_NS + 1_000_000_001n));
    assert.equal(span.endTimeUnixNano, String(EPOCH_NS + 1_500_000_002n));
    assert.equal(span.parentSpanId, undefined);
    assert.equal(span.status, undefined);
    assert.equal(span.attributes[0]?.key, "stitch.key");
    const { "stitch.key": _, ...others } = plain(span.attributes);
    assert.deepEqual(others, {
      "http.request.method": "GET",
      "url.scheme": "http",
      "url.path": "/é",
      "http.route": "/{text}",
      "server.address": "shop",
      "server.port": "81",
      "network.protocol.version": "1.1",
      "http.response.status_code": "200",
      "http.response.body.size": "0",
      "client.address": "10.0.0.1",
      "network.peer.address": "10.0.0.1",
      "network.peer.port": "51234",
      "network.type": "ipv4",
    });
  });

  it("gives both ends ids that fit together, wherever the client starts to count", () => {
    const client = spanOf(encodeOne({ facts: CLIENT_FACTS }));
    const observed = { flags: KEY_PEER_OBSERVED, triggerKind: 0, ...NONE_OPEN };
    const stitch = { ...observed, triggerSpan: new Uint32Array(2) };
    const server = spanOf(encodeOne({ stitch }));
    assert.equal(server.parentSpanId, client.spanId);
    assert.equal(server.traceId, client.traceId);
    assert.notEqual(server.spanId, client.spanId);
    assert.equal(client.kind, 3);
    assert.equal(plain(client.attributes)["network.type"], "ipv6");
  });

  it("fills the stitch key as it is laid down", () => {
    const triggerSpan = Uint32Array.of(0x04030201, 0x08070605);
    const flags = KEY_PEER_OBSERVED | KEY_SLEPT;
    const open = { openServerRequests: 3, openInProcess: 70_000 };
    const stitch = { flags, triggerKind: TRIGGER_RESPONSE, triggerSpan, ...open };
    const span = spanOf(encodeOne({ facts: CLIENT_FACTS, stitch }));
    const key = Buffer.from(plain(span.attributes)["stitch.key"] ?? "", "base64");
    assert.equal(key.length, 64);
    assert.deepEqual([...key.subarray(0, 8)], [1, 1, flags, TRIGGER_RESPONSE, 3, 0, 0xff, 0xff]);
    assert.equal(key.toString("hex", 8, 16), span.spanId);
    assert.equal(key.toString("hex", 24, 32), "0102030405060708");
    assert.equal(key.readUInt32LE(32), 7);
    assert.equal(key.readUInt32LE(36), 99);
    assert.ok(key.subarray(40).every((byte) => byte === 0));
  });

  it("joins the trace of the request's header", () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const header = `traceparent: 00-${traceId}-b7ad6b7169203331-01\r\n`;
    const request = `GET / HTTP/1.1\r\nHost: x\r\n${header}\r\n`;
    const span = spanOf(encodeOne({ request }));
    assert.equal(span.traceId, traceId);
    assert.equal(span.parentSpanId, "b7ad6b7169203331");
    const key = Buffer.from(plain(span.attributes)["stitch.key"] ?? "", "base64");
    assert.equal(key.toString("hex", 40), `${traceId}b7ad6b7169203331`);
    assert.equal(key[2], 0x10);
    // The next span without a header must not keep anything of it.
    assert.equal(spanOf(encodeOne({})).parentSpanId, undefined);
  });

  it("names the server by its socket when the request does not", () => {
    const span = spanOf(encodeOne({ request: "GET / HTTP/1.0\r\n\r\n", facts: CLIENT_FACTS }));
    const all = plain(span.attributes);
    assert.equal(all["server.address"], "2001:db8::2");
    assert.equal(all["server.port"], "8080");
  });

  it("writes the status of errors and long values", () => {
    const long = "a".repeat(2000);
    const response = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    const span = spanOf(
      encodeOne({ request: `GET /${long} HTTP/1.1\r\nHost: x\r\n\r\n`, response }),
    );
    assert.deepEqual(span.status, { code: 2 });
    assert.equal(plain(span.attributes)["url.path"], `/${long}`);
  });

  it("predicts the ids of spans", () => {
    const batcher = new ResourceBatcher({ version: "1" });
    const encoder = new SpanEncoder({ clock: new EpochClock(0n), batcher });
    const words = new Uint32Array(2);
    encoder.spanId(new SpanConnection(CLIENT_FACTS), 1, "client", words);
    const bytes = Buffer.from(words.buffer).toString("hex");
    assert.equal(bytes, spanOf(encodeOne({ facts: CLIENT_FACTS })).spanId);
  });
});
