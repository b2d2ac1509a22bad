// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate and its key, PEM. For tests of TLS on loopback; the key never leaves the process. */
export interface SelfSigned {
  readonly cert: string;
  readonly key: string;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("0603550403", "hex");
const SUBJECT_ALT_NAME = Buffer.from("0603551d11", "hex");
const BASIC_CONSTRAINTS = Buffer.from("0603551d13", "hex");
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 0x80 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function name(text: string): Buffer {
  return der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from(text)))));
}

function utcTime(timeMs: number): Buffer {
  const digits = new Date(timeMs).toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

function extension(id: Buffer, value: Buffer): Buffer {
  return der(SEQUENCE, id, der(0x04, value));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** A P-256 certificate (RFC 5280) for localhost and 127.0.0.1, its own issuer, good for an hour. */
export function createSelfSigned(nowMs: number = Date.now()): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, ECDSA_WITH_SHA256);
  const alternatives = der(
    SEQUENCE,
    der(DNS_NAME, Buffer.from("localhost")),
    der(IP_ADDRESS, Buffer.from([127, 0, 0, 1])),
  );
  const authority = der(SEQUENCE, der(0x01, Buffer.from([0xff])));
  const extensions = der(
    SEQUENCE,
    extension(SUBJECT_ALT_NAME, alternatives),
    extension(BASIC_CONSTRAINTS, authority),
  );
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)]);
  const certificate = der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name("localhost"),
    der(SEQUENCE, utcTime(nowMs - 60_000), utcTime(nowMs + 3_600_000)),
    name("localhost"),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, extensions),
  );
  return { cert: signed(certificate, algorithm, privateKey), key: exportKey(privateKey) };
}

function signed(certificate: Buffer, algorithm: Buffer, key: KeyObject): string {
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", certificate, key)]);
  return pem("CERTIFICATE", der(SEQUENCE, certificate, algorithm, der(0x03, signature)));
}

function exportKey(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
