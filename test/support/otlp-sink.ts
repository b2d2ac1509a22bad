// SPDX-License-Identifier: Apache-2.0
import {
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { type FlatSpan, parseTraces } from "./otlp-json.ts";

const GRPC_FRAME_HEADER_BYTES = 5;
const UNAVAILABLE = "14";

/** What the sink does with a call: take it, refuse it as UNAVAILABLE, or never answer. */
export type SinkMood = "accept" | "unavailable" | "silent";

export interface OtlpSink extends AsyncDisposable {
  mood: SinkMood;
  readonly port: number;
  /** Of the calls that were accepted. */
  readonly spans: readonly FlatSpan[];
  /** When each call came, `performance.now()`. */
  readonly callsMs: readonly number[];
}

/**
 * A gRPC server for traces on node:http2: a backend that tests can take away. Takes calls without
 * compression only.
 */
export async function startOtlpSink(port: number, mood: SinkMood): Promise<OtlpSink> {
  const spans: FlatSpan[] = [];
  const callsMs: number[] = [];
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session.once("close", () => sessions.delete(session)));
  });
  const sink = { mood, port, spans, callsMs, [Symbol.asyncDispose]: () => close(server, sessions) };
  server.on("stream", (stream) => {
    callsMs.push(performance.now());
    stream.on("error", () => undefined);
    void readAll(stream).then((body) => {
      if (sink.mood === "silent" || stream.closed) return;
      if (sink.mood === "accept") spans.push(...spansOf(body));
      answer(stream, sink.mood === "accept" ? "0" : UNAVAILABLE);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return sink;
}

async function readAll(stream: ServerHttp2Stream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

function spansOf(body: Buffer): readonly FlatSpan[] {
  if (body[0] !== 0) throw new Error("a compressed call: set compression: none");
  const result = toOtlpJson(REQUESTS.traces.request, body.subarray(GRPC_FRAME_HEADER_BYTES));
  if (!result.ok) throw new Error(`not OTLP at byte ${result.offset}`);
  return parseTraces(result.json);
}

function answer(stream: ServerHttp2Stream, status: string): void {
  stream.respond(
    { ":status": 200, "content-type": "application/grpc+proto" },
    { waitForTrailers: true },
  );
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
  // An empty response message.
  stream.end(status === "0" ? Buffer.alloc(GRPC_FRAME_HEADER_BYTES) : undefined);
}

async function close(server: Http2Server, sessions: Set<ServerHttp2Session>): Promise<void> {
  for (const session of sessions) session.destroy();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
