// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { listeningPorts } from "./proc-net.ts";

const SETPRIV = "/usr/bin/setpriv";
const OUTPUT_BYTES_MAX = 256 * 1024;

export interface StartOptions {
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the environment of this process; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Name of a network namespace made by `createNetworkBed`. */
  readonly netns?: string;
  /** Wait until the process listens: on this TCP port, or with 0 on any. */
  readonly readyPort?: number;
  /** Wait until the output matches. */
  readonly readyOutput?: RegExp;
  /** For readiness; the process is killed when it passes. Default 20,000. */
  readonly readyTimeoutMs?: number;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that we started, leader of a process group of its own. */
export interface RunningProcess {
  readonly pid: number;
  /** The port of `readyPort`, the lowest one it listens on when that was 0; else 0. */
  readonly port: number;
  readonly ended: Promise<ProcessEnd>;
  /** The last 256 KiB of stdout and stderr, as they came. */
  output(): string;
  /** Sends the signal; after `graceMs` kills what is left of the process group. */
  stop(options?: {
    readonly signal?: NodeJS.Signals;
    readonly graceMs?: number;
  }): Promise<ProcessEnd>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The same command, which the kernel sends SIGTERM when we end, even if we are killed. */
export function endingWithUs(command: readonly string[]): readonly string[] {
  return existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "TERM", ...command] : command;
}

function commandLine(options: StartOptions): readonly string[] {
  const inside = options.netns === undefined ? [] : ["ip", "netns", "exec", options.netns];
  return endingWithUs([...inside, options.command, ...(options.args ?? [])]);
}

function environment(added: StartOptions["env"]): NodeJS.ProcessEnv {
  // The test runner's own variable would make a Node child report to it instead of running.
  return { ...process.env, NODE_TEST_CONTEXT: undefined, ...added };
}

/**
 * Starts a process and waits until it is ready. Fails with the process's output when it ends or
 * takes too long before that. `setpriv` and `ip netns exec` replace themselves by the command, so
 * the pid is the command's own.
 */
export async function startProcess(options: StartOptions): Promise<RunningProcess> {
  const [program = options.command, ...args] = commandLine(options);
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: environment(options.env),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const started = new StartedProcess(child, options.command);
  try {
    await started.ready(options);
  } catch (error) {
    await started.stop({ signal: "SIGKILL" });
    throw error;
  }
  return started;
}

/** For the exit of this process, whatever its reason: one handler for all children. */
const unfinished = new Set<StartedProcess>();
process.once("exit", () => {
  for (const one of unfinished) one.killGroup();
});

class StartedProcess implements RunningProcess {
  readonly pid: number;
  readonly ended: Promise<ProcessEnd>;
  port = 0;
  readonly #child: ChildProcess;
  readonly #command: string;
  #output = "";
  #spawnError: Error | undefined;

  constructor(child: ChildProcess, command: string) {
    this.#child = child;
    this.#command = command;
    this.pid = child.pid ?? 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_BYTES_MAX);
      });
    }
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal }));
      child.once("error", (error) => {
        this.#spawnError = error;
        if (child.pid === undefined) resolve({ code: null, signal: null });
      });
    });
    // At once: later the number of an empty group may be somebody else's.
    child.once("exit", () => this.killGroup());
    if (child.pid !== undefined) unfinished.add(this);
  }

  output(): string {
    return this.#output;
  }

  async ready(options: StartOptions): Promise<void> {
    const timeoutMs = options.readyTimeoutMs ?? 20_000;
    const deadlineMs = Date.now() + timeoutMs;
    while (!this.#isReady(options)) {
      if (this.#hasEnded()) {
        await this.ended;
        if (this.#isReady(options)) return;
        const why = this.#spawnError?.message ?? `ended with ${this.#endText()}`;
        throw new Error(`${this.#command}: ${why} before it was ready\n${this.#output}`);
      }
      if (Date.now() > deadlineMs) {
        throw new Error(`${this.#command}: not ready after ${timeoutMs} ms\n${this.#output}`);
      }
      await delay(20);
    }
  }

  async stop(
    options: { readonly signal?: NodeJS.Signals; readonly graceMs?: number } = {},
  ): Promise<ProcessEnd> {
    const { signal = "SIGTERM", graceMs = 5_000 } = options;
    if (!this.#hasEnded()) this.#child.kill(signal);
    const waited = new AbortController();
    const late = delay(graceMs, undefined, { signal: waited.signal }).catch(() => undefined);
    await Promise.race([this.ended, late]);
    waited.abort();
    this.killGroup();
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The group holds what the process started and nothing of anybody else's. */
  killGroup(): void {
    if (!unfinished.delete(this)) return;
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      // ESRCH: nothing is left of the group.
    }
  }

  #isReady(options: StartOptions): boolean {
    const { readyOutput, readyPort } = options;
    if (readyOutput !== undefined && !readyOutput.test(this.#output)) return false;
    if (readyPort === undefined) return readyOutput !== undefined || !this.#hasEnded();
    const ports = listeningPorts(this.pid);
    const port = readyPort === 0 ? ports[0] : ports.find((one) => one === readyPort);
    this.port = port ?? 0;
    return port !== undefined;
  }

  #hasEnded(): boolean {
    const { exitCode, signalCode, pid } = this.#child;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  #endText(): string {
    return String(this.#child.exitCode ?? this.#child.signalCode);
  }
}
