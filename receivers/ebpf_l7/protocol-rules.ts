// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { PORT_ASK, PORT_DATAGRAMS, PORT_IGNORED } from "../../bpf/generated/wire.ts";
import { customProtocols } from "../../src/config/custom-protocols.ts";
import type { CustomProtocol } from "../../src/model/custom-protocol.ts";
import type { Protocol } from "../../src/model/protocol.ts";
import { customProtocolOf } from "../../src/protocols/custom/protocol.ts";
import { PROTOCOLS } from "../../src/protocols/registry.ts";

/** In place of a protocol's name: connections from and to the port are not looked at. */
export const NONE = "none";
const PORT_MAX = 65_535;
const PORTS_MAX = 500;

/** What the user says of protocols: which are never followed, and which port speaks which. */
export interface ProtocolRules {
  readonly disabled: readonly string[];
  /** By port number: the name of a protocol, or `none`. */
  readonly ports: Readonly<Record<string, string>>;
  /** Protocols that the user describes. */
  readonly custom: readonly CustomProtocol[];
}

const NAMES = PROTOCOLS.map(({ name }) => name);

function isPort(text: string): boolean {
  return /^[0-9]+$/.test(text) && Number(text) >= 1 && Number(text) <= PORT_MAX;
}

function knownNames(names: readonly string[]): string {
  return `Known protocols: ${[...names].sort().join(", ")}.`;
}

const protocolName = z.string().refine((name) => NAMES.includes(name), {
  error: ({ input }) => `there is no protocol ${JSON.stringify(input)}. ${knownNames(NAMES)}`,
});

const portRule = z.string().refine((name) => name === NONE || NAMES.includes(name), {
  error: ({ input }) =>
    `there is no protocol ${JSON.stringify(input)}. ${knownNames(NAMES)} "none" ignores the port.`,
});

export const protocolRules: z.ZodType<ProtocolRules, unknown> = z.strictObject({
  disabled: z
    .array(protocolName)
    .default([])
    .describe("Protocols that are never followed, such as `[redis]`."),
  ports: z
    .record(z.string().refine(isPort, { error: "is not a port: 1 to 65535" }), portRule)
    .refine((ports) => Object.keys(ports).length <= PORTS_MAX, {
      error: `has more than ${PORTS_MAX} ports`,
    })
    .default({})
    .describe("What is spoken on a port, on either side: a protocol, or `none` to ignore it."),
  custom: customProtocols([...NAMES, NONE]),
});

/** The protocol that the user fixed for one of these ports; the local one is asked first. */
export function fixedProtocol(
  { ports, custom }: ProtocolRules,
  localPort: number,
  remotePort: number,
): string | undefined {
  const said = ports[localPort] ?? ports[remotePort];
  if (said !== undefined || custom.length === 0) return said;
  return customProtocolOf(custom, localPort) ?? customProtocolOf(custom, remotePort);
}

/** The wire numbers of what the kernel knows and nobody follows, as a mask. */
export function disabledInKernel(
  { disabled }: ProtocolRules,
  protocols: readonly Protocol[],
): number {
  let mask = 0;
  for (const { name, wireProtocol } of protocols) {
    if (wireProtocol !== undefined && disabled.includes(name)) mask |= 1 << wireProtocol;
  }
  return mask >>> 0;
}

/** PORT_ bits by port, for the kernel. Datagrams: the ports of protocols that are spoken in them. */
export function portRules(
  { disabled, ports, custom }: ProtocolRules,
  protocols: readonly Protocol[],
): ReadonlyMap<number, number> {
  const rules = new Map<number, number>();
  const spoken = new Map<string, Protocol>();
  for (const protocol of protocols) {
    if (protocol.datagrams === undefined || disabled.includes(protocol.name)) continue;
    spoken.set(protocol.name, protocol);
    for (const port of protocol.ports ?? []) rules.set(port, PORT_DATAGRAMS);
  }
  for (const port of custom.flatMap((described) => described.ports)) rules.set(port, PORT_ASK);
  for (const [port, name] of Object.entries(ports)) {
    const inDatagrams = spoken.has(name) ? PORT_DATAGRAMS : 0;
    rules.set(Number(port), name === NONE ? PORT_IGNORED : PORT_ASK | inDatagrams);
  }
  return rules;
}
