// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { customProtocols } from "../../src/config/custom-protocols.ts";
import { recordedContent } from "../../src/config/recorded-content.ts";
import { byteSize, duration } from "../../src/config/types.ts";
import type { CustomProtocol } from "../../src/model/custom-protocol.ts";
import { PROTOCOLS } from "../../src/protocols/registry.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

export interface PcapConfig {
  readonly path: readonly string[];
  readonly interface: string;
  readonly filter: string;
  readonly perspective: "client" | "server" | "both";
  readonly services: Readonly<Record<string, string>>;
  readonly protocols: {
    readonly ports: Readonly<Record<string, string>>;
    readonly disabled: readonly string[];
    readonly custom: readonly CustomProtocol[];
  };
  readonly reorder_wait: number;
  readonly reassembly_bytes_max: number;
  readonly unanswered_after: number;
  readonly max_connections: number;
  readonly idle_timeout: number;
  readonly head_bytes_max: number;
  readonly pipelined_max: number;
  readonly url_query: boolean;
  readonly request_headers: readonly string[];
  readonly response_headers: readonly string[];
  readonly routes_max: number;
  readonly raw_statements: boolean;
}

const NO_PATH = 'path must name a capture, for example "trace.pcap" or "captures/*.pcapng"';
const pathText = z.string({ error: NO_PATH }).min(1, { error: NO_PATH });

/** In place of a protocol's name: connections from and to the port are not followed. */
export const NONE = "none";
const NAMES = PROTOCOLS.map(({ name }) => name);

function protocolName(others: readonly string[] = []): z.ZodType<string, string> {
  return z.string().refine((name) => [...NAMES, ...others].includes(name), {
    error: () => `is not a protocol. There are: ${[...NAMES, ...others].toSorted().join(", ")}`,
  });
}

const shape = z.strictObject({
  path: z
    .union([pathText.transform((path) => [path]), z.array(pathText)], { error: NO_PATH })
    .default([])
    .describe("Captures to read, in this order; `*`, `?` and `**` as in a shell, `-` is stdin."),
  interface: z
    .string()
    .regex(/^(?!-)/, { error: "is not the name of an interface" })
    .default("")
    .describe("Network interface to capture from, by the program tcpdump; read after the files."),
  filter: z.string().default("").describe("Filter of the live capture, as tcpdump has it."),
  perspective: z
    .enum(["client", "server", "both"])
    .default("client")
    .describe("From whose end an exchange is told; `both` makes two linked spans of each."),
  services: z
    .record(z.string(), z.string().min(1))
    .default({})
    .describe("`service.name` by `address` or `address:port`."),
  protocols: z
    .strictObject({
      ports: z
        .record(z.string().regex(/^\d{1,5}$/, { error: "is not a port" }), protocolName([NONE]))
        .default({})
        .describe("What is spoken on a port: a protocol, or `none` to ignore it."),
      disabled: z.array(protocolName()).default([]).describe("Protocols that are never detected."),
      custom: customProtocols([...NAMES, NONE]),
    })
    .default({ ports: {}, disabled: [], custom: [] })
    .describe("Protocols by port, and those that are not wanted."),
  reorder_wait: duration({ minMs: 0, maxMs: 60_000 })
    .default(200)
    .describe("Packet time that acknowledged bytes are waited for before they count as lost."),
  reassembly_bytes_max: byteSize({ min: 64 * KIB, max: 1024 * MIB })
    .default(4 * MIB)
    .describe("Bytes of one connection that wait for earlier ones at most."),
  unanswered_after: duration()
    .default(0)
    .describe("Requests that the capture's end finds waiting for less are no span."),
  max_connections: z
    .int()
    .min(16)
    .max(10_000_000)
    .default(262_144)
    .describe("Connections followed at a time; beyond, one that was long idle is ended."),
  idle_timeout: duration({ minMs: 1000 })
    .default(600_000)
    .describe("Packet time without a packet after which a connection is over; UDP: a tenth."),
  head_bytes_max: byteSize({ min: 256, max: MIB })
    .default(64 * KIB)
    .describe("Longest message head that is parsed, bytes, 256 to 1MiB."),
  pipelined_max: z
    .int()
    .min(1)
    .max(10_000)
    .default(1024)
    .describe("Requests without a response on one connection, 1 to 10000."),
  ...recordedContent,
});

export const configSchema: z.ZodType<PcapConfig> = shape.refine(
  ({ path, interface: device }) => path.length > 0 || device !== "",
  { error: NO_PATH, path: ["path"] },
);
