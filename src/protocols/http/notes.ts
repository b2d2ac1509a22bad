// SPDX-License-Identifier: Apache-2.0
import type { HttpExchange } from "./exchange.ts";
import {
  FIELD_AMZ_REQUEST_ID,
  FIELD_AMZ_TARGET,
  FIELD_AUTHORIZATION,
  FIELD_CONNECT_VERSION,
  FIELD_CONTENT_TYPE,
  FIELD_ELASTIC_PRODUCT,
  FIELD_GRPC_STATUS,
  FIELD_GRPC_TIMEOUT,
  FIELD_TRIPLE,
  FIELD_USER_AGENT,
} from "./fields.ts";
import { contentOf, grpcStatusOf, timeoutNsOf } from "./rpc.ts";
import { productOf } from "./search.ts";

/** A field of a request, in any version of HTTP, that says what is spoken on top of it. */
export function noteRequestField(
  exchange: HttpExchange,
  code: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  if (code === FIELD_CONTENT_TYPE) exchange.content = contentOf(bytes, start, end);
  else if (code === FIELD_GRPC_TIMEOUT) exchange.timeoutNs = timeoutNsOf(bytes, start, end);
  else if (code === FIELD_TRIPLE) exchange.triple = true;
  else if (code === FIELD_CONNECT_VERSION) exchange.connect = true;
  else if (code === FIELD_USER_AGENT) exchange.product = productOf(bytes, start, end);
  else if (code === FIELD_AUTHORIZATION) exchange.aws.authorization(bytes, start, end);
  else if (code === FIELD_AMZ_TARGET) exchange.aws.amzTarget(bytes, start, end);
  else exchange.givenId.note(code, bytes, start, end);
}

/** The same for a response, its trailers included. */
export function noteResponseField(
  exchange: HttpExchange,
  code: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  if (code === FIELD_GRPC_STATUS) exchange.grpcStatus = grpcStatusOf(bytes, start, end);
  else if (code === FIELD_ELASTIC_PRODUCT) {
    const product = productOf(bytes, start, end);
    if (product !== 0) exchange.product = product;
  } else if (code === FIELD_AMZ_REQUEST_ID && exchange.aws.service !== "") {
    exchange.aws.amzRequestId(bytes, start, end);
  }
}
