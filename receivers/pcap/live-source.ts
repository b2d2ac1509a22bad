// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { CaptureSource } from "./capture-files.ts";

/** Between the kernel and tcpdump; its default of 2 MiB overflows in a moment. */
const BUFFER_KIB = "32768";
/** Until tcpdump says that it listens. */
const START_MS_MAX = 10_000;
const STDERR_BYTES_MAX = 4096;

type Tcpdump = ChildProcessByStdio<null, Readable, Readable>;

/**
 * A network interface, by tcpdump: it opens the packet socket and applies the filter in the kernel;
 * what it writes is read as a capture without an end.
 */
export class LiveSource implements CaptureSource {
  readonly name: string;
  readonly #arguments: readonly string[];
  #child: Tcpdump | undefined;

  constructor(device: string, filter: string) {
    this.name = device;
    const words = ["-U", "-n", "-B", BUFFER_KIB, "-i", device, "-w", "-"];
    this.#arguments = filter === "" ? words : [...words, "--", filter];
  }

  /** Starts to capture: what comes before `open` waits in the pipe. */
  async prepare(): Promise<void> {
    const child = spawn("tcpdump", this.#arguments, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let said = "";
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("tcpdump does not start")), START_MS_MAX);
        const settle = (): void => clearTimeout(timer);
        child.once("error", (error) => {
          settle();
          reject(error);
        });
        child.once("exit", () => {
          settle();
          reject(new Error(said.trim() || "tcpdump ended"));
        });
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          said = (said + text).slice(-STDERR_BYTES_MAX);
          if (!said.includes("listening on")) return;
          settle();
          resolve();
        });
      });
    } catch (error) {
      child.kill("SIGKILL");
      throw new AgentError(
        "BS_START",
        `pcap: interface: ${this.name}: ${messageOf(error)}. ` +
          "A live capture needs the program tcpdump and the right to use it (root or CAP_NET_RAW).",
      );
    }
  }

  open(stopping: AbortSignal): Readable {
    const child = this.#child;
    if (child === undefined) throw new AgentError("BS_INTERNAL", "the capture was not prepared");
    const stop = (): void => {
      child.kill("SIGTERM");
    };
    if (stopping.aborted) stop();
    else stopping.addEventListener("abort", stop, { once: true });
    return child.stdout;
  }
}
