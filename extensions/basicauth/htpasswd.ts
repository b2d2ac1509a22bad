// SPDX-License-Identifier: Apache-2.0
import { createHash, timingSafeEqual } from "node:crypto";
import { compare } from "bcryptjs";
import { AgentError } from "../../src/component/errors.ts";

/** Is this the password? */
export type Verifier = (password: string) => Promise<boolean>;

const SHA1_BYTES = 20;

/**
 * Lines `user:hash` by user: bcrypt (`$2y$…`), `{SHA}`, `{SSHA}` or plain text. Empty lines and those
 * that begin with `#` are left out. Throws `AgentError` on a line that could let nobody in.
 */
export function parseHtpasswd(text: string): ReadonlyMap<string, Verifier> {
  const verifiers = new Map<string, Verifier>();
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const verifier = colon < 1 ? undefined : verifierOf(line.slice(colon + 1).trim());
    if (verifier === undefined) {
      throw new AgentError(
        "BS_START",
        `basicauth: htpasswd: line ${at + 1} is not user:hash of a known kind. Make it with ` +
          "htpasswd -nB USER (bcrypt).",
      );
    }
    verifiers.set(line.slice(0, colon), verifier);
  }
  if (verifiers.size === 0) throw new AgentError("BS_START", "basicauth: htpasswd: names nobody.");
  return verifiers;
}

function verifierOf(hash: string): Verifier | undefined {
  if (/^\$2[abxy]?\$/.test(hash)) return (password) => compare(password, hash);
  if (hash.startsWith("{SHA}")) return saltedSha1(hash.slice("{SHA}".length), SHA1_BYTES);
  if (hash.startsWith("{SSHA}")) return saltedSha1(hash.slice("{SSHA}".length), undefined);
  // $apr1$, $5$, $6$ and others of crypt(3).
  if (hash === "" || /^(\$|\{)/.test(hash)) return undefined;
  return async (password) => isEqual(Buffer.from(password), Buffer.from(hash));
}

/** SHA-1 of password and salt, which stands behind the digest; none where the length is given. */
function saltedSha1(encoded: string, length: number | undefined): Verifier | undefined {
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.length < SHA1_BYTES || (length !== undefined && bytes.length !== length)) {
    return undefined;
  }
  const digest = bytes.subarray(0, SHA1_BYTES);
  const salt = bytes.subarray(SHA1_BYTES);
  return async (password) =>
    isEqual(createHash("sha1").update(password).update(salt).digest(), digest);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  const [left, right] = [a, b].map((bytes) => createHash("sha256").update(bytes).digest());
  return left !== undefined && right !== undefined && timingSafeEqual(left, right);
}
