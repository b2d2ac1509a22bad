// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { connect } from "node:http2";
import { test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { startJaeger } from "../../support/jaeger.ts";

const TRACE_ID = "5b8efff798038103d269b633813fc60c";
const PARENT_ID = "eee19b7ec3c1b173";
const CHILD_ID = "eee19b7ec3c1b174";

/** A length-delimited protobuf field. */
function field(number: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  assert.ok(bytes.length < 128 * 128);
  const low = bytes.length & 0x7f;
  const size = bytes.length < 128 ? [low] : [low | 0x80, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...size]), bytes]);
}

function fixed64(number: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (number << 3) | 1;
  bytes.writeBigUInt64LE(value, 1);
  return bytes;
}

interface TestSpan {
  readonly id: string;
  readonly parent: string;
  readonly name: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** `Span` of opentelemetry/proto/trace/v1/trace.proto, a server span. */
function span({ id, parent, name, startNs, endNs }: TestSpan): Buffer {
  return Buffer.concat([
    field(1, Buffer.from(TRACE_ID, "hex")),
    field(2, Buffer.from(id, "hex")),
    field(4, Buffer.from(parent, "hex")),
    field(5, name),
    Buffer.from([(6 << 3) | 0, 2]),
    fixed64(7, startNs),
    fixed64(8, endNs),
  ]);
}

/** `ResourceSpans` with one span. */
function resourceSpans(service: string, one: Buffer): Buffer {
  const attribute = Buffer.concat([field(1, "service.name"), field(2, field(1, service))]);
  return field(1, Buffer.concat([field(1, field(1, attribute)), field(2, field(2, one))]));
}

/** One unary gRPC call, as in gRPC's PROTOCOL-HTTP2; the value of grpc-status. */
function exportOverGrpc(endpoint: string, message: Buffer): Promise<string> {
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return new Promise((resolve, reject) => {
    const session = connect(`http://${endpoint}`).once("error", reject);
    const call = session.request({
      ":method": "POST",
      ":path": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status = "none";
    call.once("trailers", (trailers) => {
      status = String(trailers["grpc-status"]);
    });
    call.once("error", reject).once("close", () => {
      session.close();
      resolve(status);
    });
    call.resume().end(Buffer.concat([frame, message]));
  });
}

test("Jaeger takes spans over OTLP gRPC and its query API returns them", async () => {
  await using jaeger = await startJaeger();
  // The child lies inside its parent: Jaeger warns of a clock skew where it does not.
  const startNs = BigInt(Date.now()) * 1_000_000n;
  const endNs = startNs + 9_000_000n;
  const inside = { startNs: startNs + 2_000_000n, endNs: endNs - 2_000_000n };
  const front = span({ id: PARENT_ID, parent: "", name: "GET /order", startNs, endNs });
  const back = span({ id: CHILD_ID, parent: PARENT_ID, name: "GET /stock", ...inside });
  const message = Buffer.concat([resourceSpans("front", front), resourceSpans("back", back)]);
  assert.equal(await exportOverGrpc(jaeger.otlpGrpcEndpoint, message), "0");

  const services = await eventually(jaeger.services, (answer) => answer.length === 2);
  assert.deepEqual(services, ["back", "front"]);
  const [trace, ...more] = await jaeger.traces("front");
  assert.equal(more.length, 0);
  const parents = new Map(trace?.map((one) => [`${one.service} ${one.spanId}`, one.parentSpanId]));
  assert.deepEqual(
    parents,
    new Map([
      [`front ${PARENT_ID}`, ""],
      [`back ${CHILD_ID}`, PARENT_ID],
    ]),
  );
  assert.deepEqual([...new Set(trace?.map((one) => one.traceId))], [TRACE_ID]);
  assert.equal(trace?.[0]?.tags.get("span.kind"), "server");
  assert.deepEqual(
    trace?.flatMap((one) => one.warnings),
    [],
  );
});
