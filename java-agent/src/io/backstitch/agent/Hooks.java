// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.util.concurrent.CompletableFuture;

/**
 * What woven methods call. Nothing here throws, waits for anything but a leaf lock, or calls the
 * application.
 */
public final class Hooks {
  static volatile boolean on;
  /** Raised by each attachment: threads tell their slots again. */
  static volatile int generation;

  private static final Class<?> VIRTUAL = virtualThreads();
  /** Runs virtual threads; what it is given is no hand-off. */
  private static final Object SCHEDULER = scheduler();
  static final Tasks TASKS = new Tasks();
  /** The states of virtual threads. */
  static final Tasks VIRTUALS = new Tasks();

  private static final ThreadLocal<State> STATE =
      new ThreadLocal<>() {
        @Override
        protected State initialValue() {
          return stateOfNew(Thread.currentThread());
        }
      };

  private Hooks() {}

  private static Class<?> virtualThreads() {
    try {
      return Class.forName("java.lang.BaseVirtualThread");
    } catch (ClassNotFoundException before21) {
      return null;
    }
  }

  private static Object scheduler() {
    try {
      java.lang.reflect.Field field =
          Class.forName("java.lang.VirtualThread").getDeclaredField("DEFAULT_SCHEDULER");
      field.setAccessible(true);
      return field.get(null);
    } catch (ReflectiveOperationException before21) {
      return null;
    }
  }

  private static boolean isVirtual(Thread thread) {
    return VIRTUAL != null && VIRTUAL.isInstance(thread);
  }

  private static State stateOfNew(Thread thread) {
    if (!isVirtual(thread)) return new State((Context) TASKS.remove(thread));
    Object known = VIRTUALS.get(thread);
    if (known != null) return (State) known;
    State made = new State((Context) TASKS.remove(thread));
    VIRTUALS.put(thread, made);
    return made;
  }

  /** The state of this thread, which the kernel side knows then. */
  static State current() {
    State state = STATE.get();
    if (state.generation != generation) register(state);
    return state;
  }

  private static void register(State state) {
    Thread thread = Thread.currentThread();
    if (!isVirtual(thread)) {
      if (state.slot < 0) state.slot = Slots.take(thread);
      if (state.slot >= 0) Channel.tell(Channel.REGISTER | state.slot);
    }
    state.generation = generation;
    state.show();
  }

  /** A task is handed over, to be run by whoever comes to it. */
  public static void submit(Object task) {
    if (!on || task == null) return;
    Context context = current().child();
    if (task instanceof CompletableFuture.AsynchronousCompletionTask) {
      TASKS.putIfAbsent(task, context);
    } else {
      TASKS.put(task, context);
    }
  }

  /** The same to a ForkJoinPool. */
  public static void submit(Object pool, Object task) {
    if (pool != SCHEDULER) submit(task);
  }

  /** A thread is started. */
  public static void start(Thread thread) {
    if (on) TASKS.put(thread, current().child());
  }

  /** A worker has got a task, or ends. */
  public static void begin(Object task) {
    if (!on) return;
    State state = current();
    state.begin(task == null ? null : taken(task));
    state.show();
  }

  /** A stage runs in the context in which it was made, however often it is tried. */
  private static Context taken(Object task) {
    boolean isStage = task instanceof CompletableFuture.AsynchronousCompletionTask;
    return (Context) (isStage ? TASKS.get(task) : TASKS.remove(task));
  }

  /** A worker looks for a task. */
  public static void idle() {
    if (!on) return;
    State state = current();
    state.idle();
    state.show();
  }

  /** A task begins that may be one of several inside of each other. */
  public static void enter(Object task) {
    if (!on) return;
    State state = current();
    Object context = TASKS.get(task);
    if (context == null) state.enterSame();
    else state.enter((Context) context);
    state.show();
  }

  /** The same where the thread that runs it has nothing to do with it. */
  public static void enterOther(Object task) {
    if (!on) return;
    State state = current();
    state.enter((Context) TASKS.get(task));
    state.show();
  }

  public static void exit() {
    if (!on) return;
    State state = current();
    state.exit();
    state.show();
  }

  /** Before a socket is read. */
  public static void reading() {
    if (!on) return;
    State state = current();
    state.reading();
    state.show();
  }

  /** After that: bytes, or at most 0 when there were none. */
  public static void read(int bytes) {
    if (!on || bytes > 0) return;
    State state = current();
    state.readNothing();
    state.show();
  }

  public static void read(long bytes) {
    read(bytes > 0 ? 1 : 0);
  }

  /** Before a socket is written to. */
  public static void writing() {
    if (!on) return;
    State state = current();
    if (state.isBetweenTasks()) state.hide();
  }

  public static void written() {
    if (!on) return;
    State state = current();
    if (state.isBetweenTasks()) state.show();
  }

  /** Before the thread waits for any of several sockets. */
  public static void selecting() {
    if (!on) return;
    State state = current();
    state.selects = true;
    state.idle();
    state.show();
  }

  /** On the carrier, before it runs a virtual thread. */
  public static void mount(Thread virtual) {
    if (!on) return;
    State carrier = current();
    State state = (State) VIRTUALS.get(virtual);
    if (state == null) state = stateOfNew(virtual);
    state.slot = carrier.slot;
    state.show();
  }

  public static void unmount() {
    if (on) current().show();
  }
}
