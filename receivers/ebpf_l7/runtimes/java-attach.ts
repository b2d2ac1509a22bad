// SPDX-License-Identifier: Apache-2.0
import {
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { createConnection } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** HotSpot looks for the file within a fraction of this once it got the signal. */
const LISTENS_WITHIN_MS = 15_000;
const LISTENS_POLL_MS = 50;
const ANSWERS_WITHIN_MS = 60_000;
const ANSWER_BYTES_MAX = 1 << 20;
/** As the kernel cuts "VM Periodic Task Thread". */
const LAST_THREAD = "VM Periodic Tas\n";
const OLD_SECONDS = 10;
/** Field 22 of /proc/PID/stat, counted behind the name. */
const START_TIME = 19;
const TICKS_PER_SECOND = 100;
const SOCKET_PATH_MAX = 107;
/** Bits of SigCgt in /proc/PID/status start with signal 1. */
const SIGQUIT_BIT = 1n << 2n;

/** A JVM that cannot be attached to; the message says why and what to do. */
export class AttachRefused extends Error {
  override readonly name = "AttachRefused";
}

/** The same of one that may still be starting. */
export class AttachLater extends AttachRefused {}

/** How to reach a JVM, in whatever namespaces it lives. */
export interface JavaProcess {
  readonly pid: number;
  /** Its number in its own pid namespace, by which it names its files. */
  readonly ownPid: number;
  readonly uid: number;
  readonly gid: number;
}

/** @throws AttachRefused when it cannot be attached to, without having touched it. */
export function inspectJava(pid: number): JavaProcess {
  let status: string;
  let command: string;
  let environment: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, "utf8");
    command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    environment = readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch (cause) {
    throw new AttachRefused(refusalOf(pid, cause), { cause });
  }
  const field = (name: string): readonly string[] =>
    new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]?.split(/\s+/) ?? [];
  if (/\+DisableAttachMechanism/.test(`${command}\0${environment}`)) {
    throw new AttachRefused("the JVM was started with -XX:+DisableAttachMechanism; remove it");
  }
  if (/-XX:-EnableDynamicAgentLoading/.test(`${command}\0${environment}`)) {
    throw new AttachRefused("the JVM was started with -XX:-EnableDynamicAgentLoading; remove it");
  }
  // The signal by which a JVM is asked to listen would end one that does not handle it.
  if ((BigInt(`0x${field("SigCgt")[0] ?? "0"}`) & SIGQUIT_BIT) === 0n) {
    throw new AttachLater("the JVM does not handle SIGQUIT: it was started with -Xrs");
  }
  if (!isInitialised(pid)) throw new AttachLater("the JVM is starting");
  return {
    pid,
    ownPid: Number(field("NSpid").at(-1) ?? pid),
    uid: Number(field("Uid")[1]),
    gid: Number(field("Gid")[1]),
  };
}

/**
 * HotSpot takes commands before it can load an agent. The last that it does before it runs the
 * program is to start this thread; one that has none is old enough some time.
 */
function isInitialised(pid: number): boolean {
  try {
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      if (readFileSync(`/proc/${pid}/task/${tid}/comm`, "utf8") === LAST_THREAD) return true;
    }
    const [startTicks = ""] = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /, "")
      .split(" ")
      .slice(START_TIME);
    const uptimeSeconds = Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
    return uptimeSeconds - Number(startTicks) / TICKS_PER_SECOND > OLD_SECONDS;
  } catch {
    return false;
  }
}

function refusalOf(pid: number, cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EPERM" || code === "EACCES") {
    return `no permission to reach process ${pid}: run as root or as the user of the JVM`;
  }
  if (code === "ENOENT" || code === "ESRCH") return `process ${pid} has ended`;
  return String(cause);
}

/** A JVM's own /tmp: also there when the JVM has ended. */
export class JavaTmp {
  readonly #descriptor: number;

  /** @throws AttachRefused */
  constructor({ pid }: JavaProcess) {
    try {
      this.#descriptor = openSync(`/proc/${pid}/root/tmp`, "r");
    } catch (cause) {
      throw new AttachRefused(refusalOf(pid, cause), { cause });
    }
  }

  /** What the JVM knows as /tmp/NAME, as this process can open it. */
  path(name: string): string {
    return `/proc/self/fd/${this.#descriptor}/${name}`;
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

/**
 * One command of HotSpot's attach protocol (JDK 9 on) and its answer.
 * @throws AttachRefused when the JVM does not listen, does not answer or refuses.
 */
export async function attachCommand(
  java: JavaProcess,
  command: "load" | "agentProperties",
  ...args: readonly string[]
): Promise<string> {
  using tmp = new JavaTmp(java);
  const path = tmp.path(`.java_pid${java.ownPid}`);
  try {
    if (!existsSync(path)) await makeListen(java, tmp);
    const [one = "", two = "", three = ""] = args;
    const answer = await ask(path, `1\0${command}\0${one}\0${two}\0${three}\0`);
    const end = answer.indexOf("\n");
    const status = answer.slice(0, end);
    const text = answer.slice(end + 1).trim();
    // JDK 9 on: `load` itself answers 0, and says what the agent returned.
    const code = command === "load" ? (/^return code: (\d+)/m.exec(text)?.[1] ?? status) : status;
    if (code !== "0") throw new AttachLater(`the JVM refused "${command}" (${code}): ${text}`);
    return text;
  } catch (cause) {
    if (cause instanceof AttachRefused) throw cause;
    throw new AttachRefused(refusalOf(java.pid, cause), { cause });
  }
}

/** HotSpot listens when it finds a file of its user after SIGQUIT. */
async function makeListen(java: JavaProcess, tmp: JavaTmp): Promise<void> {
  const request = tmp.path(`.attach_pid${java.ownPid}`);
  const socket = tmp.path(`.java_pid${java.ownPid}`);
  // Of an agent that was killed here.
  rmSync(request, { force: true });
  closeSync(openSync(request, "wx", 0o600));
  try {
    const { uid, gid } = statSync(request);
    if (uid !== java.uid || gid !== java.gid) chownSync(request, java.uid, java.gid);
    process.kill(java.pid, "SIGQUIT");
    const untilMs = performance.now() + LISTENS_WITHIN_MS;
    while (!existsSync(socket)) {
      if (!existsSync(`/proc/${java.pid}`)) {
        throw new AttachRefused(`process ${java.pid} has ended`);
      }
      if (performance.now() > untilMs) {
        throw new AttachRefused(
          "the JVM does not listen after SIGQUIT: is its attach mechanism disabled?",
        );
      }
      await sleep(LISTENS_POLL_MS);
    }
  } finally {
    rmSync(request, { force: true });
  }
}

async function ask(path: string, request: string): Promise<string> {
  if (path.length > SOCKET_PATH_MAX) throw new AttachRefused(`the path ${path} is too long`);
  return await new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const socket = createConnection(path, () => socket.write(request));
    socket.setTimeout(ANSWERS_WITHIN_MS, () => {
      socket.destroy(new AttachRefused("the JVM did not answer in time"));
    });
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES_MAX)
        socket.destroy(new AttachRefused("the JVM's answer is too long"));
      chunks.push(chunk);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const isStale = error.code === "ECONNREFUSED";
      if (isStale) removeStale(path);
      reject(isStale ? new AttachRefused("the JVM's socket was stale; try again") : error);
    });
    socket.once("close", () => {
      const answer = Buffer.concat(chunks).toString("latin1");
      if (answer.includes("\n")) resolve(answer);
      else reject(new AttachRefused("the JVM closed the connection: not its user, or it ended"));
    });
  });
}

/** Of a process that had this number before. */
function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone by now.
  }
}
