// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";

/** Asks until `isEnough` says so; the last answer, whatever it is, after `timeoutMs`. */
export async function eventually<T>(
  question: () => Promise<T>,
  isEnough: (answer: T) => boolean,
  timeoutMs: number = 30_000,
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const answer = await question();
    if (isEnough(answer) || Date.now() > deadlineMs) return answer;
    await delay(100);
  }
}
