// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { ConnectionOptions, SecureVersion, TlsOptions } from "node:tls";
import { AgentError } from "../component/errors.ts";

/** The files of `tls` in a configuration; "" is unset. */
export interface TlsFiles {
  readonly ca_file: string;
  readonly cert_file: string;
  readonly key_file: string;
}

export interface TlsClientFiles extends TlsFiles {
  readonly insecure_skip_verify: boolean;
  readonly server_name_override: string;
}

export interface TlsServerFiles extends TlsFiles {
  /** Clients must show a certificate that one of these signed. */
  readonly client_ca_file: string;
}

const MIN_VERSION: SecureVersion = "TLSv1.2";

async function readPem(path: string, what: string): Promise<Buffer | undefined> {
  if (path === "") return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError("BS_START", `failed to load TLS config: ${what} ${path}: ${reason}`, {
      cause,
    });
  }
}

async function readPair(files: TlsFiles): Promise<{ cert?: Buffer; key?: Buffer }> {
  const cert = await readPem(files.cert_file, "cert_file");
  const key = await readPem(files.key_file, "key_file");
  return { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

/** Reads the files; rejects with an `AgentError` that names the one that cannot be read. */
export async function loadClientTls(tls: TlsClientFiles): Promise<ConnectionOptions> {
  const ca = await readPem(tls.ca_file, "ca_file");
  return {
    minVersion: MIN_VERSION,
    rejectUnauthorized: !tls.insecure_skip_verify,
    ...(await readPair(tls)),
    ...(ca === undefined ? {} : { ca }),
    ...(tls.server_name_override === "" ? {} : { servername: tls.server_name_override }),
  };
}

/** Reads the files; rejects with an `AgentError` that names the one that cannot be read. */
export async function loadServerTls(tls: TlsServerFiles): Promise<TlsOptions> {
  const ca = await readPem(tls.client_ca_file, "client_ca_file");
  const isMutual = ca !== undefined;
  return {
    minVersion: MIN_VERSION,
    ...(await readPair(tls)),
    ...(isMutual ? { ca, requestCert: true, rejectUnauthorized: true } : {}),
  };
}
