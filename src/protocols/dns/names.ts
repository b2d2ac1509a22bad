// SPDX-License-Identifier: Apache-2.0

/** https://www.iana.org/assignments/dns-parameters: the types that are in use. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [1, "A"],
  [2, "NS"],
  [5, "CNAME"],
  [6, "SOA"],
  [10, "NULL"],
  [12, "PTR"],
  [13, "HINFO"],
  [15, "MX"],
  [16, "TXT"],
  [17, "RP"],
  [18, "AFSDB"],
  [24, "SIG"],
  [25, "KEY"],
  [28, "AAAA"],
  [29, "LOC"],
  [33, "SRV"],
  [35, "NAPTR"],
  [37, "CERT"],
  [39, "DNAME"],
  [43, "DS"],
  [44, "SSHFP"],
  [46, "RRSIG"],
  [47, "NSEC"],
  [48, "DNSKEY"],
  [50, "NSEC3"],
  [51, "NSEC3PARAM"],
  [52, "TLSA"],
  [53, "SMIMEA"],
  [59, "CDS"],
  [60, "CDNSKEY"],
  [61, "OPENPGPKEY"],
  [62, "CSYNC"],
  [63, "ZONEMD"],
  [64, "SVCB"],
  [65, "HTTPS"],
  [99, "SPF"],
  [249, "TKEY"],
  [250, "TSIG"],
  [251, "IXFR"],
  [252, "AXFR"],
  [255, "ANY"],
  [256, "URI"],
  [257, "CAA"],
]);

/** RFC 3597, section 5: a type without a name is `TYPE` and its number. */
export function typeName(type: number): string {
  return TYPES.get(type) ?? `TYPE${type}`;
}

export function isKnownType(type: number): boolean {
  return TYPES.has(type);
}

const OPCODES: readonly string[] = ["query", "iquery", "status", "", "notify", "update", "dso"];

/** Empty for one that does not exist. */
export function opcodeName(opcode: number): string {
  return OPCODES[opcode] ?? "";
}

const RESPONSE_CODES: ReadonlyMap<number, string> = new Map([
  [1, "FORMERR"],
  [2, "SERVFAIL"],
  [3, "NXDOMAIN"],
  [4, "NOTIMP"],
  [5, "REFUSED"],
  [6, "YXDOMAIN"],
  [7, "YXRRSET"],
  [8, "NXRRSET"],
  [9, "NOTAUTH"],
  [10, "NOTZONE"],
  [11, "DSOTYPENI"],
  [16, "BADVERS"],
  [17, "BADKEY"],
  [18, "BADTIME"],
  [23, "BADCOOKIE"],
]);

/** `error.type` of a response code; empty for NOERROR. */
export function responseError(code: number): string {
  return code === 0 ? "" : (RESPONSE_CODES.get(code) ?? `RCODE${code}`);
}
