// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { hashSync } from "bcryptjs";
import { parseHtpasswd } from "./htpasswd.ts";

function salted(password: string, salt: string): string {
  const digest = createHash("sha1").update(password).update(salt).digest();
  return `{SSHA}${Buffer.concat([digest, Buffer.from(salt)]).toString("base64")}`;
}

test("each kind of hash takes its password and no other", async () => {
  const lines = [
    `bcrypt:${hashSync("first", 4)}`,
    `apache:${hashSync("first", 4).replace(/^\$2./, "$2y")}`,
    // RFC 3174: SHA-1 of "abc".
    "sha:{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
    `ssha:${salted("third", "salt")}`,
    "plain:fourth",
    "colon:fi:fth",
  ];
  const verifiers = parseHtpasswd(`# people\n\n${lines.join("\r\n")}\n`);
  const passwords = {
    bcrypt: "first",
    apache: "first",
    sha: "abc",
    ssha: "third",
    plain: "fourth",
    colon: "fi:fth",
  };
  for (const [user, password] of Object.entries(passwords)) {
    const verifier = verifiers.get(user) ?? assert.fail(user);
    assert.equal(await verifier(password), true, user);
    for (const wrong of ["", `${password} `, "zzz"])
      assert.equal(await verifier(wrong), false, user);
  }
});

test("the later of two lines for a user wins", async () => {
  const verifier = parseHtpasswd("ann:old\nann:new").get("ann");
  assert.deepEqual([await verifier?.("old"), await verifier?.("new")], [false, true]);
});

test("lines that could let nobody in are refused with their number", () => {
  for (const line of ["ann", ":x", "ann:", "ann:$apr1$x$y", "ann:{SHA}short", "ann:{MD5}abc"]) {
    assert.throws(() => parseHtpasswd(`bob:x\n${line}`), /line 2 is not user:hash/, line);
  }
  assert.throws(() => parseHtpasswd("# nobody\n"), /names nobody/);
});
