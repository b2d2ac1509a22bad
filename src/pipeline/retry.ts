// SPDX-License-Identifier: Apache-2.0
import { AgentError, messageOf } from "../component/errors.ts";
import type { RetryConfig } from "./export-config.ts";

export interface RetryHooks {
  /** Ends an attempt and every wait. */
  readonly abort: AbortSignal;
  /** Ends waits and further attempts; the attempt under way goes on. */
  readonly stopRetries: AbortSignal;
  /** Before a wait. */
  onRetry(error: unknown, delayMs: number): void;
  /** Uniform in [0, 1). */
  random(): number;
}

/** Everything is worth another try but what says that it is not. */
export function isRetryable(error: unknown): boolean {
  return !(error instanceof AgentError) || error.retryable;
}

/**
 * Calls `attempt` until it succeeds, with the Collector's back-off. Rejects with an `AgentError`
 * that is `retryable` when only time, or the shutdown, ran out.
 */
export async function withRetry(
  config: RetryConfig,
  hooks: RetryHooks,
  attempt: () => Promise<void>,
): Promise<void> {
  const startMs = performance.now();
  let intervalMs = config.initial_interval;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (!isRetryable(error)) {
        throw failure(`not retryable error: Permanent error: ${messageOf(error)}`, error, false);
      }
      if (!config.enabled) throw error;
      if (hooks.stopRetries.aborted || hooks.abort.aborted) throw interrupted(error);
      const throttleMs = error instanceof AgentError ? (error.retryAfterMs ?? 0) : 0;
      const jitter = (hooks.random() * 2 - 1) * config.randomization_factor;
      const delayMs = Math.max(intervalMs * (1 + jitter), throttleMs);
      const elapsedMs = performance.now() - startMs;
      if (config.max_elapsed_time > 0 && elapsedMs + delayMs > config.max_elapsed_time) {
        throw failure(`no more retries left: ${messageOf(error)}`, error, true);
      }
      intervalMs = Math.min(intervalMs * config.multiplier, config.max_interval);
      hooks.onRetry(error, delayMs);
      if (!(await sleep(delayMs, hooks))) throw interrupted(error);
    }
  }
}

/** Calls `work` with a signal that aborts after `timeoutMs` (0: never) or with `abort`. */
export async function withTimeout(
  timeoutMs: number,
  abort: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const { promise: cut, reject } = Promise.withResolvers<never>();
  // The race may be over before the rejection; then nobody listens to `cut`.
  cut.catch(() => undefined);
  const end = (message: string): void => {
    const error = failure(message, undefined, true);
    controller.abort(error);
    reject(error);
  };
  const onAbort = (): void => end("request is cancelled or timed out: shutdown");
  const timer =
    timeoutMs > 0
      ? setTimeout(() => end(`no answer within ${timeoutMs} ms (timeout)`), timeoutMs)
      : undefined;
  if (abort.aborted) onAbort();
  else abort.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([abort.aborted ? cut : work(controller.signal), cut]);
  } finally {
    clearTimeout(timer);
    abort.removeEventListener("abort", onAbort);
  }
}

/** False when a signal ended the wait. */
function sleep(delayMs: number, hooks: RetryHooks): Promise<boolean> {
  return new Promise((resolve) => {
    const signals = [hooks.abort, hooks.stopRetries];
    const done = (elapsed: boolean): void => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener("abort", onAbort);
      resolve(elapsed);
    };
    const onAbort = (): void => done(false);
    const timer = setTimeout(() => done(true), delayMs);
    for (const signal of signals) signal.addEventListener("abort", onAbort, { once: true });
  });
}

function interrupted(error: unknown): AgentError {
  return failure(`interrupted due to shutdown: ${messageOf(error)}`, error, true);
}

function failure(message: string, cause: unknown, retryable: boolean): AgentError {
  return new AgentError("BS_EXPORT", message, { cause, retryable });
}
