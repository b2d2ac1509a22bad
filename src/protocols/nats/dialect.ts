// SPDX-License-Identifier: Apache-2.0
import { type Direction, SENT } from "../../model/protocol.ts";
import type { NameTable } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import type { MessagingDetails, MessagingExchange } from "../messaging.ts";
import { detect, OPERATIONS, operationAt } from "./detect.ts";
import { isInbox, isJetStreamAck, isPull, operationOfSubject } from "./subjects.ts";

const LF = 10;
/** The server's default limit of a control line. */
const LINE_BYTES_MAX = 4096;
const PAYLOAD_BYTES_MAX = 2 ** 30;

/** Operations whose line ends with the size of the payload that follows. */
const PUB = OPERATIONS.indexOf("PUB");
const HPUB = OPERATIONS.indexOf("HPUB");
const MSG = OPERATIONS.indexOf("MSG");
const HMSG = OPERATIONS.indexOf("HMSG");
const ERROR = OPERATIONS.indexOf("-ERR");
const CONNECT = OPERATIONS.indexOf("CONNECT");
const OK = OPERATIONS.indexOf("+OK");
const PONG = OPERATIONS.indexOf("PONG");

/** No subject has a space. */
const CONNECTING = " connect";

/** The words of a control line. */
class Line {
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  /** From `start` to before the CR. */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.starts.length = 0;
    this.ends.length = 0;
    let at = start;
    while (at < end && this.starts.length < 6) {
      while (at < end && (bytes[at] ?? 0) <= 0x20) at++;
      if (at === end) break;
      this.starts.push(at);
      while (at < end && (bytes[at] ?? 0) > 0x20) at++;
      this.ends.push(at);
    }
  }
}

/**
 * Messages of one connection. A message with a reply subject is a request: the message that comes
 * back to that subject ends it. All others are answered by nobody.
 */
export class NatsDialect implements CorrelatedDialect<MessagingDetails> {
  /** The line of a message; a longer one is told when its frame ends. */
  readonly headerBytes = 64;
  /** A reply subject is made for one request. */
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<MessagingDetails>;
  readonly #names: NameTable;
  readonly #line = new Line();

  constructor(exchanges: Exchanges<MessagingDetails>, names: NameTable) {
    this.#exchanges = exchanges;
    this.#names = names;
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    const line = bytes.subarray(start, Math.min(end, start + LINE_BYTES_MAX * 16)).indexOf(LF);
    const operation = operationAt(bytes, start, line < 0 ? end : start + line);
    if (line < 0) {
      // A word that is cut short may become one.
      const isPossible = operation >= 0 || detect(bytes, start, end) === "more";
      return isPossible ? NEED_MORE : NOT_A_FRAME;
    }
    if (operation < 0) return NOT_A_FRAME;
    const length = line + 1;
    if (operation < PUB || operation > HMSG || !hasPayload(operation)) return length;
    const payload = lastNumber(bytes, start, start + line);
    return payload < 0 || payload > PAYLOAD_BYTES_MAX ? NOT_A_FRAME : length + payload + 2;
  }

  readonly plausible: typeof detect = detect;

  started(frame: Frame<MessagingDetails>): void {
    const { bytes, start, end } = frame;
    const line = lineEnd(bytes, start, end);
    // Of a long line not all is there yet: `ended` begins it.
    if (line < 0) return;
    this.#begin(frame, line);
  }

  ended(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end, direction } = frame;
    const line = lineEnd(bytes, start, end);
    const operation = operationAt(bytes, start, line < 0 ? end : line);
    if (operation === CONNECT) return this.#connect(frame);
    if (operation === OK || operation === PONG) return this.#connected(frame, "");
    if (operation === ERROR) return this.#connected(frame, errorName(frame));
    if (!hasPayload(operation)) return TAKEN;
    if (line < 0) return MALFORMED;
    if (!this.#isRead(frame, line)) return MALFORMED;
    if (frame.exchange === undefined && !this.#answer(frame, line)) return UNASKED;
    const { exchange } = frame;
    if (exchange === undefined) return TAKEN;
    exchange.requestEndNs = frame.endNs;
    if (exchange.key === undefined) this.#exchanges.end(exchange, frame.endNs);
    else if (direction !== SENT) exchange.answerOptional = true;
    return TAKEN;
  }

  lost(direction: Direction): void {
    // The next OK or PONG may be another's.
    const open = this.#exchanges.find(opposite(direction), CONNECTING);
    if (open !== undefined) this.#exchanges.abandon(open, "gap");
  }

  /** Reads the line of a message; false when words are missing. */
  #isRead(frame: Frame<MessagingDetails>, lineEndAt: number): boolean {
    const { bytes, start } = frame;
    this.#line.read(bytes, start, lineEndAt);
    const operation = operationAt(bytes, start, lineEndAt);
    const hasHeaders = operation === HPUB || operation === HMSG ? 1 : 0;
    const isDelivered = operation === MSG || operation === HMSG ? 1 : 0;
    const count = this.#line.starts.length;
    this.#replyIndex = count === 4 + hasHeaders + isDelivered ? 2 + isDelivered : -1;
    return this.#replyIndex > 0 || count === 3 + hasHeaders + isDelivered;
  }

  #replyIndex = -1;

  /** Replies go to names that never come again: these are not kept. */
  #subject(frame: Frame<MessagingDetails>, index: number): string {
    const { starts, ends } = this.#line;
    const [start = 0, end = 0] = [starts[index], ends[index]];
    if (!isInbox(frame.bytes, start, end)) return this.#names.find(frame.bytes, start, end);
    return String.fromCharCode(...frame.bytes.subarray(start, Math.min(end, start + 256)));
  }

  #begin(frame: Frame<MessagingDetails>, line: number): void {
    const operation = operationAt(frame.bytes, frame.start, line);
    if (operation < 0 || !hasPayload(operation) || !this.#isRead(frame, line)) return;
    const subject = this.#subject(frame, 1);
    // The message that a request waits for is told by the request.
    const asker = opposite(frame.direction);
    if (this.#exchanges.find(asker, subject) !== undefined) return;
    const isReply = isInbox(frame.bytes, this.#line.starts[1] ?? 0, this.#line.ends[1] ?? 0);
    if (isReply) return;
    const isAck = isJetStreamAck(subject);
    const reply = this.#replyIndex < 0 || isAck ? "" : this.#subject(frame, this.#replyIndex);
    // A delivery of a stream carries where its acknowledgement goes.
    const isAwaited = reply !== "" && !isJetStreamAck(reply) && !isPull(subject);
    const exchange = this.#exchanges.begin(frame, isAwaited ? reply : undefined);
    const isSent = operation === PUB || operation === HPUB;
    const { details } = exchange;
    details.destination = subject;
    details.bodyBytes = this.#bodyBytes(frame, operation);
    details.conversationId = isAwaited ? reply : "";
    describe(exchange, { isSent, isAwaited, subject });
    if (details.type === "") return;
    if (isSent && frame.direction === SENT) exchange.messaging = "producer";
    else if (!isSent && frame.direction !== SENT) exchange.messaging = "consumer";
  }

  #bodyBytes(frame: Frame<MessagingDetails>, operation: number): number {
    const { starts, ends } = this.#line;
    const last = starts.length - 1;
    const total = digits(frame.bytes, starts[last] ?? 0, ends[last] ?? 0);
    if (operation === PUB || operation === MSG) return total;
    const headers = digits(frame.bytes, starts[last - 1] ?? 0, ends[last - 1] ?? 0);
    return Math.max(0, total - headers);
  }

  /** False for a reply to nothing. */
  #answer(frame: Frame<MessagingDetails>, line: number): boolean {
    const asked = this.#exchanges.find(opposite(frame.direction), this.#subject(frame, 1));
    if (asked === undefined) {
      this.#begin(frame, line);
      return frame.exchange !== undefined;
    }
    this.#exchanges.answer(asked, frame);
    const { details } = asked;
    const body = replyHead(frame, line);
    const status = headerStatus(frame, line);
    // A stream's answer to a message that was published to it, or to a request of its own.
    if (/^\{"stream":/.test(body)) details.operation = "publish";
    const isStream = details.operation === "publish" || details.type === "";
    const code = /^\{[^{]{0,200}"error":\s*\{"code":\s*(\d{3})/.exec(body)?.[1] ?? "";
    asked.errorType = status !== "" ? status : isStream || body.startsWith('{"error"') ? code : "";
    this.#exchanges.end(asked, frame.endNs);
    return true;
  }

  /** The client's first word, which the server's first answer to anything ends. */
  #connect(frame: Frame<MessagingDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const exchange = this.#exchanges.begin(frame, CONNECTING);
    const text = String.fromCharCode(...bytes.subarray(start, Math.min(end, start + 4096)));
    exchange.details.operation = "connect";
    exchange.details.clientId = /"name":\s*"([^"\\]{1,100})"/.exec(text)?.[1] ?? "";
    exchange.requestEndNs = frame.endNs;
    return TAKEN;
  }

  #connected(frame: Frame<MessagingDetails>, error: string): FrameOutcome {
    const asked = this.#exchanges.find(opposite(frame.direction), CONNECTING);
    if (asked === undefined) return TAKEN;
    this.#exchanges.answer(asked, frame);
    asked.errorType = error;
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}

function describe(
  exchange: MessagingExchange,
  facts: { readonly isSent: boolean; readonly isAwaited: boolean; readonly subject: string },
): void {
  const { details } = exchange;
  const special = operationOfSubject(facts.subject);
  const sent = facts.isAwaited ? "request" : "publish";
  details.operation = special ?? (facts.isSent ? sent : "deliver");
  if (special === "ack") details.type = "settle";
  else if (special === undefined || special === "publish") {
    details.type = facts.isSent ? "send" : "receive";
  }
}

function hasPayload(operation: number): boolean {
  return operation === PUB || operation === HPUB || operation === MSG || operation === HMSG;
}

/** Where the CR or the LF of the first line stands; -1 when it is not there. */
function lineEnd(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    if (bytes[at] === LF) return at > start && bytes[at - 1] === 13 ? at - 1 : at;
  }
  return -1;
}

/** The number at the line's end; -1 if there is none. */
function lastNumber(bytes: Uint8Array, start: number, end: number): number {
  let stop = end;
  while (stop > start && (bytes[stop - 1] ?? 0) <= 0x20) stop--;
  let first = stop;
  while (first > start && (bytes[first - 1] ?? 0) > 0x20) first--;
  return first === start ? -1 : digits(bytes, first, stop);
}

function digits(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > 10) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** `NATS/1.0 503`: the status of a reply's headers, empty for none. */
function headerStatus(frame: Frame<MessagingDetails>, line: number): string {
  const { bytes, start, end } = frame;
  if (operationAt(bytes, start, line) !== HMSG) return "";
  const head = String.fromCharCode(...bytes.subarray(line + 2, Math.min(end, line + 15)));
  const status = /^NATS\/1\.0 (\d{3})/.exec(head)?.[1] ?? "";
  return status >= "400" ? status : "";
}

function replyHead(frame: Frame<MessagingDetails>, line: number): string {
  const start = line + 2;
  return String.fromCharCode(...frame.bytes.subarray(start, Math.min(frame.end, start + 300)));
}

/** `-ERR 'Authorization Violation'` without its details. */
function errorName(frame: Frame<MessagingDetails>): string {
  const { bytes, start, end } = frame;
  const text = String.fromCharCode(...bytes.subarray(start + 4, Math.min(end, start + 80)));
  return /^\s*'([A-Za-z ]{3,40}?)(?: for .*)?'/.exec(text)?.[1] ?? "error";
}
