// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";

/** A Java development kit of this machine. */
export interface Jdk {
  /** 17, 25 … */
  readonly version: number;
  readonly java: string;
  readonly javac: string;
}

/** Where Debian, Ubuntu, Fedora and most images put them. */
const FOLDERS = ["/usr/lib/jvm", "/opt/java", "/opt"];

/** All that are found, oldest first. */
export function jdks(): readonly Jdk[] {
  const homes = new Set<string>();
  const { JAVA_HOME } = process.env;
  if (JAVA_HOME !== undefined && existsSync(JAVA_HOME)) homes.add(realpathSync(JAVA_HOME));
  for (const folder of FOLDERS) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      const home = join(folder, name);
      if (existsSync(join(home, "bin/javac"))) homes.add(realpathSync(home));
    }
  }
  const found = [...homes].flatMap((home): readonly Jdk[] => {
    const version = versionOf(home);
    if (version === undefined) return [];
    return [{ version, java: join(home, "bin/java"), javac: join(home, "bin/javac") }];
  });
  return found.toSorted((one, other) => one.version - other.version);
}

function versionOf(home: string): number | undefined {
  const release = join(home, "release");
  if (!existsSync(release)) return undefined;
  const version = /^JAVA_VERSION="(\d+)/m.exec(readFileSync(release, "utf8"))?.[1];
  return version === undefined ? undefined : Number(version);
}

/** The oldest of at least that version. */
export function jdkSince(version: number): Jdk | undefined {
  return jdks().find((jdk) => jdk.version >= version);
}
