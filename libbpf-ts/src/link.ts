// SPDX-License-Identifier: Apache-2.0
import { guarded } from "./failure.ts";
import type { NativeLink } from "./native.ts";

/** An iterator that writes more than this is an error, not an exhausted memory. */
const ITERATOR_BYTES_MAX = 64 << 20;

/** An attached program. It stays attached until `detach`, or until its object is closed. */
export class Link {
  readonly #native: NativeLink;
  readonly #program: string;
  readonly #onDetach: (link: Link) => void;

  /** For this package; use {@link LoadedObject.attach}. */
  constructor(handle: NativeLink, program: string, onDetach: (link: Link) => void) {
    this.#native = handle;
    this.#program = program;
    this.#onDetach = onDetach;
  }

  /** The name of the attached program. */
  get program(): string {
    return this.#program;
  }

  /** Runs an attached iterator once and returns what it wrote, at most 64 MiB. */
  readIter(): Uint8Array {
    return guarded(this.#context("read"), () => this.#native.readIterator(ITERATOR_BYTES_MAX));
  }

  /** Detaches. A second call does nothing. */
  detach(): void {
    this.#onDetach(this);
    guarded(this.#context("detach"), () => this.#native.detach());
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
