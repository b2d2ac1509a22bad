// SPDX-License-Identifier: Apache-2.0
import { statfsSync } from "node:fs";

import { guarded } from "./failure.ts";
import { native } from "./native.ts";

/** Magic numbers of `statfs(2)`. */
const MOUNTS = {
  bpf: { path: "/sys/fs/bpf", magic: 0xcafe4a11 },
  tracefs: { path: "/sys/kernel/tracing", magic: 0x74726163 },
} as const;

function isMounted(kind: keyof typeof MOUNTS): boolean {
  try {
    return statfsSync(MOUNTS[kind].path).type === MOUNTS[kind].magic;
  } catch {
    return false;
  }
}

function ensure(kind: keyof typeof MOUNTS): void {
  if (isMounted(kind)) {
    return;
  }
  const { path } = MOUNTS[kind];
  const operation = `mount ${kind} at ${path} (as root: mount -t ${kind} ${kind} ${path})`;
  guarded({ code: "KERNEL", operation }, () => native.mount(kind, path));
}

/** Where pinned maps, programs and links lie. */
export function hasBpffs(): boolean {
  return isMounted("bpf");
}

export function hasTracefs(): boolean {
  return isMounted("tracefs");
}

/**
 * Mounts `/sys/fs/bpf` unless it is.
 *
 * @throws BpfError `KERNEL` that says what to run.
 */
export function ensureBpffs(): void {
  ensure("bpf");
}

/** Mounts `/sys/kernel/tracing` unless it is; tracepoints and kprobes need it. */
export function ensureTracefs(): void {
  ensure("tracefs");
}

/** Mounts bpffs when a path that something is pinned to lies in its usual place. */
export function preparePin(path: string): void {
  if (path === MOUNTS.bpf.path || path.startsWith(`${MOUNTS.bpf.path}/`)) {
    ensureBpffs();
  }
}
