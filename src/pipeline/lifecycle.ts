// SPDX-License-Identifier: Apache-2.0
import type { Component, Host } from "../component/component.ts";
import { AgentError, messageOf } from "../component/errors.ts";
import type { Logger } from "../component/telemetry.ts";

/** After the shutdown's signal a component may still take so long to clean up. */
const CLEANUP_MS = 2_000;

export interface Named {
  readonly id: string;
  readonly kind: string;
  readonly component: Component;
}

/** Rejects with `AgentError`: `what`, the component and why. */
export async function startOne(named: Named, host: Host, what: string): Promise<void> {
  try {
    await named.component.start(host);
  } catch (error) {
    throw new AgentError(
      "BS_START",
      `${what}: failed to start "${named.id}" ${named.kind}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** All at the same time. Never rejects: what goes wrong is logged. */
export async function stopAll(
  all: readonly Named[],
  signal: AbortSignal,
  logger: Logger,
): Promise<void> {
  await Promise.all(
    all.map(async ({ id, kind, component }) => {
      const fields = { "otelcol.component.id": id, "otelcol.component.kind": kind };
      try {
        const isDone = await doneInTime(component.shutdown(signal), signal);
        if (!isDone) logger.error("A component did not shut down in time", fields);
      } catch (error) {
        logger.error("Failed to shut a component down", { ...fields, error: messageOf(error) });
      }
    }),
  );
}

/** Waits for `work`, but after `signal` only a moment longer; false when it was not done by then. */
export async function doneInTime(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(() => resolve(false), CLEANUP_MS);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
