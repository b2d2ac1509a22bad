// SPDX-License-Identifier: Apache-2.0

/** `_INBOX.`: a subject that a client made for its replies. */
const INBOX = [..."_INBOX."].map((character) => character.charCodeAt(0));

export function isInbox(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start > INBOX.length && INBOX.every((byte, index) => bytes[start + index] === byte);
}

/** Where a delivery of a stream is acknowledged: `$JS.ACK.<stream>.<consumer>. …` */
export function isJetStreamAck(subject: string): boolean {
  return subject.startsWith("$JS.ACK.");
}

/** A request for messages: they come as deliveries, each with its own subject. */
export function isPull(subject: string): boolean {
  return subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.");
}

/**
 * What a message to a subject of the server's own means; undefined for a subject of the users.
 * https://docs.nats.io/reference/reference-protocols/nats_api_reference
 */
export function operationOfSubject(subject: string): string | undefined {
  if (subject.startsWith("$JS.ACK.")) return "ack";
  if (!subject.startsWith("$JS.API.")) return undefined;
  // `STREAM.CREATE.orders`: the name of what it is about is left out.
  const words = subject.slice("$JS.API.".length).split(".");
  const end = words.findIndex((word) => !API_WORDS.has(word));
  const known = end < 0 ? words : words.slice(0, end);
  return known.length === 0 ? "api" : known.join(".");
}

const API_WORDS: ReadonlySet<string> = new Set(
  `ACCOUNT CANCEL CONSUMER CREATE DELETE DIRECT DURABLE GET INFO LEADER LIST META MOVE MSG NAMES NEXT
PAUSE PEER PURGE REMOVE RESET RESTORE SERVER SNAPSHOT STEPDOWN STREAM TEMPLATE UNPIN UPDATE`.split(
    /\s+/,
  ),
);
