// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** How the client leaves the connection. */
export type Leaving = "fin" | "rst" | "half-close" | "wait";

export interface RawExchange {
  readonly host?: string;
  readonly port: number;
  /** Written one after the other, each flushed before the next. */
  readonly sends: readonly (string | Uint8Array)[];
  /** After the sends: FIN, RST, FIN of our direction only, or wait for the server's end. Default "wait". */
  readonly leave?: Leaving;
  /** Wait so long between sends, so that each is a read of its own. Default 0. */
  readonly pauseMs?: number;
  /** Waiting ends then at the latest. Default 1,000. */
  readonly timeoutMs?: number;
  /** Waiting ends when what was received matches. */
  readonly until?: RegExp;
}

/** Writes these very bytes on a new connection; what came back, as Latin-1, errors left aside. */
export async function exchangeRaw(options: RawExchange): Promise<string> {
  const { host = "127.0.0.1", port, sends, leave = "wait", pauseMs = 0 } = options;
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  const closed = new Promise<void>((resolve) => {
    socket.once("end", () => {
      if (leave !== "half-close") socket.end();
      resolve();
    });
    // The peer may well reset the connection: that is what many cases are about.
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
  });
  try {
    await once(socket, "connect");
  } catch {
    return received;
  }
  for (const bytes of sends) {
    await write(socket, bytes);
    if (pauseMs > 0) await pause(pauseMs);
  }
  if (leave === "rst") socket.resetAndDestroy();
  else if (leave === "fin") socket.end();
  else {
    if (leave === "half-close") socket.end();
    await waitFor(closed, () => options.until?.test(received) === true, options.timeoutMs ?? 1_000);
  }
  if (leave === "fin") await waitFor(closed, () => false, options.timeoutMs ?? 1_000);
  if (!socket.destroyed) socket.destroy();
  return received;
}

function write(socket: Socket, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.write(bytes, () => resolve());
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function waitFor(
  closed: Promise<void>,
  isEnough: () => boolean,
  timeoutMs: number,
): Promise<void> {
  const state = { isClosed: false };
  void closed.then(() => {
    state.isClosed = true;
  });
  const deadlineMs = performance.now() + timeoutMs;
  while (!state.isClosed && !isEnough() && performance.now() < deadlineMs) await pause(2);
}
