// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";

import { guarded } from "./failure.ts";
import { native } from "./native.ts";

/** A descriptor that is closed with it. */
export interface OwnedDescriptor extends Disposable {
  readonly fd: number;
  close(): void;
}

/**
 * A descriptor of a process (pidfd), the key of task storage. Sockets, cgroup directories and files
 * have descriptors of their own, which are the keys of their storage.
 *
 * @throws BpfError `KERNEL`, ESRCH when there is no such process.
 */
export function pidDescriptor(
  pid: number,
  options: { readonly isThread?: boolean } = {},
): OwnedDescriptor {
  const isThread = options.isThread ?? false;
  const fd = guarded({ code: "KERNEL", operation: `open a descriptor of process ${pid}` }, () =>
    native.pidfdOpen(pid, isThread),
  );
  let isOpen = true;
  const close = (): void => {
    if (isOpen) {
      isOpen = false;
      closeSync(fd);
    }
  };
  return { fd, close, [Symbol.dispose]: close };
}
