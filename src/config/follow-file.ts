// SPDX-License-Identifier: Apache-2.0
import { statSync } from "node:fs";

const INTERVAL_MS = 1000;

/**
 * Calls `onChange` when the file is another one than at this call, within a second. Call it before the
 * first read: what is written in between is a change. Returns a function that ends it; holds no process.
 */
export function followFile(path: string, onChange: () => void): () => void {
  let seen = stampOf(path);
  const timer = setInterval(() => {
    const stamp = stampOf(path);
    if (stamp === seen) return;
    seen = stamp;
    onChange();
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Of a file that cannot be asked: empty. */
function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch {
    return "";
  }
}
