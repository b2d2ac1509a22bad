// SPDX-License-Identifier: Apache-2.0
import type { Server } from "node:net";

/** A connection that serves nothing may take so long to end in good order. */
const GRACE_MS = 1_000;
const CHECK_MS = 250;

export interface ClosingServer {
  readonly server: Server;
  /** Aborts: everything is cut. */
  readonly signal: AbortSignal;
  /** Asks every connection to end after what is under way. */
  end(): void;
  /** Is a request under way? Must become false in bounded time. */
  isBusy(): boolean;
  /** Ends every connection at once. */
  cut(): void;
}

/**
 * Takes no new connections and lets open requests finish. The other end of a connection decides
 * when it is closed; one that never does so is cut when no request is under way.
 */
export async function closeServer(closing: ClosingServer): Promise<void> {
  const { server, signal, cut } = closing;
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  closing.end();
  const graceEndMs = performance.now() + GRACE_MS;
  const check = setInterval(() => {
    if (performance.now() > graceEndMs && !closing.isBusy()) cut();
  }, CHECK_MS);
  if (signal.aborted) cut();
  else signal.addEventListener("abort", cut, { once: true });
  await closed;
  signal.removeEventListener("abort", cut);
  clearInterval(check);
}
