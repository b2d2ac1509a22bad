// SPDX-License-Identifier: Apache-2.0
// Lays out what is published: build/package (the package itself, compiled) and, with
// `--platform x64-gnu`, build/platforms/x64-gnu (the addon that was built here).
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUILD = join(ROOT, "build");
const PLATFORMS = ["x64-gnu", "x64-musl", "arm64-gnu", "arm64-musl"] as const;
const COPIED = [
  ...["README.md", "CHANGELOG.md", "LICENSE", "bin", "docs", "scripts/build.sh"],
  ...["native/src", "native/build.rs", "native/Cargo.toml", "native/Cargo.lock"],
  "native/LICENSES.md",
];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
}

function unsafeManifest(): Manifest {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** JavaScript and declarations, because Node does not strip types inside of node_modules. */
function compile(target: string): void {
  const config = join(BUILD, "tsconfig.json");
  const compilerOptions = {
    noEmit: false,
    outDir: join(target, "dist"),
    rootDir: join(ROOT, "src"),
    rewriteRelativeImportExtensions: true,
    declaration: true,
  };
  const include = [join(ROOT, "src/**/*.ts")];
  const exclude = [join(ROOT, "src/**/*.test.ts")];
  const base = join(ROOT, "../tsconfig.json");
  writeJson(config, { extends: base, compilerOptions, include, exclude });
  execFileSync(join(ROOT, "../node_modules/.bin/tsc"), ["-p", config], { stdio: "inherit" });
}

/** The licence texts of the Rust crates and of libbpf that the addon contains. */
function writeThirdPartyLicences(path: string): void {
  const native = join(ROOT, "native");
  const words = ["metadata", "--format-version", "1", "--locked", "--quiet"];
  const options = { cwd: native, encoding: "utf8", maxBuffer: 64 << 20 } as const;
  const found: unknown = JSON.parse(execFileSync("cargo", words, options));
  const texts = unsafePackages(found).flatMap(({ name, version, license, manifest_path }) => {
    const folder = dirname(manifest_path);
    const files = [folder, join(folder, "libbpf")].flatMap((each) =>
      existsSync(each) ? readdirSync(each).map((file) => join(each, file)) : [],
    );
    const licences = files.filter((file) => /\/(?:LICEN[CS]E|COPYING)[^/]*$/i.test(file));
    const body = licences.map((file) => readFileSync(file, "utf8").trim()).join("\n\n");
    return name === "libbpf-ts" ? [] : [`## ${name} ${version} (${license})\n\n${body}`];
  });
  const note = "Licences of the crates that the native addon is built from, build tools included.";
  writeFileSync(path, `# Third-party licences\n\n${note}\n\n${texts.sort().join("\n\n")}\n`);
}

interface Crate {
  readonly name: string;
  readonly version: string;
  readonly license: string | null;
  readonly manifest_path: string;
}

/** Relies on: cargo's own format, version 1. */
function unsafePackages(metadata: unknown): readonly Crate[] {
  return (metadata as { readonly packages: readonly Crate[] }).packages;
}

function stagePackage(): string {
  const target = join(BUILD, "package");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  compile(target);
  for (const name of COPIED) {
    mkdirSync(dirname(join(target, name)), { recursive: true });
    cpSync(join(ROOT, name), join(target, name), { recursive: true });
  }
  cpSync(join(ROOT, "native/include"), join(target, "include"), { recursive: true });
  for (const file of readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" })) {
    if (/\.(?:c|h|ts)$/.test(file)) {
      mkdirSync(dirname(join(target, "examples", file)), { recursive: true });
      copyFileSync(join(ROOT, "examples", file), join(target, "examples", file));
    }
  }
  writeThirdPartyLicences(join(target, "THIRD_PARTY.md"));
  const { name, version, description, license, engines } = unsafeManifest();
  const optional = PLATFORMS.map((platform) => [`${name}-linux-${platform}`, version]);
  writeJson(join(target, "package.json"), {
    ...{ name, version, description, license, type: "module", engines, os: ["linux"] },
    keywords: ["ebpf", "bpf", "libbpf", "tracing", "ring buffer", "uprobe"],
    exports: {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./package.json": "./package.json",
    },
    bin: { [name]: `bin/${name}.js` },
    optionalDependencies: Object.fromEntries(optional),
  });
  return target;
}

function stagePlatform(platform: string): string {
  const [cpu = "", libc = ""] = platform.split("-");
  if (!PLATFORMS.some((each) => each === platform)) {
    throw new Error(`platform ${platform}: one of ${PLATFORMS.join(", ")}`);
  }
  const target = join(BUILD, "platforms", platform);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  copyFileSync(join(ROOT, "native/libbpf_ts.node"), join(target, "libbpf_ts.node"));
  copyFileSync(join(ROOT, "LICENSE"), join(target, "LICENSE"));
  writeThirdPartyLicences(join(target, "THIRD_PARTY.md"));
  const { name, version, license, engines } = unsafeManifest();
  writeJson(join(target, "package.json"), {
    ...{ name: `${name}-linux-${platform}`, version, license, engines },
    description: `The native addon of ${name} for Linux ${cpu} with ${libc}`,
    ...{ os: ["linux"], cpu: [cpu], libc: [libc === "gnu" ? "glibc" : "musl"] },
    main: "libbpf_ts.node",
  });
  return target;
}

mkdirSync(BUILD, { recursive: true });
const { values } = parseArgs({ options: { platform: { type: "string" } } });
const staged = values.platform === undefined ? stagePackage() : stagePlatform(values.platform);
process.stdout.write(`${staged}\n`);
