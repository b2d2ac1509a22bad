// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A table that the kernel side reads when a thread sends or receives: one line of a cache a
 * platform thread. Writing to it costs a few stores; no system call. See `struct java_slot` in
 * bpf/include/java.bpf.h for the layout.
 */
final class Slots {
  static final int SLOTS = 8192;
  static final int BYTES = 64;
  private static final int PARENT = 8;
  private static final int SINCE = 16;
  private static final int TLS_OBJECT = 24;
  private static final int MESSAGE = 32;

  private static final ByteBuffer TABLE = allocate();
  private static final AtomicInteger NEXT = new AtomicInteger();
  private static final ReferenceQueue<Thread> ENDED = new ReferenceQueue<>();
  private static final Set<Owner> OWNERS = ConcurrentHashMap.newKeySet();
  /** Greater than all numbers of another JVM that had this process id before. */
  private static final AtomicLong IDS = new AtomicLong(System.nanoTime());

  private Slots() {}

  private static final class Owner extends WeakReference<Thread> {
    final int slot;

    Owner(Thread thread, int slot) {
      super(thread, ENDED);
      this.slot = slot;
    }
  }

  private static ByteBuffer allocate() {
    ByteBuffer all = ByteBuffer.allocateDirect(SLOTS * BYTES + BYTES);
    int skip = (int) ((BYTES - Channel.address(all) % BYTES) % BYTES);
    all.position(skip);
    return all.slice().order(ByteOrder.nativeOrder());
  }

  static long address() {
    return Channel.address(TABLE);
  }

  static long reserveIds(int count) {
    return IDS.getAndAdd(count);
  }

  /** A slot until the thread ends; -1: there are too many threads. */
  static int take(Thread thread) {
    Owner ended = (Owner) ENDED.poll();
    int slot = ended == null ? next() : ended.slot;
    if (slot < 0) return slot;
    if (ended != null) OWNERS.remove(ended);
    OWNERS.add(new Owner(thread, slot));
    return slot;
  }

  private static int next() {
    return NEXT.get() >= SLOTS ? -1 : checked(NEXT.getAndIncrement());
  }

  private static int checked(int slot) {
    return slot < SLOTS ? slot : -1;
  }

  static void write(int slot, long own, long parent, long since, long tlsObject) {
    int at = slot * BYTES;
    TABLE.putLong(at, own);
    TABLE.putLong(at + PARENT, parent);
    TABLE.putLong(at + SINCE, since);
    TABLE.putLong(at + TLS_OBJECT, tlsObject);
  }

  static void writeMessage(int slot, long address) {
    TABLE.putLong(slot * BYTES + MESSAGE, address);
  }

  static void clear() {
    for (int at = 0; at < TABLE.capacity(); at += Long.BYTES) TABLE.putLong(at, 0);
  }

}
