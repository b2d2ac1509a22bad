// SPDX-License-Identifier: Apache-2.0
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

export type Parameters = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** Path and query below /api/ui/. Empty and undefined parameters are left out. */
export function apiUrl(path: string, parameters: Parameters = {}): string {
  const query = queryOf(parameters);
  return `/api/ui/${path}${query === "" ? "" : `?${query}`}`;
}

export function queryOf(parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of typeof value === "object" ? value : [value]) {
      if (one !== undefined && one !== "") query.append(name, String(one));
    }
  }
  return query.toString();
}

/** The server is of the same version as the page, so its answers have the shapes of api-types.ts. */
function unsafeAnswer<T>(body: unknown): T {
  return body as T;
}

/** Fails with a text that says what the server said. */
export async function ask<T>(url: string, abort?: AbortSignal): Promise<T> {
  const response = await fetch(url, abort === undefined ? {} : { signal: abort });
  const text = await response.text();
  if (!response.ok) throw new Error(errorText(response.status, text));
  return unsafeAnswer<T>(JSON.parse(text));
}

function errorText(status: number, body: string): string {
  try {
    const { error } = unsafeAnswer<{ error?: unknown }>(JSON.parse(body));
    if (typeof error === "string") return error;
  } catch {
    // Not from our server: a proxy's page, perhaps.
  }
  return status === 401 ? "The server wants credentials" : `The server answered ${status}`;
}

export interface Answer<T> {
  /** The last good answer; it stays while a newer one is on its way or fails. */
  readonly value: T | undefined;
  readonly error: string;
  readonly loading: boolean;
}

const EMPTY: Answer<never> = { value: undefined, error: "", loading: true };
const answers = new Map<string, Signal<Answer<unknown>>>();
const ANSWERS_MAX = 24;

/** One place an URL, so that a view that is opened again shows at once what it showed last. */
function answerOf<T>(url: string): Signal<Answer<T>> {
  let answer = answers.get(url);
  if (answer === undefined) {
    const [oldest] = answers.keys();
    if (answers.size >= ANSWERS_MAX && oldest !== undefined) answers.delete(oldest);
    answer = signal<Answer<unknown>>(EMPTY);
    answers.set(url, answer);
  }
  return unsafeAnswer<Signal<Answer<T>>>(answer);
}

/**
 * Asks now and every `intervalMs` (0: once) while the component is there and the page is visible.
 * `url` is made anew for each question and may hold the time; `key` says when it is another question.
 */
export function useApi<T>(key: string, url: () => string, intervalMs: number): Answer<T> {
  const answer = useMemo(() => answerOf<T>(key), [key]);
  useEffect(() => {
    if (key === "") return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = async (): Promise<void> => {
      if (!document.hidden || answer.peek().value === undefined) await once();
      if (intervalMs > 0 && !abort.signal.aborted)
        timer = setTimeout(() => void again(), intervalMs);
    };
    const once = async (): Promise<void> => {
      try {
        const value = await ask<T>(url(), abort.signal);
        answer.value = { value, error: "", loading: false };
      } catch (error) {
        if (abort.signal.aborted) return;
        const text = error instanceof Error ? error.message : String(error);
        answer.value = { ...answer.peek(), error: text, loading: false };
      }
    };
    void again();
    return () => {
      abort.abort();
      clearTimeout(timer);
      // What is asked for once may be large, such as a trace; it is asked for again.
      if (intervalMs === 0) answers.delete(key);
    };
  }, [key, intervalMs]);
  return answer.value;
}
