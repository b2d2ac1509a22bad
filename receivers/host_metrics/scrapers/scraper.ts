// SPDX-License-Identifier: Apache-2.0
import type { HostMetricsConfig } from "../config.ts";
import type { HostFiles } from "../host-files.ts";
import type { Attributes, Recorder } from "../recorder.ts";

export interface ScrapeInputs {
  readonly host: HostFiles;
  readonly config: HostMetricsConfig;
  /** Milliseconds of the epoch. */
  readonly nowMs: number;
  /** For what is said of the host. */
  readonly record: Recorder;
  /** A recorder for what is said of one thing of its own, such as a process. */
  resource(attributes: Attributes, startNs: bigint): Recorder;
  /** Something could not be read; the rest goes on. */
  failed(what: string, error: unknown): void;
}

/** Reads once. Throws, or rejects, when nothing of it can be read. */
export type Scraper = (inputs: ScrapeInputs) => void | Promise<void>;
