// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import { BerReader } from "./ber.ts";

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const CONTROLS = 0xa0;
const MESSAGE_BYTES_MAX = 2 ** 28;

export const UNBIND = 0x42;
export const SEARCH = 0x63;
export const ABANDON = 0x50;
export const EXTENDED = 0x77;

/** RFC 4511, section 4.2 and following: the application tags of requests. */
const REQUESTS: ReadonlyMap<number, string> = new Map([
  [0x60, "bind"],
  [UNBIND, "unbind"],
  [SEARCH, "search"],
  [0x66, "modify"],
  [0x68, "add"],
  [0x4a, "delete"],
  [0x6c, "modifyDN"],
  [0x6e, "compare"],
  [ABANDON, "abandon"],
  [EXTENDED, "extended"],
]);

export const SEARCH_ENTRY = 0x64;
export const SEARCH_REFERENCE = 0x73;
export const INTERMEDIATE = 0x79;
/** The responses that end their request. */
const RESULTS: ReadonlySet<number> = new Set([0x61, 0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f, 0x78]);

export function requestName(tag: number): string | undefined {
  return REQUESTS.get(tag);
}

export function isResult(tag: number): boolean {
  return RESULTS.has(tag);
}

function isOperation(tag: number): boolean {
  const isPart = tag === SEARCH_ENTRY || tag === SEARCH_REFERENCE || tag === INTERMEDIATE;
  return isPart || REQUESTS.has(tag) || RESULTS.has(tag);
}

function isTag({ tag }: BerReader, expected: number): boolean {
  return tag === expected;
}

const envelope = new BerReader();

export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (start < end && bytes[start] !== SEQUENCE) return NOT_A_FRAME;
  if (!envelope.over(bytes, start, end).next()) {
    const count = (bytes[start + 1] ?? 0) & 0x7f;
    const isLong = end - start >= 2 && (bytes[start + 1] ?? 0) >= 0x80;
    return isLong && (count === 0 || count > 4) ? NOT_A_FRAME : NEED_MORE;
  }
  const length = envelope.start - start + envelope.length;
  return envelope.length < 5 || length > MESSAGE_BYTES_MAX ? NOT_A_FRAME : length;
}

/** An LDAPMessage: its id and where its operation stands. */
export class LdapMessage {
  readonly #reader = new BerReader();
  id = 0;
  tag = 0;
  /** The operation's content, as far as it is there. */
  start = 0;
  end = 0;
  isWhole = false;

  /** `more` when the heads are not all there. */
  read(bytes: Uint8Array, start: number, end: number): Detection {
    const reader = this.#reader.over(bytes, start, end);
    if (!reader.next()) return frameBytes(bytes, start, end) === NOT_A_FRAME ? "no" : "more";
    if (!isTag(reader, SEQUENCE)) return "no";
    const messageEnd = reader.start + reader.length;
    reader.over(bytes, reader.start, reader.end);
    if (!reader.next()) return "more";
    const { tag, length } = reader;
    if (tag !== INTEGER || length < 1 || length > 4) return "no";
    if (!reader.isWhole) return "more";
    this.id = reader.integer();
    if (!reader.next()) return "more";
    this.tag = reader.tag;
    this.start = reader.start;
    this.end = reader.end;
    this.isWhole = reader.isWhole;
    const operationEnd = reader.start + reader.length;
    if (!isOperation(reader.tag) || operationEnd > messageEnd) return "no";
    // Behind the operation stands nothing but controls.
    if (operationEnd === messageEnd) return "yes";
    if (!reader.isWhole || !reader.next()) return operationEnd < end ? "no" : "yes";
    return reader.tag === CONTROLS ? "yes" : "no";
  }
}

const probe = new LdapMessage();

export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  return start >= end ? "more" : probe.read(bytes, start, end);
}

/** RFC 4511, appendix A. */
const RESULT_CODES: ReadonlyMap<number, string> = new Map([
  [1, "operationsError"],
  [2, "protocolError"],
  [3, "timeLimitExceeded"],
  [4, "sizeLimitExceeded"],
  [7, "authMethodNotSupported"],
  [8, "strongerAuthRequired"],
  [11, "adminLimitExceeded"],
  [12, "unavailableCriticalExtension"],
  [13, "confidentialityRequired"],
  [16, "noSuchAttribute"],
  [17, "undefinedAttributeType"],
  [18, "inappropriateMatching"],
  [19, "constraintViolation"],
  [20, "attributeOrValueExists"],
  [21, "invalidAttributeSyntax"],
  [32, "noSuchObject"],
  [33, "aliasProblem"],
  [34, "invalidDNSyntax"],
  [36, "aliasDereferencingProblem"],
  [48, "inappropriateAuthentication"],
  [49, "invalidCredentials"],
  [50, "insufficientAccessRights"],
  [51, "busy"],
  [52, "unavailable"],
  [53, "unwillingToPerform"],
  [54, "loopDetect"],
  [64, "namingViolation"],
  [65, "objectClassViolation"],
  [66, "notAllowedOnNonLeaf"],
  [67, "notAllowedOnRDN"],
  [68, "entryAlreadyExists"],
  [69, "objectClassModsProhibited"],
  [71, "affectsMultipleDSAs"],
  [80, "other"],
]);

/** Success, the results of a comparison, a referral and a bind under way are no errors. */
const NO_ERRORS: ReadonlySet<number> = new Set([0, 5, 6, 10, 14]);

export function resultError(code: number): string {
  return NO_ERRORS.has(code) ? "" : (RESULT_CODES.get(code) ?? `result_${code}`);
}
