// SPDX-License-Identifier: Apache-2.0
import { guarded } from "./failure.ts";
import { type NativeNetlink, native } from "./native.ts";
import { waitFor } from "./waiter.ts";

/** The smallest buffer that `NetlinkSocket.receive` takes: the longest datagram of the kernel. */
export const NETLINK_RECEIVE_BYTES_MIN: number = 32 * 1024;
/** Room for what comes while nobody reads. */
const QUEUE_BYTES = 4 * 1024 * 1024;

export interface NetlinkOptions {
  /** `NETLINK_ROUTE` (0), `NETLINK_NETFILTER` (12) …: `linux/netlink.h`. */
  readonly family: number;
  /** Multicast groups to join, as a mask of the groups 1 to 32. Default none. */
  readonly groups?: number;
  /** A file such as `/proc/PID/ns/net` or `/run/netns/NAME`; default the process's own namespace. */
  readonly namespacePath?: string;
  /** What the kernel queues for this socket, bytes; default 4 MiB, less without CAP_NET_ADMIN. */
  readonly queueBytes?: number;
}

/** What one call of `receive` brought. */
export interface NetlinkReceived {
  /** Messages (`struct nlmsghdr` with their bodies), each aligned to four bytes. */
  readonly bytes: number;
  /** The queue was full and messages were dropped (ENOBUFS). Told once. */
  readonly hasLost: boolean;
}

/**
 * A netlink socket: talks to the kernel in a network namespace of choice, without leaving the
 * caller's own. Nothing blocks.
 */
export class NetlinkSocket {
  readonly #native: NativeNetlink;

  private constructor(socket: NativeNetlink) {
    this.#native = socket;
  }

  /**
   * @throws BpfError `KERNEL`: EPERM where the namespace or the groups need CAP_NET_ADMIN (and
   * CAP_SYS_ADMIN to enter another namespace), ENOENT when there is no such namespace.
   */
  static open(options: NetlinkOptions): NetlinkSocket {
    const { family, groups = 0, namespacePath, queueBytes = QUEUE_BYTES } = options;
    const where = namespacePath === undefined ? "" : ` in ${namespacePath}`;
    return guarded({ code: "KERNEL", operation: `open netlink socket ${family}${where}` }, () => {
      return new NetlinkSocket(
        native.NativeNetlink.open(family, groups, queueBytes, namespacePath),
      );
    });
  }

  /** Sends one or more requests. @throws BpfError `KERNEL`, `CLOSED` */
  send(messages: Uint8Array): void {
    guarded({ code: "KERNEL", operation: "send to netlink" }, () => this.#native.send(messages));
  }

  /**
   * Takes what is there, as much as `into` holds: datagrams one behind the other. Nothing there
   * gives 0 bytes. `into` has `NETLINK_RECEIVE_BYTES_MIN` bytes or more.
   *
   * @throws BpfError `KERNEL`, `CLOSED`, `ARGUMENT`
   */
  receive(into: Uint8Array): NetlinkReceived {
    const result = guarded({ code: "KERNEL", operation: "receive from netlink" }, () =>
      this.#native.receive(into),
    );
    const hasLost = result < 0;
    return { bytes: hasLost ? -1 - result : result, hasLost };
  }

  /** Calls back when something came, until disposed of. Edge-triggered: read all that is there. */
  onReadable(callback: () => void): Disposable {
    const fd = guarded({ code: "KERNEL", operation: "wait for netlink" }, () => this.#native.fd);
    return waitFor([fd], callback);
  }

  /** A second call does nothing. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
