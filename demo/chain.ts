// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { prepareNginx } from "../test/apps/nginx.ts";
import { isPortFree } from "../test/support/proc-net.ts";
import { type ProcessEnd, type RunningProcess, startProcess } from "../test/support/process.ts";
import {
  buildStock,
  orders,
  prices,
  type ServiceCommand,
  stock,
} from "../test/support/services.ts";

/** The ports that config.example.yaml selects are the first choice. */
const FIRST_PORT = 18080;
const SERVICES_MAX = 4;
const RANGES_TRIED_MAX = 50;

/** One service of the demo: an ordinary process that knows nothing of tracing. */
export interface DemoService {
  readonly name: string;
  /** `Node`, `Python`, `Go`; empty for a program that is named after itself. */
  readonly runtime: string;
  readonly pid: number;
  readonly port: number;
  /** Resolves when the process is gone, whether it was stopped or died. */
  readonly ended: Promise<ProcessEnd>;
}

/** Services that call each other in this order, on loopback. */
export interface DemoChain {
  readonly services: readonly DemoService[];
  /** The range of their ports, such as `18080-18083`: what discovery has to select. */
  readonly ports: string;
  /** What the machine lacks and what that changes, a line each. */
  readonly leftOut: readonly string[];
  /** Stops what it started, and nothing else, and removes its files. */
  stop(): Promise<void>;
}

interface Plan {
  readonly name: string;
  readonly runtime: string;
  readonly command: (port: number, next: string | undefined) => ServiceCommand;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts nginx → Node → Python → Go with what the machine has; at least Node → Node.
 * Fails, with nothing left running, when a service that should start does not.
 */
export async function startChain(log: (line: string) => void): Promise<DemoChain> {
  const directory = mkdtempSync(join(tmpdir(), "backstitch-demo-"));
  const removeFiles = (): void => rmSync(directory, { recursive: true, force: true });
  process.once("exit", removeFiles);
  const leftOut: string[] = [];
  const started: RunningProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const one of started.splice(0).reverse()) await one.stop({ graceMs: 2_000 });
    removeFiles();
  };
  try {
    const plans = await planServices({ directory, leftOut, log });
    const firstPort = await freeRange();
    const services: DemoService[] = [];
    // From the end of the chain, so that nobody calls a service that is not there yet.
    for (const [index, plan] of [...plans.entries()].reverse()) {
      const port = firstPort + index;
      const next = index + 1 < plans.length ? `127.0.0.1:${port + 1}` : undefined;
      const child = await startProcess({ ...plan.command(port, next), env: plan.env ?? {} });
      started.push(child);
      const { name, runtime } = plan;
      services.unshift({ name, runtime, pid: child.pid, port, ended: child.ended });
    }
    return { services, ports: `${firstPort}-${firstPort + plans.length - 1}`, leftOut, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Planning {
  readonly directory: string;
  readonly leftOut: string[];
  readonly log: (line: string) => void;
}

async function planServices(planning: Planning): Promise<readonly Plan[]> {
  const { leftOut } = planning;
  const plans = [nginxPlan(planning), ordersPlan(), pricesPlan(leftOut), await stockPlan(planning)];
  return plans.filter((plan) => plan !== undefined);
}

function nginxPlan({ directory, leftOut }: Planning): Plan | undefined {
  const nginx = findProgram("nginx");
  if (nginx === undefined) {
    leftOut.push("nginx is not installed: the chain starts with the Node service.");
    return undefined;
  }
  return {
    name: "nginx",
    runtime: "",
    command: (port, upstream) => ({
      ...prepareNginx({
        directory,
        listen: [`127.0.0.1:${port}`],
        ...(upstream === undefined ? {} : { upstream }),
      }),
      command: nginx,
      readyPort: port,
    }),
  };
}

function ordersPlan(): Plan {
  return {
    name: "orders",
    runtime: "Node",
    command: (port, next) => orders({ listen: `127.0.0.1:${port}`, ...calling(next, "price") }),
  };
}

function pricesPlan(leftOut: string[]): Plan {
  if (findProgram("python3") !== undefined) {
    return {
      name: "prices",
      runtime: "Python",
      command: (port, next) => prices({ listen: `127.0.0.1:${port}`, ...calling(next, "stock") }),
    };
  }
  leftOut.push("Python is not installed: a second Node service stands in for it.");
  return {
    name: "prices",
    runtime: "Node",
    command: (port, next) =>
      orders({ name: "prices", listen: `127.0.0.1:${port}`, ...calling(next, "stock") }),
    // The two run the same script, after which both would be named.
    env: { OTEL_SERVICE_NAME: "prices" },
  };
}

async function stockPlan({ leftOut, log }: Planning): Promise<Plan | undefined> {
  if (findProgram("go") === undefined) {
    leftOut.push("Go is not installed: the chain ends with prices.");
    return undefined;
  }
  try {
    const binary = await buildStock(() => log("Building the demo's Go service, once …"));
    return {
      name: "stock",
      runtime: "Go",
      command: (port) => stock({ listen: `127.0.0.1:${port}` }, binary),
    };
  } catch (error) {
    const [why] = String(error instanceof Error ? error.message : error).split("\n");
    leftOut.push(`The Go service does not build (${why}): the chain ends with prices.`);
    return undefined;
  }
}

function calling(next: string | undefined, path: string): { readonly downstream: string[] } {
  return { downstream: next === undefined ? [] : [`http://${next}/${path}`] };
}

/** The absolute path of a program in PATH or where servers are installed. */
function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The start of a range of free ports. */
async function freeRange(): Promise<number> {
  for (let attempt = 0; attempt < RANGES_TRIED_MAX; attempt += 1) {
    const first = FIRST_PORT + attempt * 10;
    const ports = Array.from({ length: SERVICES_MAX }, (_, index) => first + index);
    const free = await Promise.all(ports.map(isPortFree));
    if (free.every(Boolean)) return first;
  }
  throw new Error(
    `No ${SERVICES_MAX} free ports in a row from ${FIRST_PORT} on. Free some and retry.`,
  );
}
