// SPDX-License-Identifier: Apache-2.0
import { guarded } from "./failure.ts";
import { native } from "./native.ts";

/**
 * Calls back when the kernel wakes up those who wait for one of the descriptors, and once at first
 * when something is there already; until it is disposed of. The descriptors may be closed meanwhile.
 */
export function waitFor(fds: readonly number[], callback: () => void): Disposable {
  let isOpen = true;
  // A call may be on its way from the thread when the waiting ends.
  const callWhileOpen = (): void => {
    if (isOpen) {
      callback();
    }
  };
  const waiter = guarded({ code: "KERNEL", operation: "wait for records" }, () =>
    native.NativeWaiter.start([...fds], callWhileOpen),
  );
  return {
    [Symbol.dispose]: () => {
      isOpen = false;
      waiter.stop();
    },
  };
}
