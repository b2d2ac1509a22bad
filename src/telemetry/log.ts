// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, writeSync } from "node:fs";
import { AgentError } from "../component/errors.ts";
import type { Fields, Logger, LogLevel } from "../component/telemetry.ts";
import { LogSampler, type SamplingOptions } from "./log-sampler.ts";

const NOWHERE: LogForward = () => undefined;
const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  readonly level: LogLevel;
  readonly encoding: "console" | "json";
  /** `stderr`, `stdout` or paths of files that are appended to. */
  readonly outputPaths: readonly string[];
  readonly initialFields: Fields;
  readonly sampling: SamplingOptions;
  /** In every line of the JSON form. */
  readonly resource: Readonly<Record<string, string>>;
}

/** Takes lines besides the files. */
export type LogForward = (level: LogLevel, nowMs: number, message: string, fields: Fields) => void;

/** Where log lines go. Writes are synchronous: a line is never lost and never waits in memory. */
export class Log {
  readonly #options: LogOptions;
  readonly #sampler: LogSampler;
  readonly #descriptors: number[];
  readonly #owned: number[] = [];
  #forward: LogForward | undefined;
  #closed = false;

  /** Throws `AgentError` when a file cannot be opened. */
  constructor(options: LogOptions) {
    this.#options = options;
    this.#sampler = new LogSampler(options.sampling);
    this.#descriptors = options.outputPaths.map((path) => this.#open(path));
  }

  /** Lines that are written also go to `forward`, but for those of a `localLogger`. */
  forward(forward: LogForward): void {
    this.#forward = forward;
  }

  /** A logger that adds `fields` to each line. */
  logger(fields: Fields): Logger {
    const at = (level: LogLevel) => (message: string, more?: Fields) =>
      this.write(level, message, more === undefined ? fields : { ...fields, ...more });
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  /** A logger whose lines are not forwarded. */
  localLogger(): Logger {
    const at = (level: LogLevel) => (message: string, fields?: Fields) =>
      this.write(level, message, fields ?? {}, NOWHERE);
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  write(
    level: LogLevel,
    message: string,
    fields: Fields,
    forward: LogForward | undefined = this.#forward,
  ): void {
    if (this.#closed || RANK[level] < RANK[this.#options.level]) return;
    const nowMs = Date.now();
    if (!this.#sampler.passes(level, message, nowMs)) return;
    const all = { ...this.#options.initialFields, ...fields };
    forward?.(level, nowMs, message, all);
    const line =
      this.#options.encoding === "json"
        ? jsonLine({ level, nowMs, message, resource: this.#options.resource, fields: all })
        : consoleLine(level, nowMs, message, all);
    for (const descriptor of this.#descriptors) {
      try {
        writeSync(descriptor, line);
      } catch {
        // A closed terminal or a full disk must not stop the agent.
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const descriptor of this.#owned.splice(0)) closeSync(descriptor);
  }

  #open(path: string): number {
    if (path === "stderr") return process.stderr.fd;
    if (path === "stdout") return process.stdout.fd;
    try {
      const descriptor = openSync(path, "a");
      this.#owned.push(descriptor);
      return descriptor;
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      throw new AgentError(
        "BS_START",
        `cannot open the log file "${path}": ${cause}. Check service::telemetry::logs::output_paths`,
        { cause: error },
      );
    }
  }
}

/** `2006-01-02T15:04:05.000Z<tab>info<tab>Message<tab>{"field": 1}` */
function consoleLine(level: LogLevel, nowMs: number, message: string, fields: Fields): string {
  const parts = [new Date(nowMs).toISOString(), level, escapeControls(message)];
  if (Object.keys(fields).length > 0) parts.push(JSON.stringify(fields));
  return `${parts.join("\t")}\n`;
}

function jsonLine(line: {
  readonly level: LogLevel;
  readonly nowMs: number;
  readonly message: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly fields: Fields;
}): string {
  const { level, nowMs, message, resource, fields } = line;
  const ts = new Date(nowMs).toISOString();
  return `${JSON.stringify({ level, ts, msg: message, resource, ...fields })}\n`;
}

/** A message made from foreign bytes must not move the cursor or begin a new line. */
function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) =>
    character === "\n" ? "\\n" : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
