// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A self-signed certificate for 127.0.0.1 and localhost, and its key, as files. */
export interface TestCertificate {
  readonly folder: string;
  readonly certificate: string;
  readonly key: string;
  [Symbol.dispose](): void;
}

export function makeCertificate(): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-tls-"));
  const [certificate, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
  const subject = ["-subj", "/CN=localhost", "-addext", names, "-days", "2"];
  const pair = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const files = ["-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", ...pair, ...files, ...subject], { stdio: "ignore" });
  return {
    ...{ folder, certificate, key },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
