// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { recordedContent } from "../../src/config/recorded-content.ts";
import { byteSize, duration } from "../../src/config/types.ts";
import { type ProtocolRules, protocolRules } from "./protocol-rules.ts";
import type { JavaConfig } from "./runtimes/java-agents.ts";
import type { RuntimesConfig } from "./runtimes/runtimes.ts";
import type { TlsConfig } from "./tls/tls-watch.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Writes what a run reads to a file, for the receiver `replay`. */
export interface RecordConfig {
  readonly path: string;
  readonly max_size: number;
  readonly redact: boolean;
}

const recordSchema = z.strictObject({
  path: z.string().default("").describe("File to write the records to; none without it."),
  max_size: byteSize({ min: 64 * KIB })
    .default(64 * MIB)
    .describe("Where recording stops, bytes."),
  redact: z
    .boolean()
    .default(true)
    .describe("Leave payload out but for what spans need (HTTP/1, Redis and PostgreSQL)."),
});

const tlsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe("Read what TLS libraries encrypt, by uprobes on watched processes (Linux 6.6 on)."),
  openssl: z
    .boolean()
    .default(true)
    .describe("OpenSSL and BoringSSL, as libraries or inside programs that have their symbols."),
  gnutls: z.boolean().default(true).describe("GnuTLS."),
  nss: z
    .boolean()
    .default(true)
    .describe("NSS, where sessions are among what NSPR reads and writes."),
  opaque_spans: z
    .boolean()
    .default(false)
    .describe("A span for each connection under TLS that cannot be read, with its bytes."),
  go: z.boolean().default(true).describe("Go's crypto/tls, Go 1.18 on, stripped programs too."),
});

const javaSchema = z.strictObject({
  attach: z
    .boolean()
    .default(false)
    .describe(
      "Load our agent into selected JVMs (HotSpot 11 on, Linux 6.6 on) and take it out at the end: " +
        "which request each task and virtual thread works for.",
    ),
});

export interface EbpfL7Config {
  readonly discovery: string;
  readonly hooks: "auto" | "sock" | "syscalls";
  readonly ring_size: number;
  readonly capture_bytes: number;
  readonly head_bytes_max: number;
  readonly pipelined_max: number;
  readonly drain_interval: number;
  readonly max_connections: number;
  readonly idle_timeout: number;
  readonly local_address: boolean;
  readonly url_query: boolean;
  readonly request_headers: readonly string[];
  readonly response_headers: readonly string[];
  readonly routes_max: number;
  readonly raw_statements: boolean;
  readonly metrics_interval: number;
  readonly protocols: ProtocolRules;
  readonly runtimes: RuntimesConfig;
  readonly record: RecordConfig;
  readonly tls: TlsConfig;
  readonly java: JavaConfig;
}

export const configSchema: z.ZodType<EbpfL7Config> = z.strictObject({
  discovery: z
    .string()
    .default("discovery")
    .describe("Id of the discovery extension that says which processes are watched."),
  hooks: z
    .enum(["auto", "sock", "syscalls"])
    .default("auto")
    .describe(
      "Where to watch: `sock` (tracepoints of Linux 6.3 on), `syscalls` (older kernels, costs more), `auto`.",
    ),
  ring_size: byteSize({ min: 64 * KIB, max: 1024 * MIB })
    .refine((bytes) => (bytes & (bytes - 1)) === 0, {
      error: 'must be a power of two, for example "16MiB"',
    })
    .default(8 * MIB)
    .describe("Ring buffer between kernel and agent, bytes; a power of two, 64KiB to 1GiB."),
  capture_bytes: byteSize({ min: 256, max: MIB })
    .default(8 * KIB)
    .describe("Payload read of one message at most, bytes, 256 to 1MiB; of one call 8KiB."),
  head_bytes_max: byteSize({ min: 256, max: MIB })
    .default(8 * KIB)
    .describe("Longest message head that is parsed, bytes, 256 to 1MiB."),
  pipelined_max: z
    .int()
    .min(1)
    .max(10_000)
    .default(256)
    .describe("Requests without a response on one connection, 1 to 10000."),
  drain_interval: duration({ minMs: 1, maxMs: 1000 })
    .default(50)
    .describe("How often the ring is read, 1ms to 1s; less while nothing comes, more as it fills."),
  max_connections: z
    .int()
    .min(16)
    .max(10_000_000)
    .default(65_536)
    .describe("Connections followed at a time; beyond, the longest idle is forgotten."),
  idle_timeout: duration({ minMs: 1000 })
    .default(600_000)
    .describe("A connection without traffic for this long is forgotten until it speaks again."),
  local_address: z
    .boolean()
    .default(false)
    .describe("Record `network.local.address` and `network.local.port`; `nat_rewrite` needs them."),
  ...recordedContent,
  metrics_interval: duration({ minMs: 100 })
    .default(10_000)
    .describe("How often duration histograms are sent in a metrics pipeline."),
  protocols: protocolRules.prefault({}),
  runtimes: z
    .strictObject({
      go: z
        .boolean()
        .default(true)
        .describe("Follow goroutines; by a uprobe at each HTTP/1 client call, and `go_starts`."),
      go_starts: z
        .boolean()
        .default(true)
        .describe(
          "See each start of a goroutine, by a uprobe. Without it only calls one goroutine away " +
            "from the request are known, and late ones may be taken for the next request's.",
        ),
      python: z
        .boolean()
        .default(true)
        .describe("Follow the contexts of asyncio, by one uprobe: each copy of a context."),
      node: z
        .boolean()
        .default(true)
        .describe("Read Node's async ids at the sockets: which request waited for a connection."),
    })
    .prefault({})
    .describe("Language runtimes that say which request a call is for. Needs Linux 6.6."),
  record: recordSchema.prefault({}),
  tls: tlsSchema.prefault({}),
  java: javaSchema.prefault({}),
});
