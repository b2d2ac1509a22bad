// SPDX-License-Identifier: Apache-2.0
import { addressText, isIpv4 } from "../../src/conntrack/nat-entry.ts";
import { putVarint, varintBytes } from "../../src/pdata/wire.ts";

const VALUES_MAX = 8192;
/** Tags of AnyValue (common.proto). */
const STRING_TAG = 0x0a;
const INT_TAG = 0x18;

const encoder = new TextEncoder();

/** Encoded AnyValues of addresses and ports, kept because they come again and again. */
export class EncodedValues {
  readonly #ipv4 = new Map<number, Uint8Array>();
  readonly #ports = new Map<number, Uint8Array>();

  address(words: Int32Array, at: number): Uint8Array {
    if (!isIpv4(words, at)) return encodedText(addressText(words, at));
    const key = words[at + 3] ?? 0;
    let value = this.#ipv4.get(key);
    if (value === undefined) {
      value = encodedText(addressText(words, at));
      if (this.#ipv4.size >= VALUES_MAX) this.#ipv4.clear();
      this.#ipv4.set(key, value);
    }
    return value;
  }

  port(port: number): Uint8Array {
    let value = this.#ports.get(port);
    if (value === undefined) {
      value = new Uint8Array(1 + varintBytes(port));
      value[0] = INT_TAG;
      putVarint(value, 1, port);
      if (this.#ports.size >= VALUES_MAX) this.#ports.clear();
      this.#ports.set(port, value);
    }
    return value;
  }
}

/** An AnyValue of at most 127 bytes of text. */
export function encodedText(text: string): Uint8Array {
  const utf8 = encoder.encode(text);
  return Uint8Array.from([STRING_TAG, utf8.length, ...utf8]);
}
