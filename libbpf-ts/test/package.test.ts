// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { writeReference } from "../scripts/reference.ts";
import { buildObjects, objectPath } from "./support.ts";

buildObjects();

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PLATFORM = `${process.arch}-gnu`;

function run(command: string, words: readonly string[], cwd: string): string {
  return execFileSync(command, [...words], { cwd, encoding: "utf8", stdio: "pipe" });
}

function stage(words: readonly string[]): string {
  return run(process.execPath, ["scripts/stage.ts", ...words], ROOT).trim();
}

/** Packs a staged folder; the archive's path and the files in it. */
function pack(
  folder: string,
  into: string,
): { readonly archive: string; readonly files: string[] } {
  const said = run("npm", ["pack", "--ignore-scripts", "--pack-destination", into], folder);
  const archive = join(into, said.trim().split("\n").at(-1) ?? "");
  const files = run("tar", ["tzf", archive], into).trim().split("\n");
  return { archive, files: files.map((each) => each.replace("package/", "")) };
}

test("the reference is what the docstrings say", () => {
  const path = join(ROOT, "docs/generated/api.md");
  if (process.env["UPDATE_GOLDENS"] === "1") {
    writeFileSync(path, writeReference());
  }
  assert.equal(writeReference(), readFileSync(path, "utf8"), "run: npm run reference");
});

test("Backstitch uses nothing native but this package", () => {
  const home = join(ROOT, "..");
  // What it cannot do without; a library may have a native part that stands in for its own code.
  const found: unknown = JSON.parse(run("npm", ["query", ".prod:not(.optional)"], home));
  assert.ok(Array.isArray(found));
  const folders = found.map(({ realpath }) => String(realpath));
  assert.ok(folders.length > 5, "its dependencies");
  const ours = [home, ROOT].map((folder) => realpathSync(folder));
  const native = folders
    .filter((folder) => !ours.includes(folder))
    .filter((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).some((file) =>
        /\.(?:node|so|gyp)$/.test(file),
      ),
    );
  assert.deepEqual(native, []);
});

test("the packed package works from inside a node_modules, compiled, typed and with its bin", () => {
  const folder = mkdtempSync(join(tmpdir(), "libbpf-ts-pack-"));
  try {
    const main = pack(stage([]), folder);
    const needed = [
      ...[
        "package.json",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "THIRD_PARTY.md",
        "docs/generated/api.md",
      ],
      ...["dist/index.js", "dist/index.d.ts", "bin/libbpf-ts.js", "scripts/build.sh"],
      ...["native/Cargo.lock", "native/src/lib.rs", "include/bpf/bpf_helpers.h"],
      ...["examples/exec-snoop.ts", "examples/exec-snoop.bpf.c", "examples/bpf/kernel-types.h"],
    ];
    assert.deepEqual(
      needed.filter((each) => !main.files.includes(each)),
      [],
    );
    const unwanted = main.files.filter((each) =>
      /\.test\.|\.node$|\.o$|^src\/|target\//.test(each),
    );
    assert.deepEqual(unwanted, []);
    const platform = pack(stage(["--platform", PLATFORM]), folder);
    assert.deepEqual(platform.files.sort(), [
      "LICENSE",
      "THIRD_PARTY.md",
      "libbpf_ts.node",
      "package.json",
    ]);
    followReadme(folder, [main.archive, platform.archive]);
    useInstalled(folder, { main: main.archive, platform: platform.archive });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** A user of no account, so that only what this test starts is seen. */
const NO_ONE = 61_234;

/** The README's five minutes in an empty folder, from what `npm pack` made to the first record. */
function followReadme(folder: string, archives: readonly string[]): void {
  const home = join(folder, "five minutes");
  mkdirSync(home);
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const block = (pattern: RegExp): string => {
    const [, text = ""] = pattern.exec(readme) ?? [];
    assert.notEqual(text, "", String(pattern));
    return text;
  };
  writeFileSync(join(home, "exec.bpf.c"), block(/```c\n([\s\S]*?)```/));
  // In place of bpftool, which says the same of some more types.
  writeFileSync(join(home, "vmlinux.h"), readFileSync(join(ROOT, "test/bpf/types.h"), "utf8"));
  const program = block(/```ts\n(import \{ openObject[\s\S]*?)```/);
  assert.match(program, /only_uid: 0 /);
  const mine = program.replace("only_uid: 0 ", `only_uid: ${NO_ONE} `);
  writeFileSync(join(home, "exec.ts"), mine);
  const clang = process.env["CLANG"] ?? "clang-19";
  const commands = block(/```sh\n(npm init[\s\S]*?)```/)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("bpftool"))
    .map((line) =>
      line
        .replace("npm install libbpf-ts", `npm install --offline --no-audit ${archives.join(" ")}`)
        .replace(/^clang /, `${clang} `)
        .replace("sudo node", `"${process.execPath}"`),
    );
  const last = commands.pop() ?? "";
  for (const command of commands) {
    run("sh", ["-ec", command], home);
  }
  const start = `setpriv --reuid=${NO_ONE} --clear-groups true`;
  const script = `${last} > seen & watcher=$!
    for attempt in $(seq 100); do ${start}; sleep 0.1; grep -q true seen && break; done
    kill $watcher; cat seen`;
  assert.match(run("sh", ["-c", script], home), /^\d+ (?:true|setpriv)$/m);
}

/** Unpacks both as npm would, and uses the package as a stranger does. */
function useInstalled(
  folder: string,
  archives: { readonly main: string; readonly platform: string },
): void {
  const modules = join(folder, "node_modules");
  for (const [name, archive] of [
    ["libbpf-ts", archives.main],
    [`libbpf-ts-linux-${PLATFORM}`, archives.platform],
  ] as const) {
    mkdirSync(join(modules, name), { recursive: true });
    run("tar", ["xzf", archive, "-C", join(modules, name), "--strip-components=1"], folder);
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  const object = JSON.stringify(objectPath("maps"));
  const text = `
    import { openObject, type BpfObject } from "libbpf-ts";
    using object: BpfObject = openObject(${object});
    const names: readonly string[] = object.programs.map((each) => each.name);
    console.log(names.join());
  `;
  writeFileSync(join(folder, "use.ts"), text);
  assert.equal(run(process.execPath, ["use.ts"], folder).trim(), "emit");
  const compilerOptions = {
    ...{ strict: true, module: "nodenext", target: "es2024", noEmit: true, skipLibCheck: false },
    ...{ lib: ["es2024", "esnext.disposable"], types: ["node"] },
    typeRoots: [join(ROOT, "../node_modules/@types")],
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions, files: ["use.ts"] }),
  );
  run(join(ROOT, "../node_modules/.bin/tsc"), ["-p", "."], folder);
  const bin = join(modules, "libbpf-ts/bin/libbpf-ts.js");
  const generated = run(process.execPath, [bin, "generate", objectPath("maps")], folder);
  assert.match(generated, /export function decodeValue/);
  // It ends with 1 where this kernel or this user may not load programs, and prints all the same.
  const { stdout } = spawnSync("npx", ["libbpf-ts", "doctor"], { cwd: folder, encoding: "utf8" });
  assert.match(stdout, /^Linux \d[\s\S]*\nAttaching: \d+ of \d+\n/);
}
