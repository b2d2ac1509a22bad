// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { functionOffset } from "libbpf-ts";
import { TLS_CALL_READS } from "../../../bpf/generated/wire.ts";
import { findLibrary, type LibraryKind } from "./library.ts";
import { mappedFiles } from "./mappings.ts";

const ALL: ReadonlySet<LibraryKind> = new Set(["openssl", "gnutls", "go"]);

test("this program has OpenSSL inside, with functions where the symbols say", () => {
  const file = mappedFiles(process.pid).find(({ name }) => name === process.execPath);
  assert.ok(file);
  const library = findLibrary(file.path, ALL);
  assert.equal(library?.kind, "openssl");
  const { offset } = functionOffset(process.execPath, "SSL_read");
  const reads = library.probes.filter((probe) => probe.offset === offset);
  assert.deepEqual(reads, [{ program: "tls_call", offset, call: TLS_CALL_READS }]);
});

test("what is switched off is not found", () => {
  assert.equal(findLibrary(process.execPath, new Set(["gnutls", "go"])), undefined);
});

test("a library that only has a function of that name is not OpenSSL", () => {
  const folder = mkdtempSync(join(tmpdir(), "library-"));
  try {
    const [source, object] = [join(folder, "x.c"), join(folder, "x.so")];
    writeFileSync(source, "int SSL_read(void *s, void *b, int n) { return n; }\n");
    execFileSync("cc", ["-shared", "-fPIC", "-o", object, source]);
    assert.equal(findLibrary(object, ALL), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("of a process that is gone no file is mapped", () => {
  assert.deepEqual(mappedFiles(4_194_305), []);
});
