// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.lang.instrument.ClassFileTransformer;
import java.security.ProtectionDomain;
import java.util.ArrayList;
import java.util.List;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassVisitor;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.MethodVisitor;
import org.objectweb.asm.Opcodes;
import org.objectweb.asm.Type;

/**
 * Adds calls of Hooks at the beginning and at the ends of methods. No field, method or branch
 * is added, so that a class can be changed back at any time.
 */
final class Weaver implements ClassFileTransformer {
  private static final String HOOKS = "io/backstitch/agent/Hooks";
  private static final String TLS_HOOKS = "io/backstitch/agent/TlsHooks";
  private static final String OBJECT = "Ljava/lang/Object;";
  private static final String WORKER = "java/util/concurrent/ThreadPoolExecutor$Worker";
  /** Beyond the local variables of all methods that are woven; it lives between two instructions. */
  private static final int SCRATCH = 120;

  /** Methods that were woven, of all classes. */
  volatile int woven;

  @Override
  public byte[] transform(
      ClassLoader loader, String name, Class<?> known, ProtectionDomain domain, byte[] bytes) {
    List<Rules.Rule> rules = Rules.of(name);
    if (rules.isEmpty()) return null;
    try {
      return weave(bytes, rules);
    } catch (RuntimeException unknownForm) {
      // A class file that ASM cannot read: the class stays as it is.
      return null;
    }
  }

  private byte[] weave(byte[] bytes, List<Rules.Rule> rules) {
    ClassReader reader = new ClassReader(bytes);
    ClassWriter writer = new ClassWriter(reader, ClassWriter.COMPUTE_MAXS);
    int[] count = {0};
    String outer = reader.getClassName().replaceFirst("\\$[^$]*$", "");
    reader.accept(
        new ClassVisitor(Opcodes.ASM9, writer) {
          @Override
          public MethodVisitor visitMethod(
              int access, String name, String descriptor, String signature, String[] errors) {
            MethodVisitor next =
                super.visitMethod(access, name, descriptor, signature, errors);
            if ((access & (Opcodes.ACC_NATIVE | Opcodes.ACC_ABSTRACT)) != 0) return next;
            boolean isStatic = (access & Opcodes.ACC_STATIC) != 0;
            List<Rules.Rule> apply = new ArrayList<>();
            for (Rules.Rule rule : rules) {
              boolean isMeant = !isStatic || rule.isForStatic();
              if (isMeant && rule.applies(name, descriptor)) apply.add(rule);
            }
            if (apply.isEmpty()) return next;
            count[0]++;
            return new Method(next, reader.getClassName(), outer, descriptor, isStatic, apply);
          }
        },
        0);
    if (count[0] == 0) return null;
    woven += count[0];
    return writer.toByteArray();
  }

  private static final class Method extends MethodVisitor {
    private final String own;
    private final String outer;
    private final String descriptor;
    /** The local variable of the first argument. */
    private final int first;
    private final List<Rules.Rule> rules;

    Method(
        MethodVisitor next,
        String own,
        String outer,
        String descriptor,
        boolean isStatic,
        List<Rules.Rule> rules) {
      super(Opcodes.ASM9, next);
      this.own = own;
      this.outer = outer;
      this.first = isStatic ? 0 : 1;
      this.descriptor = descriptor;
      this.rules = rules;
    }

    @Override
    public void visitCode() {
      super.visitCode();
      for (Rules.Rule rule : rules) if (!rule.atEnd) call(rule);
    }

    @Override
    public void visitInsn(int opcode) {
      if (opcode >= Opcodes.IRETURN && opcode <= Opcodes.RETURN) {
        for (Rules.Rule rule : rules) if (rule.atEnd) call(rule);
      }
      super.visitInsn(opcode);
    }

    private void call(Rules.Rule rule) {
      String taken = "";
      switch (rule.pass) {
        case NOTHING:
          break;
        case THIS:
          visitVarInsn(Opcodes.ALOAD, 0);
          boolean isThread = rule.hook.equals("start") || rule.hook.equals("mount");
          taken = isThread ? "Ljava/lang/Thread;" : OBJECT;
          break;
        case FIRST:
          visitVarInsn(Opcodes.ALOAD, first);
          taken = OBJECT;
          break;
        case FIRST_TASK:
          visitVarInsn(Opcodes.ALOAD, 1);
          visitFieldInsn(Opcodes.GETFIELD, WORKER, "firstTask", "Ljava/lang/Runnable;");
          taken = OBJECT;
          break;
        case POOL_AND_TASK:
          visitVarInsn(Opcodes.ALOAD, 0);
          loadTask();
          taken = OBJECT + OBJECT;
          break;
        case ALL:
          taken = loadArguments();
          break;
        case OUTER:
          taken = loadOuter();
          break;
        case THIS_ALL_RESULT:
        case OUTER_ALL_RESULT:
          taken = loadAll(rule.pass);
          break;
        case RESULT:
          taken = duplicateResult();
          break;
      }
      String hooks = rule.hook.startsWith("tls") ? TLS_HOOKS : HOOKS;
      visitMethodInsn(Opcodes.INVOKESTATIC, hooks, rule.hook, "(" + taken + ")V", false);
    }

    private void loadTask() {
      int at = 1;
      for (Type argument : Type.getArgumentTypes(descriptor)) {
        if (argument.getDescriptor().endsWith("ForkJoinTask;")) {
          visitVarInsn(Opcodes.ALOAD, at);
          return;
        }
        at += argument.getSize();
      }
      visitInsn(Opcodes.ACONST_NULL);
    }

    private String loadArguments() {
      StringBuilder taken = new StringBuilder();
      int at = 1;
      for (Type argument : Type.getArgumentTypes(descriptor)) {
        visitVarInsn(argument.getOpcode(Opcodes.ILOAD), at);
        at += argument.getSize();
        taken.append(argument.getDescriptor());
      }
      return taken.toString();
    }

    private String loadOuter() {
      visitVarInsn(Opcodes.ALOAD, 0);
      visitFieldInsn(Opcodes.GETFIELD, own, "this$0", "L" + outer + ";");
      return OBJECT;
    }

    /** The result is one word or none. It is kept in a local variable that no frame knows of. */
    private String loadAll(Rules.Pass pass) {
      Type result = Type.getReturnType(descriptor);
      int kept = SCRATCH;
      boolean has = result.getSort() != Type.VOID;
      if (has) {
        visitInsn(Opcodes.DUP);
        visitVarInsn(result.getOpcode(Opcodes.ISTORE), kept);
      }
      String taken = OBJECT;
      if (pass == Rules.Pass.OUTER_ALL_RESULT) loadOuter();
      else visitVarInsn(Opcodes.ALOAD, 0);
      taken += loadArguments();
      if (!has) return taken;
      visitVarInsn(result.getOpcode(Opcodes.ILOAD), kept);
      return taken + result.getDescriptor();
    }

    private String duplicateResult() {
      Type result = Type.getReturnType(descriptor);
      visitInsn(result.getSize() == 2 ? Opcodes.DUP2 : Opcodes.DUP);
      return result.getSort() >= Type.ARRAY ? OBJECT : result.getDescriptor();
    }
  }
}
