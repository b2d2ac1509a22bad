// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildGo } from "../../test/support/go-app.ts";
import { buildJava } from "../../test/support/java-app.ts";
import { jdkSince } from "../../test/support/jdk.ts";
import { cacheDirectory } from "../../test/support/services.ts";

const APPS = join(import.meta.dirname, "../../test/apps/truth");

/** A runtime whose services are traced; they take the same options. */
export interface TruthRuntime {
  readonly name: string;
  /** What it is, for the table. */
  readonly text: string;
  /** Also asks a Redis server. */
  readonly redis: boolean;
  /** Load our agent into the JVMs. */
  readonly javaAgent?: boolean;
  /** The agent follows it some time after it was selected, and says so. */
  readonly followed?: boolean;
  command(): Promise<readonly string[]>;
}

function app(name: string): string {
  return join(APPS, name);
}

/** Debian's Python has the packages that Debian installs. */
const PYTHON = "/usr/bin/python3";

export const RUNTIMES: readonly TruthRuntime[] = [
  {
    name: "go",
    text: "net/http, calls from goroutines of goroutines",
    redis: true,
    command: async () => [await buildGo("truth/go")],
  },
  {
    name: "asyncio",
    text: "Python, asyncio streams",
    redis: true,
    command: async () => [PYTHON, app("streams.py")],
  },
  {
    name: "aiohttp",
    text: "Python, aiohttp server and client",
    redis: false,
    command: async () => [PYTHON, app("aio.py")],
  },
  {
    name: "python-threads",
    text: "Python, a thread a connection",
    redis: true,
    command: async () => [PYTHON, app("threads.py")],
  },
  {
    name: "node",
    text: "Node, async/await, node:http",
    redis: true,
    followed: true,
    command: async () => [process.execPath, app("node.mjs")],
  },
  {
    name: "c-pool",
    text: "C, epoll and a pool of threads",
    redis: false,
    command: async () => [buildPool()],
  },
  {
    name: "java-pool",
    text: "Java, a fixed pool that makes its calls itself",
    redis: false,
    command: async () => [...(await buildJava("truth/Pools")), "--in-turn", "yes"],
  },
  {
    name: "java-submit",
    text: "Java, a fixed pool that submits two calls to another, no agent",
    redis: false,
    command: async () => await buildJava("truth/Pools"),
  },
  {
    name: "java-agent",
    text: "the same with our agent in the JVM",
    redis: false,
    javaAgent: true,
    command: async () => await buildJava("truth/Pools"),
  },
  {
    name: "java-async-agent",
    text: "Java, stages of CompletableFuture and java.net.http.HttpClient, with our agent",
    redis: false,
    javaAgent: true,
    command: async () => [...(await buildJava("truth/Pools")), "--async", "yes"],
  },
  ...virtualThreads(),
];

function buildPool(): string {
  const directory = join(cacheDirectory(), "truth-pool");
  const binary = join(directory, "pool");
  mkdirSync(directory, { recursive: true });
  execFileSync("cc", ["-O2", "-o", binary, app("pool.c"), "-lpthread"]);
  return binary;
}

/** Where the host has a JDK that has them. */
function virtualThreads(): readonly TruthRuntime[] {
  const jdk = jdkSince(21);
  if (jdk === undefined) return [];
  return [
    {
      name: "java-virtual-agent",
      text: "Java, a virtual thread for each request and each parallel call, with our agent",
      redis: false,
      javaAgent: true,
      command: async () => [...(await buildJava("truth/Pools", jdk)), "--virtual", "yes"],
    },
  ];
}
