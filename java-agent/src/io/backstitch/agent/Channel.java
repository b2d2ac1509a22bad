// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.io.FileDescriptor;
import java.lang.instrument.Instrumentation;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Field;
import java.nio.Buffer;
import java.util.Map;
import java.util.Properties;
import java.util.Set;

/**
 * How this side speaks to the kernel side: by calling a native method of the JDK that does nothing
 * (FileDescriptor.getHandle returns -1 on all but Windows), on which the agent has a uprobe. Its
 * argument is what to do in the upper 8 bits, which no real descriptor has.
 */
final class Channel {
  /** The thread has the slot in the lower bits. */
  static final int REGISTER = 1 << 24;
  /** There is clear text in the thread's message. */
  static final int CLEAR_TEXT = 2 << 24;

  private static MethodHandle call;
  private static Field address;
  private static Properties properties;

  private Channel() {}

  /** Opens what it needs of java.base to this class only. */
  static void open(Instrumentation instrumentation) throws ReflectiveOperationException {
    Module own = Channel.class.getModule();
    instrumentation.redefineModule(
        Object.class.getModule(),
        Set.of(),
        Map.of("jdk.internal.vm", Set.of(own)),
        Map.of("java.io", Set.of(own), "java.nio", Set.of(own), "java.lang", Set.of(own)),
        Set.of(),
        Map.of());
    MethodHandles.Lookup lookup =
        MethodHandles.privateLookupIn(FileDescriptor.class, MethodHandles.lookup());
    MethodType type = MethodType.methodType(long.class, int.class);
    call = lookup.findStatic(FileDescriptor.class, "getHandle", type);
    address = Buffer.class.getDeclaredField("address");
    address.setAccessible(true);
    Class<?> support = Class.forName("jdk.internal.vm.VMSupport");
    properties = (Properties) support.getMethod("getAgentProperties").invoke(null);
    tell(0);
  }

  static void tell(int what) {
    try {
      long ignored = (long) call.invokeExact(what);
    } catch (Throwable impossible) {
      throw new AssertionError(impossible);
    }
  }

  static long address(Buffer buffer) {
    try {
      return address.getLong(buffer);
    } catch (IllegalAccessException impossible) {
      throw new AssertionError(impossible);
    }
  }

  /** What the attaching side reads by the attach protocol's `agentProperties`. */
  static void publish(String state) {
    properties.setProperty("backstitch.state", state);
  }
}
