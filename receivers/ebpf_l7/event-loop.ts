// SPDX-License-Identifier: Apache-2.0
import { ATTR_PROCESS_RUNTIME_NAME } from "@opentelemetry/semantic-conventions/incubating";
import type { SelectedProcess } from "../../src/model/process.ts";

/** Runtimes whose threads each run one event loop, and idle in it only. */
export const EVENT_LOOPS: ReadonlySet<string> = new Set(["nodejs", "deno", "bun"]);

/** Does this process's runtime wait for new work nowhere but in its event loop? */
export function isEventLoop(process: SelectedProcess): boolean {
  return EVENT_LOOPS.has(String(process.attributes.get(ATTR_PROCESS_RUNTIME_NAME)));
}
