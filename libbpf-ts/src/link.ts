// SPDX-License-Identifier: Apache-2.0
import { BpfError } from "./errors.ts";
import { guarded } from "./failure.ts";
import type { LoadedProgram } from "./loaded-object.ts";
import { preparePin } from "./mounts.ts";
import { type LinkInfo, type NativeLink, native } from "./native.ts";
import type { RejectedTarget } from "./uprobe-multi.ts";

/** An iterator that writes more than this is an error, not an exhausted memory. */
const ITERATOR_BYTES_MAX = 64 << 20;

/** An attached program. It stays attached until `detach`, or until its object is closed. */
export class Link {
  readonly #handles: readonly NativeLink[];
  readonly #onDetach: (link: Link) => void;
  /** The name of the attached program. */
  readonly program: string;
  /** Functions that a `uprobe_multi` target named and that the kernel could not probe. */
  readonly rejected: readonly RejectedTarget[];

  /** For this package; use {@link LoadedObject.attach}. */
  constructor(parts: {
    readonly handles: readonly NativeLink[];
    readonly program: string;
    readonly rejected: readonly RejectedTarget[];
    readonly onDetach: (link: Link) => void;
  }) {
    this.#handles = parts.handles;
    this.program = parts.program;
    this.rejected = parts.rejected;
    this.#onDetach = parts.onDetach;
  }

  /** A link that was pinned, perhaps by a process that has ended. Closing it leaves it attached. */
  static openPinned(path: string): Link {
    const handle = guarded({ code: "ATTACH", operation: `open pinned link ${path}` }, () =>
      native.NativeLink.openPinned(path),
    );
    return new Link({ handles: [handle], program: path, rejected: [], onDetach: () => {} });
  }

  /** What the kernel says of it. An attachment without a kernel link (`tc`, `socket`) has none. */
  get info(): LinkInfo {
    return guarded(this.#context("info"), () => this.#only().info());
  }

  /** The descriptor of the kernel link; it belongs to this object. */
  get fd(): number {
    return guarded(this.#context("fd"), () => this.#only().fd);
  }

  /** Runs an attached iterator once and returns what it wrote, at most 64 MiB. */
  readIter(): Uint8Array {
    return guarded(this.#context("read"), () => this.#only().readIterator(ITERATOR_BYTES_MAX));
  }

  /** As {@link readIter}, for an iterator that prints (`BPF_SEQ_PRINTF`). */
  readText(): string {
    return Buffer.from(this.readIter()).toString("utf8");
  }

  /**
   * Keeps it attached under a path of bpffs, after `detach` and after this process has ended, until
   * the file is removed. bpffs is mounted when it is missing.
   */
  pin(path: string): void {
    preparePin(path);
    guarded(this.#context(`pin at ${path}`), () => this.#only().pin(path));
  }

  /** Puts another program of the same type in its place, without a moment of none. */
  update(program: LoadedProgram): void {
    guarded(this.#context(`update to "${program.name}"`), () => {
      for (const handle of this.#handles) {
        program.replaceIn(handle);
      }
    });
  }

  /** Detaches, also when it is pinned or held by others; not all kinds of links can. */
  forceDetach(): void {
    guarded(this.#context("force detach"), () => {
      for (const handle of this.#handles) {
        handle.forceDetach();
      }
    });
    this.detach();
  }

  /** Detaches. A second call does nothing. */
  detach(): void {
    this.#onDetach(this);
    guarded(this.#context("detach"), () => {
      for (const handle of this.#handles) {
        handle.detach();
      }
    });
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  #only(): NativeLink {
    const [handle, second] = this.#handles;
    if (handle === undefined || second !== undefined) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `link of program "${this.program}": it is ${this.#handles.length} links, one a CPU.`,
      });
    }
    return handle;
  }

  #context(operation: string): {
    readonly code: "ATTACH";
    readonly operation: string;
    readonly program: string;
  } {
    const program = this.program;
    return { code: "ATTACH", operation: `${operation} program "${program}"`, program };
  }
}
