// SPDX-License-Identifier: Apache-2.0

/** Which conventions describe an exchange. */
export const HTTP = 0;
export const GRPC = 1;
/** Dubbo 3's Triple. */
export const DUBBO = 2;
/** The Connect protocol. */
export const CONNECT = 3;
/** Elasticsearch or OpenSearch. */
export const SEARCH = 4;
/** A signed request to an AWS service, or to one that speaks like it. */
export const AWS = 5;

export type Semantics =
  | typeof HTTP
  | typeof GRPC
  | typeof DUBBO
  | typeof CONNECT
  | typeof SEARCH
  | typeof AWS;
