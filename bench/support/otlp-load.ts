// SPDX-License-Identifier: Apache-2.0
// Sends OTLP requests as fast as they are answered, and takes what comes out at the other end.
// Started as a process of its own, so that it can have a core of its own.
import { once } from "node:events";
import { createServer } from "node:http";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { compress, type Encoding } from "../../src/transport/compression.ts";
import { GrpcClient } from "../../src/transport/grpc-client.ts";
import { GrpcServer, OK } from "../../src/transport/grpc-server.ts";
import { HttpClient } from "../../src/transport/http-client.ts";

/** What the process is told by its only argument, as JSON. */
export interface LoadOptions {
  readonly protocol: "grpc" | "http";
  readonly compression: Encoding;
  readonly port: number;
  readonly sinkPort: number;
  readonly inFlight: number;
  readonly seconds: number;
}

/** What it prints at its end, as JSON. */
export interface LoadResult {
  readonly accepted: number;
  readonly refused: number;
  /** Requests that came to the sink, of any signal. */
  readonly delivered: number;
}

export const SPANS_PER_REQUEST = 100;
const SPANS_PER_TRACE = 10;
const HOST = "127.0.0.1";

/** 100 spans with 10 attributes each, about 50 KB; and where their trace ids stand. */
function request(): { readonly bytes: Uint8Array; readonly traceIds: readonly number[] } {
  const attributes = Array.from({ length: 10 }, (_, at) => ({
    key: `attribute.number.${at}`,
    value: at % 3 === 0 ? { intValue: String(1000 + at) } : { stringValue: `the value of ${at}` },
  }));
  const traceIdOf = (at: number): string =>
    (0xb5000000 + Math.floor(at / SPANS_PER_TRACE)).toString(16).padEnd(32, "c3");
  const spans = Array.from({ length: SPANS_PER_REQUEST }, (_, at) => ({
    traceId: traceIdOf(at),
    spanId: (0xa1000000 + at).toString(16).padEnd(16, "7"),
    parentSpanId: at % SPANS_PER_TRACE === 0 ? "" : "00f067aa0ba902b7",
    name: `GET /orders/${at % 10}`,
    kind: 2 + (at % 2),
    startTimeUnixNano: "1700000000000000000",
    endTimeUnixNano: "1700000000001000000",
    status: at % 20 === 0 ? { code: 2 } : {},
    attributes,
  }));
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "load" } }] };
  const json = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  const encoded = fromOtlpJson(REQUESTS.traces.request, json);
  if (!encoded.ok) throw new Error("the request is valid");
  const { bytes } = encoded;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const traceIds = spans.map(({ traceId, spanId }) => {
    const id = Buffer.from(traceId, "hex");
    // Span ids are unique and stand right behind, after a tag and a length.
    return view.indexOf(Buffer.from(spanId, "hex")) - 2 - id.length;
  });
  return { bytes, traceIds };
}

/** Every trace is new: its number is written into the ids. */
function renumber(bytes: Uint8Array, traceIds: readonly number[], first: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const [at, offset] of traceIds.entries()) {
    view.setUint32(offset + 4, first + Math.floor(at / SPANS_PER_TRACE));
  }
}

type Send = (body: Uint8Array) => Promise<boolean>;

function sender(options: LoadOptions): Send {
  const { protocol, compression, port } = options;
  if (protocol === "grpc") {
    const client = new GrpcClient({
      host: HOST,
      port,
      tls: undefined,
      compression,
      headers: {},
      userAgent: "load",
      authority: undefined,
    });
    return async (body) => {
      const call = { timeoutMs: 10_000, signal: AbortSignal.timeout(10_000) };
      return (await client.unary(REQUESTS.traces.grpcPath, [body], call)).code === OK.code;
    };
  }
  const client = new HttpClient({ tls: undefined, idleTimeoutMs: 10_000, idleSocketsMax: 64 });
  const url = new URL(`http://${HOST}:${port}/v1/traces`);
  const headers: Record<string, string> = { "content-type": "application/x-protobuf" };
  if (compression !== "none") headers["content-encoding"] = compression;
  return async (body) => {
    const sent = compression === "none" ? body : await compress(compression, body);
    return (await client.post(url, headers, sent, AbortSignal.timeout(10_000))).status === 200;
  };
}

async function sink({ protocol, sinkPort }: LoadOptions): Promise<() => number> {
  let delivered = 0;
  if (protocol === "http") {
    const server = createServer((message, response) => {
      message.resume().on("end", () => {
        delivered++;
        response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
      });
    });
    server.listen(sinkPort, HOST);
    await once(server, "listening");
    return () => delivered;
  }
  const server = new GrpcServer({
    address: { host: HOST, port: sinkPort },
    tls: undefined,
    methods: new Map(
      Object.values(REQUESTS).map(({ grpcPath }) => [
        grpcPath,
        (_message, reply) => {
          delivered++;
          reply(OK);
        },
      ]),
    ),
    messageBytesMax: 64 << 20,
    concurrentStreamsMax: 1000,
    openBytesMax: 1 << 30,
    receiveTimeoutMs: 30_000,
  });
  await server.start();
  return () => delivered;
}

async function main(options: LoadOptions): Promise<void> {
  const delivered = await sink(options);
  const send = sender(options);
  const counts = { accepted: 0, refused: 0 };
  const endMs = Date.now() + options.seconds * 1000;
  let traces = 0;
  const stream = async (): Promise<void> => {
    const { bytes, traceIds } = request();
    while (Date.now() < endMs) {
      renumber(bytes, traceIds, traces);
      traces += SPANS_PER_REQUEST / SPANS_PER_TRACE;
      if (await send(bytes)) counts.accepted++;
      else counts.refused++;
    }
  };
  await Promise.all(Array.from({ length: options.inFlight }, stream));
  // What waits in batches and queues still comes.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const result: LoadResult = { ...counts, delivered: delivered() };
  process.stdout.write(JSON.stringify(result));
  process.exit(0);
}

function unsafeOptions(text: string): LoadOptions {
  // Written by the bench that starts this process.
  return JSON.parse(text) as LoadOptions;
}

if (import.meta.main) await main(unsafeOptions(process.argv[2] ?? ""));
