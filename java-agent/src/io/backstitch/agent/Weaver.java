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
 * Adds calls of Hooks at the beginning and at the ends of methods. No field, method, branch or
 * local variable is added, so that a class can be changed back at any time.
 */
final class Weaver implements ClassFileTransformer {
  private static final String HOOKS = "io/backstitch/agent/Hooks";
  private static final String WORKER = "java/util/concurrent/ThreadPoolExecutor$Worker";
  private static final String TASK = "Ljava/util/concurrent/ForkJoinTask;";

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
    reader.accept(
        new ClassVisitor(Opcodes.ASM9, writer) {
          @Override
          public MethodVisitor visitMethod(
              int access, String name, String descriptor, String signature, String[] errors) {
            MethodVisitor next =
                super.visitMethod(access, name, descriptor, signature, errors);
            if ((access & (Opcodes.ACC_STATIC | Opcodes.ACC_NATIVE | Opcodes.ACC_ABSTRACT)) != 0) {
              return next;
            }
            List<Rules.Rule> apply = new ArrayList<>();
            for (Rules.Rule rule : rules) if (rule.applies(name, descriptor)) apply.add(rule);
            if (apply.isEmpty()) return next;
            count[0]++;
            return new Method(next, descriptor, apply);
          }
        },
        0);
    if (count[0] == 0) return null;
    woven += count[0];
    return writer.toByteArray();
  }

  private static final class Method extends MethodVisitor {
    private final String descriptor;
    private final List<Rules.Rule> rules;

    Method(MethodVisitor next, String descriptor, List<Rules.Rule> rules) {
      super(Opcodes.ASM9, next);
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
          taken = rule.hook.equals("start") || rule.hook.equals("mount")
              ? "Ljava/lang/Thread;"
              : "Ljava/lang/Object;";
          break;
        case FIRST:
          visitVarInsn(Opcodes.ALOAD, 1);
          taken = "Ljava/lang/Object;";
          break;
        case FIRST_TASK:
          visitVarInsn(Opcodes.ALOAD, 1);
          visitFieldInsn(Opcodes.GETFIELD, WORKER, "firstTask", "Ljava/lang/Runnable;");
          taken = "Ljava/lang/Object;";
          break;
        case POOL_AND_TASK:
          visitVarInsn(Opcodes.ALOAD, 0);
          loadTask();
          taken = "Ljava/lang/Object;Ljava/lang/Object;";
          break;
        case RESULT:
          taken = duplicateResult();
          break;
      }
      visitMethodInsn(Opcodes.INVOKESTATIC, HOOKS, rule.hook, "(" + taken + ")V", false);
    }

    private void loadTask() {
      int at = 1;
      for (Type argument : Type.getArgumentTypes(descriptor)) {
        String type = argument.getDescriptor();
        if (type.equals(TASK) || type.endsWith("ForkJoinTask;")) {
          visitVarInsn(Opcodes.ALOAD, at);
          return;
        }
        at += argument.getSize();
      }
      visitInsn(Opcodes.ACONST_NULL);
    }

    private String duplicateResult() {
      Type result = Type.getReturnType(descriptor);
      visitInsn(result.getSize() == 2 ? Opcodes.DUP2 : Opcodes.DUP);
      return result.getSort() >= Type.ARRAY ? "Ljava/lang/Object;" : result.getDescriptor();
    }
  }
}
