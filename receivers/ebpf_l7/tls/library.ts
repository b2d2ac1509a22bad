// SPDX-License-Identifier: Apache-2.0
import { ElfFile } from "libbpf-ts";
import {
  TLS_CALL_BEGINS,
  TLS_CALL_COUNTS,
  TLS_CALL_ENDS,
  TLS_CALL_LONG,
  TLS_CALL_READS,
  TLS_CALL_READS_APART,
  TLS_CALL_SENDS_FILE,
  TLS_CALL_UNSURE,
  TLS_CALL_WRITES,
} from "../../../bpf/generated/wire.ts";
import { findGoLibrary } from "./go-library.ts";
import { placeOfCall } from "./probe-place.ts";
import { readEnd } from "./read-end.ts";
import { type FunctionPlace, sharedBody } from "./shared-body.ts";
import { unnamedOpenssl } from "./unnamed-openssl.ts";

/** The program that sees a call begin and end. */
export const CALL = "tls_call";

export type LibraryKind = "openssl" | "gnutls" | "nss" | "go";

/** A place in a file where a program of `bpf/tls.bpf.c` is attached. */
export interface TlsProbe {
  readonly program: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** TLS_CALL_ bits: what the function does. */
  readonly call: number;
  /** The upper half of the cookie: see `ReadEnd`. */
  readonly registers?: number;
}

/** A file that holds a TLS library, by itself or as a part of a program. */
export interface TlsLibrary {
  readonly kind: LibraryKind;
  readonly probes: readonly TlsProbe[];
}

interface Signature {
  readonly kind: LibraryKind;
  /** Without these it is not that library. */
  readonly needed: readonly string[];
  /** Functions that are given a session, and then move clear text or shake hands. */
  readonly calls: Readonly<Record<string, number>>;
  /** Functions that return a new session. */
  readonly makers: readonly string[];
}

/** https://docs.openssl.org/3.5/man3/SSL_read/ and its neighbours; BoringSSL has the first of them. */
const OPENSSL: Signature = {
  kind: "openssl",
  needed: ["SSL_read", "SSL_write"],
  calls: {
    SSL_read: TLS_CALL_READS,
    SSL_write: TLS_CALL_WRITES,
    SSL_read_ex: TLS_CALL_READS | TLS_CALL_COUNTS,
    SSL_write_ex: TLS_CALL_WRITES | TLS_CALL_COUNTS,
    SSL_read_early_data: TLS_CALL_READS | TLS_CALL_COUNTS,
    SSL_write_early_data: TLS_CALL_WRITES | TLS_CALL_COUNTS,
    SSL_sendfile: TLS_CALL_SENDS_FILE | TLS_CALL_LONG,
    SSL_do_handshake: 0,
    SSL_connect: 0,
    SSL_accept: 0,
  },
  makers: ["SSL_new"],
};

/** https://www.gnutls.org/manual/gnutls.html: the session is made by reference. */
const GNUTLS: Signature = {
  kind: "gnutls",
  needed: ["gnutls_record_send", "gnutls_record_recv"],
  calls: {
    gnutls_record_send: TLS_CALL_WRITES | TLS_CALL_LONG,
    gnutls_record_send2: TLS_CALL_WRITES | TLS_CALL_LONG,
    gnutls_record_recv: TLS_CALL_READS | TLS_CALL_LONG,
    gnutls_handshake: TLS_CALL_BEGINS,
    gnutls_deinit: TLS_CALL_ENDS,
  },
  makers: [],
};

/**
 * https://firefox-source-docs.mozilla.org/security/nss/legacy/reference/: a session is a layer of a
 * file descriptor of NSPR, which is read and written by the same functions as files.
 */
const NSPR: Signature = {
  kind: "nss",
  needed: ["PR_Read", "PR_Write", "PR_PushIOLayer"],
  calls: {
    PR_Read: TLS_CALL_READS | TLS_CALL_UNSURE,
    PR_Recv: TLS_CALL_READS | TLS_CALL_UNSURE,
    PR_Write: TLS_CALL_WRITES | TLS_CALL_UNSURE,
    PR_Send: TLS_CALL_WRITES | TLS_CALL_UNSURE,
    PR_Close: TLS_CALL_ENDS,
  },
  makers: [],
};
const NSS: Signature = {
  kind: "nss",
  needed: ["SSL_ImportFD", "SSL_ForceHandshake"],
  calls: { SSL_ForceHandshake: 0 },
  makers: ["SSL_ImportFD"],
};

/** Of OpenSSL: it returns the table of functions that the others go by. */
const TLS_METHOD = "TLS_method";

const SIGNATURES: readonly Signature[] = [OPENSSL, GNUTLS, NSPR, NSS];

/** The TLS library in a file; undefined when there is none, or its functions are not found. */
export function findLibrary(path: string, kinds: ReadonlySet<LibraryKind>): TlsLibrary | undefined {
  const file = ElfFile.open(path);
  try {
    for (const signature of SIGNATURES) {
      if (!kinds.has(signature.kind)) continue;
      if (signature.needed.some((name) => file.functionsNamed(name).length === 0)) continue;
      return libraryOf(file, signature, placesOf(file, namesOf(signature)));
    }
    const go = kinds.has("go") ? findGoLibrary(file) : undefined;
    if (go !== undefined || !kinds.has("openssl")) return go;
    const unnamed = unnamedOpenssl(file);
    return unnamed === undefined ? undefined : libraryOf(file, OPENSSL, unnamed);
  } finally {
    file.close();
  }
}

/** All functions that may be probed, and the one that leads to another. */
function namesOf({ calls, makers }: Signature): ReadonlySet<string> {
  return new Set([...Object.keys(calls), ...makers, TLS_METHOD]);
}

function libraryOf(
  file: ElfFile,
  { kind, calls, makers }: Signature,
  places: ReadonlyMap<string, FunctionPlace>,
): TlsLibrary {
  const bodies = sharedBodies(file, places);
  const end = readEnd(file, places.get(TLS_METHOD));
  const probes: TlsProbe[] = [];
  if (end !== undefined) {
    const { offset, registers } = end;
    probes.push({ program: "tls_read_ended", offset, call: TLS_CALL_READS, registers });
  }
  for (const [name, call] of Object.entries(calls)) {
    const body = bodies.get(name);
    const place = places.get(name);
    // One that has a body in common with another is probed there.
    if (place === undefined || (body !== undefined && !name.endsWith("_ex"))) continue;
    if (end !== undefined && (call & TLS_CALL_READS) !== 0) continue;
    const parameters = (call & TLS_CALL_COUNTS) === 0 ? 3 : 4;
    const offset = body ?? placeOfCall(file, place, parameters);
    probes.push({
      program: CALL,
      offset,
      call: end === undefined ? call : call | TLS_CALL_READS_APART,
    });
  }
  for (const name of makers) {
    const place = places.get(name);
    if (place === undefined) continue;
    probes.push({ program: "tls_made", offset: placeOfCall(file, place, 0), call: 0 });
  }
  return { kind, probes };
}

/** By the names of both functions that share a body: its file offset. */
function sharedBodies(
  file: ElfFile,
  places: ReadonlyMap<string, FunctionPlace>,
): ReadonlyMap<string, number> {
  const bodies = new Map<string, number>();
  for (const name of ["SSL_read", "SSL_write"]) {
    const [plain, extended] = [places.get(name), places.get(`${name}_ex`)];
    if (plain === undefined || extended === undefined) continue;
    const body = sharedBody(file, extended, plain);
    if (body === undefined) continue;
    bodies.set(name, body);
    bodies.set(`${name}_ex`, body);
  }
  return bodies;
}

/** In one pass: symbol tables of programs are large. */
function placesOf(file: ElfFile, names: ReadonlySet<string>): ReadonlyMap<string, FunctionPlace> {
  const places = new Map<string, FunctionPlace>();
  for (const { name, address, bytes, isIndirect } of file.functions()) {
    if (!names.has(name) || isIndirect) continue;
    const offset = file.fileOffset(address);
    if (offset !== undefined) places.set(name, { offset, bytes });
    if (places.size === names.size) break;
  }
  return places;
}
