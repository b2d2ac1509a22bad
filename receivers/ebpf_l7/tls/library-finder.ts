// SPDX-License-Identifier: Apache-2.0
import { Worker } from "node:worker_threads";
import type { LibraryKind, TlsLibrary } from "./library.ts";

export interface FindRequest {
  readonly id: number;
  readonly path: string;
  readonly kinds: readonly LibraryKind[];
  /** Not which library, but why none is seen. */
  readonly explain: boolean;
}

export interface FindReply {
  readonly id: number;
  readonly library?: TlsLibrary | undefined;
  readonly reason?: string | undefined;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (reply: FindReply) => void;
  readonly reject: (error: Error) => void;
}

/** A thread has memory of its own: it ends when nobody asked for so long. */
const IDLE_MS = 10_000;

/** Looks for TLS libraries in files on a thread of its own, so that records are read meanwhile. */
export class LibraryFinder {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #nextId = 1;

  /** @throws Error when the file cannot be read. */
  async find(path: string, kinds: ReadonlySet<LibraryKind>): Promise<TlsLibrary | undefined> {
    return (await this.#ask({ path, kinds: [...kinds], explain: false })).library;
  }

  /** Why the clear text of a program cannot be seen, in words; see `whyOpaque`. */
  async explain(path: string): Promise<string> {
    return (await this.#ask({ path, kinds: [], explain: true })).reason ?? "";
  }

  close(): void {
    clearTimeout(this.#idle);
    this.#end(new Error("closed"));
  }

  #ask(question: Omit<FindRequest, "id">): Promise<FindReply> {
    clearTimeout(this.#idle);
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ ...question, id });
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL("library-worker.ts", import.meta.url), { execArgv: [] });
    worker.unref();
    worker.on("message", (reply: FindReply) => this.#answered(reply));
    worker.on("error", (error) => this.#end(toError(error)));
    worker.on("exit", () => {
      if (this.#worker === worker) this.#end(new Error("the thread that reads libraries ended"));
    });
    return worker;
  }

  #answered(reply: FindReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply);
    else waiting?.reject(new Error(reply.error));
    if (this.#waiting.size === 0) {
      this.#idle = setTimeout(() => this.#end(new Error("idle")), IDLE_MS).unref();
    }
  }

  #end(reason: Error): void {
    const worker = this.#worker;
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
    worker?.terminate().catch(() => {});
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
