// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.nio.ByteBuffer;

/**
 * What one thread, of the platform or virtual, works on. A context is a number that is never used
 * again in this JVM; the kernel side knows which request was read in which context. A thread gets
 * a new one for each task and with each read of a socket.
 */
final class State {
  private static final int NESTED_MAX = 32;
  private static final int FIELDS = 3;
  private static final int IDS_AT_ONCE = 1024;
  private static final int BUFFERS_MAX = 16;

  /** Of the thread that runs it now; -1: none. */
  int slot = -1;
  int generation;
  /** It waits for many sockets at once, so what it read before says nothing. */
  boolean selects;

  private long own;
  /** The context that this one was made in, and when, ns: what it read later does not count. */
  private long parent;
  private long since;
  private boolean hasRead;
  private long tlsObject;
  private int tlsDepth;

  private long beforeOwn;
  private long beforeParent;
  private long beforeSince;
  private boolean beforeHasRead;

  private final long[] nested = new long[NESTED_MAX * FIELDS];
  private final boolean[] nestedHasRead = new boolean[NESTED_MAX];
  private int depth;
  private int[] starts;
  private int remembered;
  private long nextId;
  private long lastId;

  State(Context from) {
    begin(from);
  }

  /** For what this thread hands to another. */
  Context child() {
    if (hasRead || parent == 0) return new Context(own, System.nanoTime());
    return new Context(parent, since);
  }

  /** A new context, below another or below none. */
  void begin(Context from) {
    own = newId();
    parent = from == null ? 0 : from.parent;
    since = from == null ? 0 : from.since;
    hasRead = false;
  }

  /** All that was entered is over. */
  void idle() {
    depth = 0;
    tlsObject = 0;
    tlsDepth = 0;
    begin(null);
  }

  void enter(Context from) {
    push();
    begin(from);
  }

  void enterSame() {
    push();
  }

  private void push() {
    if (depth < NESTED_MAX) {
      int at = depth * FIELDS;
      nested[at] = own;
      nested[at + 1] = parent;
      nested[at + 2] = since;
      nestedHasRead[depth] = hasRead;
    }
    depth++;
  }

  void exit() {
    if (depth == 0) return;
    depth--;
    if (depth >= NESTED_MAX) {
      begin(null);
      return;
    }
    int at = depth * FIELDS;
    own = nested[at];
    parent = nested[at + 1];
    since = nested[at + 2];
    hasRead = nestedHasRead[depth];
  }

  /** What is read next may be of another request. */
  void reading() {
    beforeOwn = own;
    beforeParent = parent;
    beforeSince = since;
    beforeHasRead = hasRead;
    if (selects) {
      parent = 0;
    } else if (hasRead || parent == 0) {
      parent = own;
      since = Long.MAX_VALUE;
    }
    own = newId();
    hasRead = true;
  }

  void readNothing() {
    own = beforeOwn;
    parent = beforeParent;
    since = beforeSince;
    hasRead = beforeHasRead;
  }

  void enterTls(long object) {
    tlsDepth = object == tlsObject ? tlsDepth + 1 : 1;
    tlsObject = object;
  }

  /** A handshake is a part of the read or write that needs it. */
  void leaveTls() {
    if (tlsDepth > 0) tlsDepth--;
    if (tlsDepth == 0) tlsObject = 0;
  }

  /** Where the clear text of a call of SSLEngine begins, in each of its buffers. */
  void remember(ByteBuffer[] buffers, int from, int count) {
    if (starts == null) starts = new int[BUFFERS_MAX];
    remembered = 0;
    if (buffers == null || from < 0 || count > BUFFERS_MAX || count > buffers.length - from) return;
    for (int at = 0; at < count; at++) {
      if (buffers[from + at] == null) return;
      starts[at] = buffers[from + at].position();
    }
    remembered = count;
  }

  /** -1: not known. */
  int remembered(int at) {
    return at < remembered ? starts[at] : -1;
  }

  /** Where the kernel side looks. */
  void show() {
    if (slot < 0) return;
    Slots.write(slot, own, parent, since, tlsObject);
  }

  /**
   * It waits for sockets and is in no task that we know: what it writes may be for a task of its own
   * queue, as well as for what it has just read.
   */
  boolean isBetweenTasks() {
    return selects && depth == 0;
  }

  /** As if we were not here. */
  void hide() {
    if (slot >= 0) Slots.write(slot, 0, 0, 0, tlsObject);
  }

  private long newId() {
    if (nextId == lastId) {
      nextId = Slots.reserveIds(IDS_AT_ONCE);
      lastId = nextId + IDS_AT_ONCE;
    }
    return nextId++;
  }
}
