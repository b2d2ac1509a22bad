// SPDX-License-Identifier: Apache-2.0

/** For tests: frames as text of Latin-1 characters, as `Conversation` takes them. */

export const PREFACE_TEXT = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const END_STREAM_FLAG = 1;
export const END_HEADERS_FLAG = 4;
export const PADDED_FLAG = 8;
export const PRIORITY_FLAG = 0x20;

export function uint32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

export function frame(type: number, flags: number, stream: number, payload: string): string {
  const length = uint32(payload.length).slice(1);
  return `${length}${String.fromCharCode(type, flags)}${uint32(stream)}${payload}`;
}

/** Fields with literal names and values, not indexed (RFC 7541 section 6.2.2). */
export function fields(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `\x00${string(name)}${string(value)}`)
    .join("");
}

/** One field that goes into the table (section 6.2.1). */
export function indexedField(name: string, value: string): string {
  return `\x40${string(name)}${string(value)}`;
}

/** A field by its index (section 6.1), up to 126. */
export function byIndex(index: number): string {
  return String.fromCharCode(0x80 | index);
}

function string(value: string): string {
  if (value.length < 127) return String.fromCharCode(value.length) + value;
  const rest = value.length - 127;
  const more = rest < 128 ? String.fromCharCode(rest) : "";
  if (more !== "" || rest === 0) return `\x7f${more === "" ? "\0" : more}${value}`;
  return `\x7f${String.fromCharCode(0x80 | (rest & 127), rest >> 7)}${value}`;
}

export function settings(): string {
  return frame(TYPES.settings, 0, 0, "");
}

/** Flags default to the end of the headers. */
export function headers(stream: number, block: string, flags = 0): string {
  return frame(TYPES.headers, END_HEADERS_FLAG | flags, stream, block);
}

export function data(stream: number, payload: string, flags = 0): string {
  return frame(TYPES.data, flags, stream, payload);
}

export function reset(stream: number, code: number): string {
  return frame(TYPES.reset, 0, stream, uint32(code));
}

export function get(path: string): Record<string, string> {
  return { ":method": "GET", ":scheme": "http", ":path": path, ":authority": "shop:8080" };
}

export function status(code: number): Record<string, string> {
  return { ":status": String(code) };
}

export function grpcRequest(method: string): Record<string, string> {
  return {
    ...{ ":method": "POST", ":scheme": "http", ":path": `/${method}`, ":authority": "shop:50051" },
    ...{ "content-type": "application/grpc", te: "trailers" },
  };
}

/** A message with gRPC's prefix. */
export function message(payload: string): string {
  return `\0${uint32(payload.length)}${payload}`;
}
