// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import static java.util.Map.entry;

import java.util.List;
import java.util.Map;

/** Which methods of which classes call what: all that is ever woven. */
final class Rules {
  /** What is passed to the hook. */
  enum Pass {
    NOTHING,
    THIS,
    /** The first argument. */
    FIRST,
    /** `this` and the first argument whose type is a ForkJoinTask. */
    POOL_AND_TASK,
    /** The field `firstTask` of the first argument. */
    FIRST_TASK,
    /** All arguments. */
    ALL,
    /** `this`, all arguments, and what the method returns if anything. */
    THIS_ALL_RESULT,
    /** The object of which this is a part. */
    OUTER,
    /** The same, all arguments, and what the method returns if anything. */
    OUTER_ALL_RESULT,
    /** What the method returns. */
    RESULT
  }

  static final class Rule {
    /** Of methods, separated by blanks. */
    final List<String> names;
    /** What the descriptor begins with. */
    final String descriptor;
    final boolean atEnd;
    final String hook;
    final Pass pass;

    Rule(String names, String descriptor, boolean atEnd, String hook, Pass pass) {
      this.names = List.of(names.split(" "));
      this.descriptor = descriptor;
      this.atEnd = atEnd;
      this.hook = hook;
      this.pass = pass;
    }

    /** A method without `this` has nothing else that could be passed. */
    boolean isForStatic() {
      return pass == Pass.FIRST || pass == Pass.NOTHING;
    }

    boolean applies(String name, String of) {
      return names.contains(name) && of.startsWith(descriptor);
    }
  }

  private static final String CONCURRENT = "java/util/concurrent/";
  private static final String NETTY = "io/netty/util/concurrent/";
  private static final String TLS = "sun/security/ssl/";
  private static final String HTTP = "jdk/internal/net/http/";
  private static final String CLIENT = HTTP + "HttpClientImpl";
  private static final String STAGE = CONCURRENT + "CompletableFuture$";

  private static Rule begin(String names, String descriptor, String hook, Pass pass) {
    return new Rule(names, descriptor, false, hook, pass);
  }

  private static Rule end(String names, String descriptor, String hook, Pass pass) {
    return new Rule(names, descriptor, true, hook, pass);
  }

  private static final List<Rule> STAGES =
      List.of(
          begin("tryFire", "(I)", "enterOther", Pass.THIS),
          end("tryFire", "(I)", "exit", Pass.NOTHING));

  private static final Map<String, List<Rule>> BY_CLASS =
      Map.ofEntries(
          entry(
              CONCURRENT + "ThreadPoolExecutor",
              List.of(
                  begin("execute", "(Ljava/lang/Runnable;)", "submit", Pass.FIRST),
                  begin("runWorker", "(", "begin", Pass.FIRST_TASK),
                  begin("getTask", "()", "idle", Pass.NOTHING),
                  end("getTask", "()", "begin", Pass.RESULT))),
          entry(
              CONCURRENT + "ScheduledThreadPoolExecutor",
              List.of(begin("delayedExecute", "(", "submit", Pass.FIRST))),
          entry(
              CONCURRENT + "ForkJoinPool",
              List.of(
                  begin(
                      "externalSubmit externalPush poolSubmit scheduleDelayedTask",
                      "(",
                      "submit",
                      Pass.POOL_AND_TASK))),
          entry(
              CONCURRENT + "ForkJoinTask",
              List.of(
                  begin("fork", "()", "submit", Pass.THIS),
                  begin("doExec", "()", "enter", Pass.THIS),
                  end("doExec", "()", "exit", Pass.NOTHING))),
          entry(STAGE + "Completion", List.of(end("<init>", "()", "submit", Pass.THIS))),
          entry("java/lang/Thread", List.of(begin("start", "(", "start", Pass.THIS))),
          entry(
              "java/lang/VirtualThread",
              List.of(
                  begin("start", "(Ljdk/internal/vm/ThreadContainer;)", "start", Pass.THIS),
                  begin("runContinuation", "()", "mount", Pass.THIS),
                  end("runContinuation", "()", "unmount", Pass.NOTHING))),
          entry(
              "sun/nio/ch/SelectorImpl",
              List.of(begin("lockAndDoSelect", "(", "selecting", Pass.NOTHING))),
          entry(
              "sun/nio/ch/SocketDispatcher",
              List.of(
                  begin("read readv", "(", "reading", Pass.NOTHING),
                  end("read readv", "(", "read", Pass.RESULT),
                  begin("write writev", "(", "writing", Pass.NOTHING),
                  end("write writev", "(", "written", Pass.NOTHING))),
          // Up to JDK 12.
          entry(
              "java/net/SocketInputStream",
              List.of(
                  begin("socketRead", "(", "reading", Pass.NOTHING),
                  end("socketRead", "(", "read", Pass.RESULT))),
          entry(
              "java/net/SocketOutputStream",
              List.of(
                  begin("socketWrite", "(", "writing", Pass.NOTHING),
                  end("socketWrite", "(", "written", Pass.NOTHING))),
          entry(
              NETTY + "SingleThreadEventExecutor",
              List.of(begin("execute", "(Ljava/lang/Runnable;", "submit", Pass.FIRST))),
          entry(
              NETTY + "AbstractEventExecutor",
              List.of(
                  begin("safeExecute runTask", "(Ljava/lang/Runnable;)", "enterOther", Pass.FIRST),
                  end("safeExecute runTask", "(Ljava/lang/Runnable;)", "exit", Pass.NOTHING))),
          entry(
              "org/eclipse/jetty/util/thread/QueuedThreadPool",
              List.of(
                  begin("execute", "(Ljava/lang/Runnable;)", "submit", Pass.FIRST),
                  begin("runJob", "(Ljava/lang/Runnable;)", "begin", Pass.FIRST),
                  end("runJob", "(Ljava/lang/Runnable;)", "idle", Pass.NOTHING))),
          entry(
              CLIENT,
              List.of(begin("registerEvent eventUpdated", "(", "submit", Pass.FIRST))),
          entry(
              TLS + "SSLEngineImpl",
              List.of(
                  end("<init>", "(", "tlsMade", Pass.THIS),
                  begin("writeRecord", "([", "tlsWrapping", Pass.ALL),
                  end("writeRecord", "([", "tlsWrapped", Pass.THIS_ALL_RESULT),
                  begin("readRecord", "([", "tlsUnwrapping", Pass.ALL),
                  end("readRecord", "([", "tlsUnwrapped", Pass.THIS_ALL_RESULT))),
          entry(
              TLS + "SSLSocketImpl",
              List.of(
                  end("<init>", "(", "tlsMade", Pass.THIS),
                  begin("startHandshake", "(Z)", "tlsShakesHands", Pass.THIS),
                  end("startHandshake", "(Z)", "tlsLeave", Pass.NOTHING))),
          entry(
              TLS + "SSLSocketImpl$AppInputStream",
              List.of(
                  begin("read", "([BII)", "tlsEnter", Pass.OUTER),
                  end("read", "([BII)", "tlsRead", Pass.OUTER_ALL_RESULT))),
          entry(
              TLS + "SSLSocketImpl$AppOutputStream",
              List.of(
                  begin("write", "([BII)", "tlsEnter", Pass.OUTER),
                  end("write", "([BII)", "tlsWritten", Pass.OUTER_ALL_RESULT))),
          // Made with the request; run by whoever finds that the connection takes more.
          entry(
              HTTP + "Http1Exchange$Http1Publisher$WriteTask",
              List.of(
                  end("<init>", "(", "submit", Pass.THIS),
                  begin("run", "()", "enterOther", Pass.THIS),
                  end("run", "()", "exit", Pass.NOTHING))),
          entry(
              CLIENT + "$SelectorManager",
              List.of(
                  begin("handleEvent", "(", "enterOther", Pass.FIRST),
                  end("handleEvent", "(", "exit", Pass.NOTHING))));

  private Rules() {}

  /** By internal name; empty where nothing is to do. */
  static List<Rule> of(String className) {
    if (className == null) return List.of();
    List<Rule> known = BY_CLASS.get(className);
    if (known != null) return known;
    return className.startsWith(STAGE) ? STAGES : List.of();
  }
}
