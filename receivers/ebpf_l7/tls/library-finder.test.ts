// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { LibraryFinder } from "./library-finder.ts";

const ALL = new Set(["openssl", "gnutls", "go"] as const);

test("several files at once, one of them missing: each has its own answer", async () => {
  const finder = new LibraryFinder();
  try {
    const [node, missing, plain] = await Promise.allSettled([
      finder.find(process.execPath, ALL),
      finder.find("/nowhere/at/all", ALL),
      finder.find("/bin/true", ALL),
    ]);
    assert.equal(node.status === "fulfilled" && node.value?.kind, "openssl");
    assert.match(missing.status === "rejected" ? String(missing.reason) : "", /ENOENT/);
    assert.deepEqual(plain, { status: "fulfilled", value: undefined });
    assert.match(await finder.explain("/bin/true"), /no known TLS library/);
  } finally {
    finder.close();
  }
});

test("who waits when it is closed gets an error, and a later question a new thread", async () => {
  const finder = new LibraryFinder();
  const waiting = finder.find(process.execPath, ALL);
  finder.close();
  await assert.rejects(waiting, /closed/);
  assert.equal(await finder.find("/bin/true", ALL), undefined);
  finder.close();
});
