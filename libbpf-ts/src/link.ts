// SPDX-License-Identifier: Apache-2.0
import { guarded } from "./failure.ts";
import { type NativeLink, native } from "./native.ts";

/** An iterator that writes more than this is an error, not an exhausted memory. */
const ITERATOR_BYTES_MAX = 64 << 20;

/** An attached program. It stays attached until `detach`, or until its object is closed. */
export class Link {
  readonly #native: NativeLink;
  readonly #program: string;

  constructor(handle: NativeLink, program: string) {
    this.#native = handle;
    this.#program = program;
  }

  /** The name of the attached program. */
  get program(): string {
    return this.#program;
  }

  /** Runs an attached iterator once and returns what it wrote, at most 64 MiB. */
  readIter(): Uint8Array {
    return guarded({ ...this.#context("read"), log: "" }, () =>
      this.#native.readIterator(ITERATOR_BYTES_MAX),
    );
  }

  /** Detaches. A second call does nothing. */
  detach(): void {
    guarded({ ...this.#context("detach"), log: native.takeLog() }, () => this.#native.detach());
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  #context(operation: string): {
    readonly code: "ATTACH";
    readonly operation: string;
    readonly program: string;
  } {
    const program = this.#program;
    return { code: "ATTACH", operation: `${operation} program "${program}"`, program };
  }
}
