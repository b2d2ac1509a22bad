// SPDX-License-Identifier: Apache-2.0
import type { RefusedProbe } from "../../src/component/agent-view.ts";
import type { Fields, Logger } from "../../src/component/telemetry.ts";

/** Processes that are remembered; those after them are in the log only. */
const PROCESSES_MAX = 256;

/**
 * A log that remembers which processes could not be followed, and why: a warning with `pid` and
 * `reason` is a refusal, an info with `pid` says that it is followed after all.
 */
export class Refusals implements Logger {
  readonly #logger: Logger;
  readonly #what: string;
  readonly #byPid = new Map<number, RefusedProbe>();

  /** `what` of a process could not be followed. */
  constructor(logger: Logger, what: string) {
    this.#logger = logger;
    this.#what = what;
  }

  list(): readonly RefusedProbe[] {
    return [...this.#byPid.values()];
  }

  /** The process has ended, or is watched no more. */
  forget(pid: number): void {
    this.#byPid.delete(pid);
  }

  debug(message: string, fields?: Fields): void {
    this.#logger.debug(message, fields);
  }

  info(message: string, fields?: Fields): void {
    if (typeof fields?.["pid"] === "number") this.#byPid.delete(fields["pid"]);
    this.#logger.info(message, fields);
  }

  warn(message: string, fields?: Fields): void {
    this.#logger.warn(message, fields);
    const { pid, reason, service = "" } = fields ?? {};
    if (typeof pid !== "number" || reason === undefined) return;
    if (this.#byPid.size >= PROCESSES_MAX && !this.#byPid.has(pid)) return;
    const name = `${this.#what} of ${service === "" ? "process" : service} (pid ${pid})`;
    this.#byPid.set(pid, { name, reason: `${message}: ${reason}` });
  }

  error(message: string, fields?: Fields): void {
    this.#logger.error(message, fields);
  }
}
