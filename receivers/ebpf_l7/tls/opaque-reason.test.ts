// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { whyOpaque } from "./opaque-reason.ts";

/** A program without symbols whose constants have this text, as panics and errors have. */
function programWith(folder: string, text: string): string {
  const [source, program] = [join(folder, "x.c"), join(folder, "x")];
  writeFileSync(source, `#include <stdio.h>\nint main(void) { puts("${text}"); return 0; }\n`);
  execFileSync("cc", ["-s", "-o", program, source]);
  return program;
}

const PROGRAMS: readonly (readonly [string, RegExp])[] = [
  ["/cargo/registry/src/rustls-0.23.0/src/conn.rs", /rustls/],
  ["../third_party/boringssl/src/ssl/ssl_lib.cc OPENSSL_internal", /BoringSSL.*without symbols/],
  ["../openssl/ssl/ssl_lib.c", /OpenSSL.*without symbols/],
  ["hello", /no known TLS library/],
];

test("what a program has inside is told by the text that its code refers to", () => {
  const folder = mkdtempSync(join(tmpdir(), "opaque-"));
  try {
    for (const [text, reason] of PROGRAMS) {
      assert.match(whyOpaque(programWith(folder, text)), reason);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a file that is no program is an error that says so", () => {
  assert.throws(() => whyOpaque("/etc/passwd"), /not a usable ELF file/);
});
