// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import javax.net.ssl.SSLEngineResult;

/**
 * What woven methods of JSSE call: clear text is copied into memory that the kernel side reads at
 * once, and nowhere else. As Hooks: nothing here throws or calls the application.
 */
public final class TlsHooks {
  /** Layout of `struct java_message` in bpf/java.bpf.c. */
  private static final int LENGTH = 8;
  private static final int FLAGS = 12;
  private static final int RECORD = 16;
  private static final int PAYLOAD = 32;

  private static final int READS = 0x01;
  private static final int WRITES = 0x02;
  private static final int BEGINS = 0x20;
  private static final int NO_PAYLOAD = 0x100;
  private static final int HAS_RECORD = 0x200;

  /** What one message takes along: the most that is in a TLS record. */
  private static final int PAYLOAD_MAX = 16_384;
  private static final int RECORD_HEADER = 5;
  private static final int RECORD_BYTES = 16;
  private static final int MESSAGES = 256;

  private static final class Session {
    final long id = Slots.reserveIds(1);
    /** The kernel side has heard of it. */
    volatile boolean isTold;
  }

  /** By SSLSocket and SSLEngine. */
  static final Tasks SESSIONS = new Tasks();

  /** A message that is being written; threads share them, for less than a microsecond. */
  private static final class Message {
    private ByteBuffer bytes;

    ByteBuffer bytes() {
      if (bytes == null) {
        bytes = ByteBuffer.allocateDirect(PAYLOAD + PAYLOAD_MAX).order(ByteOrder.nativeOrder());
      }
      return bytes;
    }
  }

  private static final Message[] POOL = new Message[MESSAGES];

  static {
    for (int at = 0; at < MESSAGES; at++) POOL[at] = new Message();
  }

  private TlsHooks() {}

  /** Null when there is no room. */
  private static Session sessionOf(Object owner) {
    Object known = SESSIONS.get(owner);
    if (known != null) return (Session) known;
    Session made = new Session();
    return SESSIONS.putIfAbsent(owner, made) ? made : null;
  }

  /** A socket or an engine was made: its session has no past. */
  public static void tlsMade(Object owner) {
    if (!Hooks.on) return;
    Session session = sessionOf(owner);
    if (session != null && !session.isTold) send(session, BEGINS, 0, null, 0, 0, null, 0);
  }

  /** The same of a socket that was made before we came, such as one that waits for a client. */
  public static void tlsShakesHands(Object owner) {
    tlsMade(owner);
    tlsEnter(owner);
  }

  /** What the thread does with its socket from here on is the session's. */
  public static void tlsEnter(Object owner) {
    if (!Hooks.on) return;
    State state = Hooks.current();
    Session session = sessionOf(owner);
    state.enterTls(session == null ? 0 : session.id);
    state.show();
  }

  public static void tlsLeave() {
    if (!Hooks.on) return;
    State state = Hooks.current();
    state.leaveTls();
    state.show();
  }

  /** The end of a read from an SSLSocket. */
  public static void tlsRead(Object owner, byte[] bytes, int offset, int ignored, int count) {
    if (!Hooks.on) return;
    tlsLeave();
    if (count > 0) received(owner, ByteBuffer.wrap(bytes, offset, count));
  }

  /** The end of a write to an SSLSocket. */
  public static void tlsWritten(Object owner, byte[] bytes, int offset, int count) {
    if (!Hooks.on) return;
    tlsLeave();
    if (count > 0) sendAll(sessionOf(owner), WRITES, ByteBuffer.wrap(bytes, offset, count));
  }

  /** The beginning of SSLEngine.wrap or unwrap, where the clear text lies in the first buffers. */
  public static void tlsWrapping(
      ByteBuffer[] clear, int from, int count, ByteBuffer[] net, int netFrom, int netCount) {
    if (Hooks.on) Hooks.current().remember(clear, from, count);
  }

  public static void tlsUnwrapping(
      ByteBuffer[] net, int netFrom, int netCount, ByteBuffer[] clear, int from, int count) {
    if (Hooks.on) Hooks.current().remember(clear, from, count);
  }

  public static void tlsWrapped(
      Object engine,
      ByteBuffer[] clear,
      int from,
      int count,
      ByteBuffer[] net,
      int netFrom,
      int netCount,
      SSLEngineResult result) {
    if (!Hooks.on || result == null || result.bytesProduced() == 0) return;
    Session session = sessionOf(engine);
    if (session == null) return;
    State state = Hooks.current();
    int left = result.bytesConsumed();
    ByteBuffer record = recordIn(net, netFrom, netCount, result.bytesProduced());
    if (record != null) send(session, HAS_RECORD, 0, null, 0, 0, record, record.position());
    for (int at = 0; at < count && left > 0; at++) {
      int start = state.remembered(at);
      if (start < 0) {
        send(session, WRITES | NO_PAYLOAD, left, null, 0, 0, null, 0);
        return;
      }
      ByteBuffer part = clear[from + at];
      int length = Math.min(part.position() - start, left);
      if (length <= 0) continue;
      sendAll(session, WRITES, range(part, start, length));
      left -= length;
    }
  }

  public static void tlsUnwrapped(
      Object engine,
      ByteBuffer[] net,
      int netFrom,
      int netCount,
      ByteBuffer[] clear,
      int from,
      int count,
      SSLEngineResult result) {
    if (!Hooks.on || result == null || result.bytesProduced() == 0) return;
    State state = Hooks.current();
    int left = result.bytesProduced();
    for (int at = 0; at < count && left > 0; at++) {
      int start = state.remembered(at);
      if (start < 0) {
        beginRead();
        send(sessionOf(engine), READS | NO_PAYLOAD, left, null, 0, 0, null, 0);
        return;
      }
      ByteBuffer part = clear[from + at];
      int length = Math.min(part.position() - start, left);
      if (length <= 0) continue;
      received(engine, range(part, start, length));
      left -= length;
    }
  }

  private static ByteBuffer range(ByteBuffer of, int start, int length) {
    ByteBuffer part = of.duplicate();
    part.limit(start + length);
    part.position(start);
    return part;
  }

  /** The record that was made, positioned at what is only its own; null: it is not in one piece. */
  private static ByteBuffer recordIn(ByteBuffer[] net, int from, int count, int produced) {
    if (produced < RECORD_HEADER + RECORD_BYTES || count == 0) return null;
    ByteBuffer first = net[from];
    int start = first.position() - produced;
    return start < 0 ? null : range(first, start + RECORD_HEADER, RECORD_BYTES);
  }

  private static void beginRead() {
    State state = Hooks.current();
    state.reading();
    state.show();
  }

  private static void received(Object owner, ByteBuffer clear) {
    beginRead();
    sendAll(sessionOf(owner), READS, clear);
  }

  private static void sendAll(Session session, int what, ByteBuffer clear) {
    int length = clear.remaining();
    int first = Math.min(length, PAYLOAD_MAX);
    send(session, what, first, clear, clear.position(), first, null, 0);
    if (length > first) send(session, what | NO_PAYLOAD, length - first, null, 0, 0, null, 0);
  }

  private static void send(
      Session session,
      int flags,
      int length,
      ByteBuffer clear,
      int position,
      int copied,
      ByteBuffer record,
      int recordAt) {
    if (session == null) return;
    State state = Hooks.current();
    if (state.slot < 0) return;
    session.isTold = true;
    Message message = POOL[state.slot & (MESSAGES - 1)];
    synchronized (message) {
      ByteBuffer bytes = message.bytes();
      bytes.putLong(0, session.id);
      bytes.putInt(LENGTH, length);
      bytes.putInt(FLAGS, flags);
      if (record != null) {
        for (int at = 0; at < RECORD_BYTES; at += Long.BYTES) {
          bytes.putLong(RECORD + at, nativeLong(record, recordAt + at));
        }
      }
      if (copied > 0) {
        bytes.position(PAYLOAD);
        bytes.put(range(clear, position, copied));
      }
      // A virtual thread may be on another carrier since it waited for the lock.
      Slots.writeMessage(state.slot, Channel.address(bytes));
      Channel.tell(Channel.CLEAR_TEXT);
    }
  }

  private static long nativeLong(ByteBuffer of, int at) {
    boolean isSwapped = of.order() != ByteOrder.nativeOrder();
    return isSwapped ? Long.reverseBytes(of.getLong(at)) : of.getLong(at);
  }
}
