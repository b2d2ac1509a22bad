// SPDX-License-Identifier: Apache-2.0
/**
 * Zod schemas for the kinds of values that the Collector's configuration has. A component's
 * `config.ts` is a `z.strictObject` of these. The loader has expanded `${env:X}` before, and
 * repairs what the Collector's decoder accepts (an expanded `1.50` in a string field, 10.5 in
 * an integer field, null in a scalar field), so plain `z.string()`, `z.int()` and `z.boolean()`
 * are right everywhere else.
 */
import { z } from "zod";
import { parseDurationNs } from "./duration.ts";

const NS_PER_MS = 1e6;

export interface DurationOptions {
  readonly minMs?: number;
  readonly maxMs?: number;
  /** Zero is refused too. */
  readonly positive?: boolean;
}

/**
 * Go's `time.ParseDuration` text (`200ms`, `1h2m3.5s`) or an integer of nanoseconds, as the
 * Collector has it. Gives milliseconds, a fraction for shorter units. Null is 0.
 * Take the default in milliseconds: `duration().default(5_000)`.
 */
export function duration(options: DurationOptions = {}): z.ZodType<number, string | number | null> {
  return z
    .union([z.string(), z.number(), z.null()], {
      error: 'expected a duration such as "200ms", "5s" or "1h30m"',
    })
    .meta({ kind: "duration" })
    .transform((input, context): number => {
      const ns = typeof input === "string" ? parseDurationNs(input) : (input ?? 0);
      const problem = typeof ns === "string" ? ns : durationProblem(ns / NS_PER_MS, options);
      if (problem !== undefined || typeof ns === "string") {
        context.addIssue({ code: "custom", message: problem ?? "" });
        return z.NEVER;
      }
      return ns / NS_PER_MS;
    });
}

function durationProblem(ms: number, options: DurationOptions): string | undefined {
  if (!Number.isFinite(ms)) return "must be a finite duration";
  if (options.positive === true && ms <= 0) return 'must be greater than zero, for example "1s"';
  const minMs = options.minMs ?? 0;
  if (ms < minMs) return minMs === 0 ? "must be non-negative" : `must be at least ${minMs}ms`;
  if (options.maxMs !== undefined && ms > options.maxMs) {
    return `must be at most ${options.maxMs}ms`;
  }
  return undefined;
}

export interface ByteSizeOptions {
  readonly min?: number;
  readonly max?: number;
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  kib: 1024,
  m: 1e6,
  mb: 1e6,
  mib: 1024 ** 2,
  g: 1e9,
  gb: 1e9,
  gib: 1024 ** 3,
  t: 1e12,
  tb: 1e12,
  tib: 1024 ** 4,
};

/** Bytes: a whole number, or text with a unit (`64KiB`, `1.5MiB`, `4 MB`). Null is 0. */
export function byteSize(options: ByteSizeOptions = {}): z.ZodType<number, string | number | null> {
  return z
    .union([z.string(), z.number(), z.null()], {
      error: 'expected a size in bytes such as 65536, "64KiB" or "4MiB"',
    })
    .meta({ kind: "size" })
    .transform((input, context): number => {
      const bytes = typeof input === "string" ? parseBytes(input) : (input ?? 0);
      const problem =
        bytes === undefined || !Number.isFinite(bytes) || bytes < 0
          ? 'is not a size. Write bytes or a unit: 65536, "64KiB", "4MiB"'
          : rangeProblem(bytes, options);
      if (problem !== undefined || bytes === undefined) {
        context.addIssue({ code: "custom", message: problem ?? "" });
        return z.NEVER;
      }
      return Math.trunc(bytes);
    });
}

function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$/.exec(text);
  if (match === null) return undefined;
  const factor = BYTE_UNITS[(match[2] ?? "").toLowerCase()];
  return factor === undefined ? undefined : Number(match[1]) * factor;
}

function rangeProblem(bytes: number, options: ByteSizeOptions): string | undefined {
  if (options.min !== undefined && bytes < options.min) {
    return `must be at least ${options.min} bytes`;
  }
  if (options.max !== undefined && bytes > options.max) {
    return `must be at most ${options.max} bytes`;
  }
  return undefined;
}

/** A value that is never printed. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The only way to the value: for the wire, never for a message. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return "[REDACTED]";
  }
  toJSON(): string {
    return "[REDACTED]";
  }
}

/** A secret text: prints as `[REDACTED]`, and its value never stands in an error. */
export function opaque(): z.ZodType<Secret, string> {
  return z
    .string()
    .meta({ secret: true })
    .transform((value) => new Secret(value));
}

/** Header names as written, in order; values are secret. */
export type Headers = ReadonlyMap<string, Secret>;

const headerValue = z.string({ error: "header values must be text: quote numbers" });

/** A map, or a list of `{name, value}`, as the Collector's opaque map list. Default: none. */
export function headers(): z.ZodType<Headers, unknown> {
  const list = z.array(z.strictObject({ name: z.string().min(1), value: headerValue }));
  return z
    .union([z.record(z.string(), headerValue), list, z.null()], {
      error: "expected a map of header names to texts, or a list of {name, value}",
    })
    .meta({ secret: true })
    .transform((input, context): Headers => {
      const pairs: [string, string][] = Array.isArray(input)
        ? input.map((header) => [header.name, header.value])
        : Object.entries(input ?? {});
      const names = pairs.map(([name]) => name);
      const twice = [...new Set(names.filter((name, at) => names.indexOf(name) !== at))];
      if (twice.length > 0) {
        context.addIssue({
          code: "custom",
          message: `duplicate keys in map-style list: [${twice.join(" ")}]. Keep one of each`,
        });
      }
      return new Map(pairs.map(([name, value]) => [name, new Secret(value)]));
    })
    .default(new Map());
}

/** Where to listen. `host` is "" for every address; a port of 0 lets the system choose. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** As written. */
  readonly text: string;
}

/** An address to listen on: `localhost:4317`, `0.0.0.0:4317`, `[::]:4317`, `:4317`. */
export function endpoint(): z.ZodType<Endpoint, string> {
  return z.string().transform((text, context): Endpoint => {
    const parsed = splitHostPort(text);
    if (typeof parsed === "string") {
      context.addIssue({ code: "custom", message: parsed });
      return z.NEVER;
    }
    return { ...parsed, text };
  });
}

/** A default for `endpoint()` fields: `endpoint().default(endpointOf("localhost", 4317))`. */
export function endpointOf(host: string, port: number): Endpoint {
  return { host, port, text: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}` };
}

/** Where to connect to. `scheme` is undefined when the text has none. */
export interface ClientEndpoint extends Endpoint {
  readonly scheme: "http" | "https" | undefined;
}

/** A gRPC target: `host:4317`, `http://host:4317`, `https://…`, `dns:///host:4317`. */
export function clientEndpoint(): z.ZodType<ClientEndpoint, string> {
  return z
    .string()
    .min(1, { error: 'requires a non-empty "endpoint", for example "localhost:4317"' })
    .transform((text, context): ClientEndpoint => {
      const scheme = text.startsWith("https://")
        ? "https"
        : text.startsWith("http://")
          ? "http"
          : undefined;
      const rest = text.replace(/^(https?:\/\/|dns:\/\/\/|passthrough:\/\/\/)/, "");
      const parsed = splitHostPort(rest.replace(/\/$/, ""));
      if (typeof parsed === "string") {
        context.addIssue({ code: "custom", message: parsed });
        return z.NEVER;
      }
      return { ...parsed, text, scheme };
    });
}

/** An http or https URL; undefined when it is empty. `example` is what the advice shows. */
export function httpUrl(example: string): z.ZodType<URL | undefined, string> {
  return z.string().transform((text, context): URL | undefined => {
    if (text === "") return undefined;
    const parsed = URL.parse(text);
    if (parsed !== null && /^https?:$/.test(parsed.protocol)) return parsed;
    const message = `endpoint must be a valid URL, for example ${example}`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });
}

/** What is wrong as text, as Go's `net.SplitHostPort` says it, with advice. */
function splitHostPort(text: string): { host: string; port: number } | string {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text);
  if (match === null) {
    if (/^[^:]*$/.test(text) || /^\[[^\]]*\]$/.test(text)) {
      return `address ${text}: missing port in address. Write host:port, for example "localhost:4317"`;
    }
    return `address ${text}: too many colons in address. Put an IPv6 address in brackets: "[::1]:4317"`;
  }
  const port = match[3] ?? "";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    return `invalid port "${port}". A port is a number from 0 to 65535`;
  }
  return { host: match[1] ?? match[2] ?? "", port: Number(port) };
}

/** `configtls` for a client, as far as we have it. TLS is on unless `insecure` or `http://`. */
export const tlsClientSchema: z.ZodType<TlsClientConfig, TlsClientInput> = z
  .strictObject({
    insecure: z.boolean().default(false).describe("Plain text instead of TLS."),
    insecure_skip_verify: z.boolean().default(false).describe("Accept any certificate."),
    ca_file: z.string().default("").describe("Certificates to trust, PEM."),
    cert_file: z.string().default("").describe("Our certificate for mTLS, PEM."),
    key_file: z.string().default("").describe("Our private key for mTLS, PEM."),
    server_name_override: z.string().default("").describe("Name to verify instead of the host."),
  })
  .refine((tls) => (tls.cert_file === "") === (tls.key_file === ""), {
    error:
      "TLS configuration must include both certificate and key. Set cert_file and key_file, or neither",
  });

export interface TlsClientConfig {
  readonly insecure: boolean;
  readonly insecure_skip_verify: boolean;
  readonly ca_file: string;
  readonly cert_file: string;
  readonly key_file: string;
  readonly server_name_override: string;
}

type TlsClientInput = { [Key in keyof TlsClientConfig]?: TlsClientConfig[Key] | undefined };
