// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { ByteCursor, NameTable } from "../byte-cursor.ts";
import {
  CLIENT_HELLO,
  DATA,
  END_OF_STREAM,
  EXCEPTION,
  PING,
  PROFILE_EVENTS,
  QUERY,
  readClientHello,
  readName,
  readServerHello,
  SERVER_HELLO,
} from "./packets.ts";
import { looksLikeQuery } from "./query.ts";

const cursor = new ByteCursor(new NameTable());

/** Could a packet of either side start with these bytes? */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const asked = detectRequest(bytes, start, end);
  if (asked === "yes") return "yes";
  const answered = detectReply(bytes, start, end);
  if (answered !== "no" || asked !== "no") return answered === "no" ? asked : answered;
  return bytes[start] === PING && end - start === 1 ? "weak" : "no";
}

/** A client's packet that begins something; a ping looks as its answer does. */
export function detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
  if (start === end) return "more";
  cursor.over(bytes, start + 1, end);
  switch (bytes[start]) {
    case CLIENT_HELLO:
      return detectHello();
    case QUERY:
      return looksLikeQuery(cursor);
    default:
      return "no";
  }
}

/** A name, two numbers and a revision. The client's goes on with three strings. */
function detectHello(): Detection {
  const hello = readClientHello(cursor);
  if (hello !== undefined) return cursor.isCut ? "more" : "yes";
  return cursor.isCut ? "more" : "no";
}

function detectReply(bytes: Uint8Array, start: number, end: number): Detection {
  if (start === end) return "more";
  cursor.over(bytes, start + 1, end);
  switch (bytes[start]) {
    case SERVER_HELLO: {
      const hello = readServerHello(cursor, 0);
      if (hello !== undefined && !cursor.isCut) return "yes";
      return cursor.isCut ? "more" : "no";
    }
    case EXCEPTION: {
      cursor.skip(4);
      const name = readName(cursor);
      if (cursor.isCut) return "more";
      return name !== undefined && /^DB::(?:Net)?Exception|^Poco::/.test(name) ? "yes" : "no";
    }
    case DATA:
    case PROFILE_EVENTS:
      return detectBlock(bytes, start, end);
    case END_OF_STREAM:
      return end - start === 1 ? "weak" : "no";
    default:
      return "no";
  }
}

/** No name; fields 1 and 2 with their usual values; the end of the fields. */
const BLOCK_HEAD = [0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0] as const;

function detectBlock(bytes: Uint8Array, start: number, end: number): Detection {
  for (let index = 0; index < BLOCK_HEAD.length; index++) {
    const at = start + 1 + index;
    if (at >= end) return "more";
    if (bytes[at] !== BLOCK_HEAD[index]) return "no";
  }
  return "yes";
}
