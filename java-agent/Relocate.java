// SPDX-License-Identifier: Apache-2.0
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.commons.ClassRemapper;
import org.objectweb.asm.commons.Remapper;

/** Relocate.java CLASSES JARS TO: our classes and those of ASM's core, with ASM under our name. */
public class Relocate {
  static final String ASM = "org/objectweb/asm/";
  static final Remapper NAMES =
      new Remapper() {
        @Override
        public String map(String name) {
          return name.startsWith(ASM) ? "io/backstitch/agent/asm/" + name.substring(ASM.length()) : name;
        }
      };

  public static void main(String[] args) throws IOException {
    Path to = Path.of(args[2]);
    for (Path file : list(Path.of(args[0]), ".class")) write(Files.readAllBytes(file), to);
    for (Path file : list(Path.of(args[1]), ".jar")) {
      // The core only: asm-commons and asm-tree are for this program.
      if (!file.getFileName().toString().matches("asm-[0-9.]+\\.jar")) continue;
      try (JarFile jar = new JarFile(file.toFile())) {
        for (var entry : jar.stream().collect(Collectors.toList())) {
          if (!entry.getName().startsWith(ASM) || !entry.getName().endsWith(".class")) continue;
          try (InputStream in = jar.getInputStream(entry)) {
            write(in.readAllBytes(), to);
          }
        }
      }
    }
  }

  static List<Path> list(Path folder, String ending) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(file -> file.toString().endsWith(ending)).collect(Collectors.toList());
    }
  }

  static void write(byte[] bytes, Path to) throws IOException {
    ClassReader reader = new ClassReader(bytes);
    ClassWriter writer = new ClassWriter(0);
    reader.accept(new ClassRemapper(writer, NAMES), 0);
    Path file = to.resolve(NAMES.map(reader.getClassName()) + ".class");
    Files.createDirectories(file.getParent());
    Files.write(file, writer.toByteArray());
  }
}
