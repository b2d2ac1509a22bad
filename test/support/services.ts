// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { StartOptions } from "./process.ts";

const APPS = join(import.meta.dirname, "..", "apps");

export interface ServiceOptions {
  /** `HOST:PORT`, an IPv6 host in brackets. Port 0 takes a free one. */
  readonly listen: string;
  /** In its answers. Not the service.name: that is for discovery to find out. */
  readonly name?: string;
  /** Asked one after the other: `http://127.0.0.1:8080` or, to ask for /stock/ID, `…:8080/stock`. */
  readonly downstream?: readonly string[];
  /** Asked all at once after `downstream`; orders only. */
  readonly parallel?: readonly string[];
  /** Threads of a pool that calls are handed to; prices only. */
  readonly workers?: number;
}

/** What to start: `startProcess(orders({...}))`. Ready when it listens. */
export type ServiceCommand = Pick<StartOptions, "command" | "args" | "readyPort">;

/** The Node service `orders`: one event loop, a keep-alive agent without a limit. */
export function orders(options: ServiceOptions, node: string = process.execPath): ServiceCommand {
  return command(node, [join(APPS, "orders.mjs")], options);
}

/** The Python service `prices`: a thread for each connection. */
export function prices(options: ServiceOptions): ServiceCommand {
  return command("python3", [join(APPS, "prices.py")], options);
}

/** The Go service `stock`, a leaf; `binary` from `buildStock`. */
export function stock(options: ServiceOptions, binary: string): ServiceCommand {
  return command(binary, [], options);
}

/** The TCP server `raw`, which does with a connection what the request's query says. */
export function raw(options: ServiceOptions): ServiceCommand {
  return command(process.execPath, [join(APPS, "raw.mjs")], options);
}

function command(
  program: string,
  args: readonly string[],
  options: ServiceOptions,
): ServiceCommand {
  const named = options.name === undefined ? [] : ["--name", options.name];
  const all = [
    ...args,
    ...["--listen", options.listen],
    ...named,
    ...(options.downstream ?? []).flatMap((url) => ["--downstream", url]),
    ...(options.parallel ?? []).flatMap((url) => ["--parallel", url]),
    ...(options.workers === undefined ? [] : ["--workers", String(options.workers)]),
  ];
  return { command: program, args: all, readyPort: portOf(options.listen) };
}

function portOf(listen: string): number {
  return Number(listen.slice(listen.lastIndexOf(":") + 1));
}

/** Where built test programs are kept between runs, outside the repository. */
export function cacheDirectory(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(base, "backstitch");
}

/** The Go service's binary; built, after `onBuild`, if it changed since the last build. */
export async function buildStock(onBuild?: () => void): Promise<string> {
  const source = join(APPS, "stock");
  const hash = createHash("sha256");
  for (const file of ["go.mod", "main.go"]) hash.update(readFileSync(join(source, file)));
  const directory = join(cacheDirectory(), `stock-${hash.digest("hex").slice(0, 12)}`);
  const binary = join(directory, "stock");
  if (existsSync(binary)) return binary;
  onBuild?.();
  mkdirSync(directory, { recursive: true });
  const unfinished = `${binary}.${process.pid}`;
  await promisify(execFile)("go", ["build", "-o", unfinished, "."], {
    cwd: source,
    env: { ...process.env, GOFLAGS: "-buildvcs=false -trimpath", CGO_ENABLED: "0" },
  });
  renameSync(unfinished, binary);
  return binary;
}
