// SPDX-License-Identifier: Apache-2.0
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Server {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** nginx with one worker that answers a constant, pinned to `core`. */
export async function startNginx(folder: string, port: number, core: number): Promise<Server> {
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server { listen 127.0.0.1:${port} reuseport; location / { return 200 "constant\\n"; } }
}
`,
  );
  const child = spawn("taskset", ["-c", String(core), "/usr/sbin/nginx", "-c", config], {
    stdio: "ignore",
  });
  const { pid } = child;
  if (pid === undefined) throw new Error("nginx did not start");
  await untilListening(port);
  return {
    pid,
    port,
    stop: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function untilListening(port: number): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.end());
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** wrk at saturation: requests a second. */
export async function saturate(
  port: number,
  options: {
    readonly seconds: number;
    readonly connections: number;
    readonly core: number;
    readonly scheme?: "http" | "https";
  },
): Promise<number> {
  const { stdout } = await run("taskset", [
    ...["-c", String(options.core), "wrk", "-t1", `-c${options.connections}`],
    ...[`-d${options.seconds}s`, `${options.scheme ?? "http"}://127.0.0.1:${port}/`],
  ]);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  if (rate === undefined) throw new Error(`wrk printed no rate:\n${stdout}`);
  return Number(rate);
}

export interface LoadResult {
  readonly sent: number;
  readonly completed: number;
  readonly errors: number;
  readonly late: number;
  readonly seconds: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

/** Builds bench/load once into `folder`. */
export function buildLoad(folder: string): string {
  const program = join(folder, "load");
  const result = spawnSync("go", ["build", "-o", program, "."], {
    cwd: join(import.meta.dirname, "../load"),
    encoding: "utf8",
  });
  if (result.status !== 0) throw new Error(`go build failed:\n${result.stderr}`);
  return program;
}

/** A fixed rate of requests by bench/load, optionally pinned to a core. */
export async function steadyLoad(
  program: string,
  options: {
    readonly port: number;
    readonly rate: number;
    readonly seconds: number;
    readonly connections: number;
    readonly core?: number;
  },
): Promise<LoadResult> {
  const command = [
    ...[program, "-address", `127.0.0.1:${options.port}`, "-rate", String(options.rate)],
    ...["-seconds", String(options.seconds), "-connections", String(options.connections)],
  ];
  if (options.core !== undefined) command.unshift("taskset", "-c", String(options.core));
  const [name = "", ...words] = command;
  const { stdout } = await run(name, words);
  return JSON.parse(stdout);
}
