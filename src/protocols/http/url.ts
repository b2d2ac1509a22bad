// SPDX-License-Identifier: Apache-2.0

const QUESTION_MARK = 63;
const AMPERSAND = 38;
const EQUALS = 61;
const REDACTED = new TextEncoder().encode("REDACTED");

/** By the note on `url.full` and `url.query` in the semantic conventions; case-sensitive. */
const SENSITIVE: readonly Uint8Array[] = [
  "X-Amz-Signature",
  "X-Amz-Credential",
  "X-Amz-Security-Token",
  "AWSAccessKeyId",
  "Signature",
  "sig",
  "X-Goog-Signature",
].map((key) => new TextEncoder().encode(key));

/** Room for scheme, authority (300 bytes) and a target of 2,048 bytes whose values all grow. */
const BYTES_MAX = 16 * 1024;

/** Puts a URL together in one buffer that is used again. */
export class UrlWriter {
  readonly bytes: Uint8Array = new Uint8Array(BYTES_MAX);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  start(scheme: string, authority: Uint8Array): void {
    this.length = 0;
    for (let index = 0; index < scheme.length; index++) this.#byte(scheme.charCodeAt(index));
    this.#byte(58);
    this.#byte(47);
    this.#byte(47);
    this.#copy(authority, 0, authority.length);
  }

  /** An empty path is `/`; the asterisk of OPTIONS is none (RFC 9112 section 3.3). */
  path(target: Uint8Array, start: number, end: number): void {
    if (start === end) this.#byte(47);
    else if (target[start] === 47) this.#copy(target, start, end);
  }

  query(target: Uint8Array, start: number, end: number): void {
    this.#byte(QUESTION_MARK);
    this.redactedQuery(target, start, end);
  }

  redactedQuery(target: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      let next = at;
      let equals = -1;
      while (next < end && target[next] !== AMPERSAND) {
        if (equals < 0 && target[next] === EQUALS) equals = next;
        next++;
      }
      if (equals >= 0 && isSensitive(target, at, equals)) {
        this.#copy(target, at, equals + 1);
        this.#copy(REDACTED, 0, REDACTED.length);
      } else this.#copy(target, at, next);
      if (next < end) this.#byte(AMPERSAND);
      at = next + 1;
    }
  }

  #byte(value: number): void {
    if (this.length < BYTES_MAX) this.bytes[this.length++] = value;
  }

  #copy(source: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; at++) this.#byte(source[at] ?? 0);
  }
}

function isSensitive(target: Uint8Array, start: number, end: number): boolean {
  for (const key of SENSITIVE) {
    if (key.length !== end - start) continue;
    let index = 0;
    while (index < key.length && key[index] === target[start + index]) index++;
    if (index === key.length) return true;
  }
  return false;
}
