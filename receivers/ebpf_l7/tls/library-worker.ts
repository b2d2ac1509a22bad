// SPDX-License-Identifier: Apache-2.0
// The thread of LibraryFinder: reads files that may be large.
import { parentPort } from "node:worker_threads";
import { findLibrary } from "./library.ts";
import type { FindReply, FindRequest } from "./library-finder.ts";
import { whyOpaque } from "./opaque-reason.ts";

function answer({ id, path, kinds, explain }: FindRequest): FindReply {
  try {
    return explain
      ? { id, reason: whyOpaque(path) }
      : { id, library: findLibrary(path, new Set(kinds)) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on("message", (request: FindRequest) => parentPort?.postMessage(answer(request)));
