// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.io.File;
import java.lang.instrument.Instrumentation;
import java.util.ArrayList;
import java.util.List;

/**
 * Woven into a running JVM by the attach mechanism, and out of it again when the lease is gone: a
 * file that the attaching agent touches as long as it lives and deletes when it is done.
 */
public final class Agent {
  private static final long LOOK_MS = 500;
  private static final long STALE_NS = 20_000_000_000L;

  private static Instrumentation instrumentation;
  private static Weaver weaver;
  private static Thread watcher;

  private Agent() {}

  /** `options` is the path of the lease. */
  public static synchronized void agentmain(String options, Instrumentation given) {
    try {
      if (weaver == null) {
        instrumentation = given;
        Channel.open(given);
      }
      File lease = new File(options);
      if (weaver == null) weave();
      watch(lease);
      Channel.publish(
          "on table=" + Long.toHexString(Slots.address()) + " methods=" + weaver.woven);
    } catch (Throwable error) {
      unweave();
      publishFailure(error);
    }
  }

  private static void publishFailure(Throwable error) {
    try {
      Channel.publish("failed " + error);
    } catch (RuntimeException notOpened) {
      throw new IllegalStateException(error);
    }
  }

  private static void weave() {
    Slots.clear();
    Hooks.generation++;
    weaver = new Weaver();
    instrumentation.addTransformer(weaver, true);
    // Before the hooks do anything they are run once, to load what they need.
    Hooks.on = true;
    Hooks.reading();
    Hooks.read(0);
    TlsHooks.tlsMade(weaver);
    TlsHooks.tlsRead(weaver, new byte[1], 0, 1, 1);
    retransform();
  }

  private static void unweave() {
    Hooks.on = false;
    if (weaver == null) return;
    instrumentation.removeTransformer(weaver);
    retransform();
    weaver = null;
    Hooks.TASKS.clear();
    Hooks.VIRTUALS.clear();
    TlsHooks.SESSIONS.clear();
    Slots.clear();
  }

  private static void retransform() {
    List<Class<?>> loaded = new ArrayList<>();
    for (Class<?> one : instrumentation.getAllLoadedClasses()) {
      if (Rules.of(one.getName().replace('.', '/')).isEmpty()) continue;
      if (instrumentation.isModifiableClass(one)) loaded.add(one);
    }
    try {
      instrumentation.retransformClasses(loaded.toArray(new Class<?>[0]));
    } catch (java.lang.instrument.UnmodifiableClassException impossible) {
      throw new AssertionError(impossible);
    }
  }

  private static void watch(File lease) {
    if (watcher != null) watcher.interrupt();
    watcher = new Thread(null, () -> untilStale(lease), "backstitch", 256 * 1024, false);
    watcher.setDaemon(true);
    watcher.start();
  }

  private static void untilStale(File lease) {
    long touched = 0;
    long since = System.nanoTime();
    try {
      for (long look = 0; ; look++) {
        Thread.sleep(LOOK_MS);
        long now = lease.lastModified();
        if (now != touched) since = System.nanoTime();
        touched = now;
        if (now == 0 || System.nanoTime() - since > STALE_NS) break;
        if (look % 4 == 0) {
          Hooks.TASKS.sweep();
          Hooks.VIRTUALS.sweep();
          TlsHooks.SESSIONS.sweep();
        }
      }
    } catch (InterruptedException replaced) {
      return;
    }
    end(lease);
  }

  private static synchronized void end(File lease) {
    if (Thread.currentThread() != watcher) return;
    watcher = null;
    unweave();
    // Of an agent that was killed: its folder is left to us.
    lease.delete();
    File folder = lease.getParentFile();
    if (folder.getName().startsWith(".backstitch-")) folder.delete();
    Channel.publish("off");
  }
}
