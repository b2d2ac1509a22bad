// SPDX-License-Identifier: Apache-2.0
import { ElfFile } from "libbpf-ts";

/** What a program has inside, by text that its code refers to. The first that fits is told. */
const SIGNS: readonly (readonly [string, string])[] = [
  ["rustls", "rustls: the compiler leaves no function where its clear text passes"],
  ["OPENSSL_internal", "BoringSSL inside of the program, without symbols"],
  ["BoringSSL", "BoringSSL inside of the program, without symbols"],
  ["ssl/ssl_lib.c", "OpenSSL inside of the program, without symbols, of an unknown build"],
  ["mbedtls", "Mbed TLS is not known"],
  ["wolfSSL", "wolfSSL is not known"],
  ["s2n_", "s2n is not known"],
  ["gnutls", "GnuTLS inside of the program, without symbols"],
];
const PLAIN_REASON = "no known TLS library with symbols";
const CONSTANTS = [".rodata", ".data.rel.ro", ".rodata.str1.1", ".rodata.str1.8"];

/**
 * Why the clear text of a process cannot be seen, by the program that it runs.
 *
 * @throws BpfError when that cannot be read.
 */
export function whyOpaque(path: string): string {
  const file = ElfFile.open(path);
  try {
    if (file.section(".note.go.buildid") !== undefined) {
      return "Go without crypto/tls, or of a version before 1.18";
    }
    for (const name of CONSTANTS) {
      const section = file.section(name);
      if (section === undefined) continue;
      const bytes = Buffer.from(file.readSection(section));
      for (const [sign, reason] of SIGNS) if (bytes.includes(sign)) return reason;
    }
    return PLAIN_REASON;
  } finally {
    file.close();
  }
}
