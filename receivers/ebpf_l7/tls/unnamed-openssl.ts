// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "libbpf-ts";
import { FunctionStarts } from "./function-starts.ts";
import type { FunctionPlace } from "./shared-body.ts";

const MACHINE_X86_64 = 62;
/** OpenSSL 3 gives each error the name of the function that it comes from. */
const NAMES = ["SSL_new", "SSL_do_handshake", "SSL_read", "SSL_write"] as const;
/** Behind SSL_read and SSL_read_ex, SSL_write and SSL_write_ex. */
const BODIES = new Map([
  ["SSL_read", "ssl_read_internal"],
  ["SSL_write", "ssl_write_internal"],
]);
/** Since 3.3, which has QUIC, that which writes has another argument before the count. */
const WITH_QUIC = "ossl_quic";
const CONSTANTS = [".rodata"];
const FUNCTION_BYTES_MAX = 4096;

/**
 * The functions of an OpenSSL 3 that is linked into a program whose symbols were removed: by the
 * references to their names, which errors carry, and the table of functions that unwinding needs.
 * A name that several functions refer to, or none, is left out: undefined unless all that is needed is
 * there. By the names of `library.ts`, where `SSL_read_ex` stands for what both go on with.
 */
export function unnamedOpenssl(file: ElfFile): ReadonlyMap<string, FunctionPlace> | undefined {
  if (file.machine !== MACHINE_X86_64) return undefined;
  const addresses = addressesOf(file, [...NAMES, ...BODIES.values()]);
  if (!NAMES.every((name) => addresses.has(name))) return undefined;
  const starts = FunctionStarts.read(file);
  if (starts === undefined) return undefined;
  const users = usersOf(file, addresses, starts);
  const places = new Map<string, FunctionPlace>();
  for (const name of NAMES) {
    const start = onlyOf(users.get(name));
    const offset = start === undefined ? undefined : file.fileOffset(start);
    if (offset !== undefined) places.set(name, { offset, bytes: FUNCTION_BYTES_MAX });
  }
  for (const [name, body] of BODIES) {
    const start = onlyOf(users.get(body));
    const offset = start === undefined ? undefined : file.fileOffset(start);
    if (offset === undefined || offset === places.get(name)?.offset) continue;
    if (name === "SSL_write" && mentions(file, WITH_QUIC)) continue;
    places.set(`${name}_ex`, { offset, bytes: FUNCTION_BYTES_MAX });
    places.delete(name);
  }
  const has = (name: string): boolean => places.has(name) || places.has(`${name}_ex`);
  return has("SSL_read") && has("SSL_write") ? places : undefined;
}

function onlyOf(values: ReadonlySet<number> | undefined): number | undefined {
  const [first, second] = values ?? [];
  return second === undefined ? first : undefined;
}

/** By name, the addresses where it stands, also as the end of a longer text: linkers join those. */
function addressesOf(
  file: ElfFile,
  names: readonly string[],
): ReadonlyMap<string, ReadonlySet<number>> {
  const found = new Map<string, Set<number>>();
  for (const section of CONSTANTS.map((name) => file.section(name))) {
    if (section === undefined) continue;
    const bytes = Buffer.from(file.readSection(section));
    for (const name of names) {
      const wanted = Buffer.from(`${name}\0`);
      for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
        const addresses = found.get(name) ?? new Set();
        found.set(name, addresses.add(section.address + at));
      }
    }
  }
  return found;
}

function mentions(file: ElfFile, text: string): boolean {
  return CONSTANTS.some((name) => {
    const section = file.section(name);
    return section !== undefined && Buffer.from(file.readSection(section)).includes(text);
  });
}

/** By name, the functions that refer to it: lea of what is so far away, or mov of the address. */
function usersOf(
  file: ElfFile,
  addresses: ReadonlyMap<string, ReadonlySet<number>>,
  starts: FunctionStarts,
): ReadonlyMap<string, ReadonlySet<number>> {
  const names = new Map<number, string>();
  for (const [name, all] of addresses) for (const address of all) names.set(address, name);
  const users = new Map<string, Set<number>>();
  const text = file.section(".text");
  if (text === undefined) return users;
  const code = Buffer.from(file.readSection(text));
  const note = (target: number, at: number): void => {
    const name = names.get(target);
    const start = name === undefined ? undefined : starts.of(text.address + at);
    if (name === undefined || start === undefined) return;
    users.set(name, (users.get(name) ?? new Set()).add(start));
  };
  for (let at = 0; at + 7 <= code.length; at++) {
    const byte = code[at] ?? 0;
    if (byte === 0x8d && ((code[at + 1] ?? 0) & 0xc7) === 0x05) {
      note(text.address + at + 6 + code.readInt32LE(at + 2), at);
    } else if ((byte & 0xf8) === 0xb8) {
      note(code.readUInt32LE(at + 1), at);
    }
  }
  return users;
}
