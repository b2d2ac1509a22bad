// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { ProtoWriter } from "../pdata/proto-writer.ts";

const ANSWER_BYTES_MAX = 4 << 20;

export interface UnaryCall {
  readonly socketPath: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly message: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface UnaryAnswer {
  /** gRPC's code; 0 is well. */
  readonly status: number;
  readonly message: Uint8Array;
  readonly problem: Error;
}

/** One gRPC call over a Unix socket, on a connection of its own: for questions that are rare. */
export function unaryCall(call: UnaryCall): Promise<UnaryAnswer> {
  const answer = Promise.withResolvers<UnaryAnswer>();
  const session = connect("http://localhost", {
    createConnection: () => connectSocket(call.socketPath),
  });
  const timer = setTimeout(
    () => answer.reject(new Error(`no answer within ${call.timeoutMs} ms`)),
    call.timeoutMs,
  );
  session.on("error", answer.reject);
  const stream = session.request({
    ":method": "POST",
    ":path": call.path,
    "content-type": "application/grpc",
    te: "trailers",
    ...call.headers,
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let status: number | undefined;
  let text = "";
  const readStatus = (headers: Readonly<Record<string, unknown>>): void => {
    if (headers["grpc-status"] === undefined) return;
    status = Number(headers["grpc-status"]);
    text = String(headers["grpc-message"] ?? "");
  };
  stream.on("response", readStatus).on("trailers", readStatus).on("error", answer.reject);
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) answer.reject(new Error("an answer is too long"));
    else chunks.push(chunk);
  });
  stream.on("end", () => {
    const problem = new Error(`${call.path}: status ${status ?? "none"}: ${text}`);
    // Five bytes stand before the message: a flag for compression and its length.
    const message = Buffer.concat(chunks).subarray(5);
    if (status === undefined) answer.reject(problem);
    else answer.resolve({ status, message, problem });
  });
  stream.end(framed(call.message));
  return answer.promise.finally(() => {
    clearTimeout(timer);
    session.destroy();
  });
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** A message with one string field. */
export function stringField(field: number, text: string): Uint8Array {
  const out = new ProtoWriter(128);
  out.stringField(field * 8 + 2, text);
  return out.take();
}
