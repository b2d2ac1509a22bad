// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { chainAt, HEADER_BYTES, HEADERS, PREFACE, SETTINGS } from "./frames.ts";

/** The client's preface, a server's SETTINGS, or frames of a connection that is under way. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = Math.min(end - start, PREFACE.length);
  let index = 0;
  while (index < length && bytes[start + index] === PREFACE[index]) index++;
  if (index === length) return length === PREFACE.length ? "yes" : "more";
  if (end - start < HEADER_BYTES) return bytes[start] === 0 ? "more" : "no";
  const chain = chainAt(bytes, start, end, end - start, () => true);
  if (chain.frames === 0) return "no";
  const type = bytes[start + 3];
  if (type === SETTINGS || chain.frames > 1) return "yes";
  return chain.exact && type === HEADERS ? "yes" : "weak";
}
