// SPDX-License-Identifier: Apache-2.0
import { BackwardWriter } from "../pdata/backward-writer.ts";
import { FieldReader, WIRE_BYTES, WIRE_VARINT } from "../pdata/wire.ts";

/** gRPC status codes (grpc.io/docs/guides/status-codes). */
export const GRPC = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

const NAMES = (
  "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists " +
  "PermissionDenied ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented " +
  "Internal Unavailable DataLoss Unauthenticated"
).split(" ");

export function grpcCodeName(code: number): string {
  return NAMES[code] ?? `Code(${code})`;
}

/** A call's end. `message` is the plain text; on the wire it is percent-encoded. */
export interface GrpcStatus {
  readonly code: number;
  readonly message: string;
  /** google.rpc.RetryInfo: wait so long before the next try. */
  readonly retryAfterMs?: number;
}

const RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** google.rpc.Status: what `grpc-status-details-bin` carries and what OTLP/HTTP answers. */
export function encodeStatus(status: GrpcStatus): Uint8Array {
  const writer = new BackwardWriter();
  if (status.retryAfterMs !== undefined) {
    const ms = Math.max(0, Math.round(status.retryAfterMs));
    const details = writer.length;
    writer.varint((ms % 1000) * 1e6);
    writer.tag(2, WIRE_VARINT);
    writer.varint(Math.floor(ms / 1000));
    writer.tag(1, WIRE_VARINT);
    writer.prefix(1, details);
    writer.prefix(2, details);
    const url = writer.length;
    writer.text(RETRY_INFO);
    writer.prefix(1, url);
    writer.prefix(3, details);
  }
  const text = writer.length;
  writer.text(status.message);
  writer.prefix(2, text);
  writer.varint(status.code);
  writer.tag(1, WIRE_VARINT);
  return writer.take();
}

/** Undefined when the bytes are not a google.rpc.Status. */
export function decodeStatus(bytes: Uint8Array): GrpcStatus | undefined {
  const reader = new FieldReader().reset(bytes, 0, bytes.length);
  let code = 0;
  let message = "";
  let retryAfterMs: number | undefined;
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === WIRE_VARINT) code = reader.low;
    if (reader.wireType !== WIRE_BYTES) continue;
    const value = bytes.subarray(reader.start, reader.stop);
    if (reader.field === 2) message = decoder.decode(value);
    else if (reader.field === 3) retryAfterMs ??= retryDelayMs(value);
  }
  if (reader.errorAt >= 0) return undefined;
  return retryAfterMs === undefined ? { code, message } : { code, message, retryAfterMs };
}

/** The delay of a google.protobuf.Any that is a RetryInfo, in milliseconds. */
function retryDelayMs(any: Uint8Array): number | undefined {
  const reader = new FieldReader().reset(any, 0, any.length);
  let isRetryInfo = false;
  let info: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.wireType !== WIRE_BYTES) continue;
    const value = any.subarray(reader.start, reader.stop);
    if (reader.field === 1) isRetryInfo = decoder.decode(value) === RETRY_INFO;
    else if (reader.field === 2) info = value;
  }
  if (!isRetryInfo) return undefined;
  reader.reset(info ?? new Uint8Array(0), 0, info?.length ?? 0);
  let delayMs = 0;
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_BYTES || info === undefined) continue;
    const duration = new FieldReader().reset(info, reader.start, reader.stop);
    while (duration.next()) {
      if (duration.field === 1) delayMs += (duration.high * 2 ** 32 + duration.low) * 1000;
      else if (duration.field === 2) delayMs += duration.low / 1e6;
    }
  }
  return delayMs;
}

/** `grpc-message`: bytes outside %x20-%x7E, and `%`, as `%XX` (grpc PROTOCOL-HTTP2.md). */
export function encodeGrpcMessage(text: string): string {
  let encoded = "";
  for (const byte of encoder.encode(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** The inverse; what is not a valid escape stays as it is. */
export function decodeGrpcMessage(encoded: string): string {
  if (!encoded.includes("%")) return encoded;
  const bytes = Buffer.from(encoded, "latin1").toString("latin1");
  const unescaped = bytes.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return decoder.decode(Buffer.from(unescaped, "latin1"));
}

const TIMEOUT_UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** `grpc-timeout` in milliseconds; undefined when absent or malformed. */
export function parseGrpcTimeout(value: string | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value ?? "");
  return match === null ? undefined : Number(match[1]) * (TIMEOUT_UNIT_MS[match[2] ?? ""] ?? 0);
}

/** At most 8 digits, as the protocol has it. */
export function toGrpcTimeout(timeoutMs: number): string {
  const ms = Math.max(1, Math.round(timeoutMs));
  return ms < 1e8 ? `${ms}m` : `${Math.round(ms / 1000)}S`;
}

/** The code that stands for an HTTP status of a peer that does not speak gRPC. */
export function grpcCodeOfHttp(status: number): number {
  switch (status) {
    case 400:
      return GRPC.internal;
    case 401:
      return GRPC.unauthenticated;
    case 403:
      return GRPC.permissionDenied;
    case 404:
      return GRPC.unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC.unavailable;
    default:
      return GRPC.unknown;
  }
}

/** The HTTP status that the Collector's OTLP receiver answers for a gRPC code. */
export function httpOfGrpcCode(code: number): number {
  switch (code) {
    case GRPC.ok:
      return 200;
    case GRPC.canceled:
    case GRPC.deadlineExceeded:
    case GRPC.aborted:
    case GRPC.outOfRange:
    case GRPC.unavailable:
    case GRPC.dataLoss:
      return 503;
    case GRPC.resourceExhausted:
      return 429;
    case GRPC.invalidArgument:
      return 400;
    case GRPC.unauthenticated:
      return 401;
    case GRPC.permissionDenied:
      return 403;
    case GRPC.unimplemented:
      return 404;
    default:
      return 500;
  }
}
