// SPDX-License-Identifier: Apache-2.0
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import type { CallPeer } from "../../src/transport/grpc-server.ts";
import {
  encodeStatus,
  GRPC,
  type GrpcStatus,
  httpOfGrpcCode,
} from "../../src/transport/grpc-status.ts";
import type { HttpPost, HttpResponse, HttpRoute } from "../../src/transport/http-server.ts";

const JSON_TYPE = "application/json";
const PROTOBUF_TYPE = "application/x-protobuf";
/** Of answers that the server gives before the route is asked. */
const CODES: ReadonlyMap<number, number> = new Map([
  [401, GRPC.unauthenticated],
  [503, GRPC.unavailable],
]);
const NO_BYTES = new Uint8Array(0);

export interface RouteEvents {
  /** Takes a protobuf body and ends with a status. */
  consume(body: Uint8Array, peer: CallPeer, done: (status: GrpcStatus) => void): void;
  /** A JSON body could not be read. */
  malformed(): void;
}

/** The path of one signal (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"). */
export function otlpRoute(signal: OtlpSignal, events: RouteEvents): HttpRoute {
  const handle = (post: HttpPost, respond: (response: HttpResponse) => void): void => {
    const isJson = post.contentType === JSON_TYPE;
    const done = (status: GrpcStatus): void => {
      respond(status.code === GRPC.ok ? success(isJson) : failed(isJson, status));
    };
    if (!isJson) {
      events.consume(post.body, post, done);
      return;
    }
    const result =
      post.body.length === 0
        ? { ok: false as const, message: "the body is empty" }
        : fromOtlpJson(REQUESTS[signal].request, post.body);
    if (result.ok) events.consume(result.bytes, post, done);
    else {
      events.malformed();
      done({ code: GRPC.invalidArgument, message: result.message });
    }
  };
  return {
    contentTypes: [JSON_TYPE, PROTOBUF_TYPE],
    handle,
    failure: (contentType, status, message) => {
      const code = CODES.get(status) ?? GRPC.invalidArgument;
      return { ...failed(contentType === JSON_TYPE, { code, message }), status };
    },
  };
}

function success(isJson: boolean): HttpResponse {
  return isJson
    ? { status: 200, contentType: JSON_TYPE, body: '{"partialSuccess":{}}' }
    : { status: 200, contentType: PROTOBUF_TYPE, body: NO_BYTES };
}

function failed(isJson: boolean, status: GrpcStatus): HttpResponse {
  const { code, message, retryAfterMs } = status;
  return {
    status: httpOfGrpcCode(code),
    contentType: isJson ? JSON_TYPE : PROTOBUF_TYPE,
    body: isJson ? JSON.stringify({ code, message }) : encodeStatus(status),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}
