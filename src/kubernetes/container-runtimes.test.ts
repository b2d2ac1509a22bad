// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createSocketServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { ContainerRuntimes, type RuntimeContainer } from "./container-runtimes.ts";

const ID = "ab".repeat(32);

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "backstitch-runtimes-"));
  context.after(() => rmSync(path, { recursive: true }));
  return path;
}

interface Listening {
  listen(path: string, done: () => void): unknown;
  close(): unknown;
}

async function listen(context: TestContext, server: Listening, path: string): Promise<void> {
  await new Promise<void>((resolve) => server.listen(path, resolve));
  context.after(() => {
    server.close();
  });
}

interface Asked {
  readonly runtimes: ContainerRuntimes;
  readonly warnings: () => readonly string[];
  setTime(nowMs: number): void;
  found(): Promise<RuntimeContainer | undefined>;
}

function asking(path: string): Asked {
  const memory = createMemoryTelemetry();
  let nowMs = 0;
  const runtimes = new ContainerRuntimes({
    endpoints: [`unix://${path}`],
    timeoutMs: 300,
    telemetry: memory.telemetry,
    nowMs: () => nowMs,
  });
  return {
    runtimes,
    warnings: () => memory.lines.map(({ fields }) => String(fields["error"])),
    setTime: (ms) => {
      nowMs = ms;
    },
    found: async () => {
      for (let tries = 0; tries < 50; tries++) {
        const container = runtimes.find(ID);
        if (container !== undefined) return container;
        await delay(10);
      }
      return undefined;
    },
  };
}

/** A gRPC server by its paths: a message, or the number of an error. */
async function grpc(
  context: TestContext,
  path: string,
  answer: (path: string, namespace: string) => Uint8Array | number,
): Promise<string[]> {
  const asked: string[] = [];
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    const method = String(headers[":path"]);
    const namespace = String(headers["containerd-namespace"] ?? "");
    asked.push(`${method.split("/").at(-1)} ${namespace}`.trim());
    const given = answer(method, namespace);
    stream.resume().on("error", () => undefined);
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () =>
      stream.sendTrailers({ "grpc-status": typeof given === "number" ? String(given) : "0" }),
    );
    if (typeof given === "number") stream.end();
    else {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(given.length, 1);
      stream.end(Buffer.concat([head, given]));
    }
  });
  await listen(context, server, path);
  return asked;
}

/** ContainerStatusResponse (CRI, runtime/v1/api.proto). */
function criStatus(): Uint8Array {
  const out = new ProtoWriter();
  const status = out.beginMessage(0x0a);
  out.stringField(0x0a, ID);
  const metadata = out.beginMessage(0x12);
  out.stringField(0x0a, "checkout");
  out.endMessage(metadata);
  const image = out.beginMessage(0x42);
  out.stringField(0x0a, "registry.example/shop/checkout:2.1");
  out.endMessage(image);
  out.endMessage(status);
  return out.take();
}

/** GetContainerResponse (containerd, services/containers/v1). */
function containerdContainer(): Uint8Array {
  const out = new ProtoWriter();
  const container = out.beginMessage(0x0a);
  out.stringField(0x0a, ID);
  const label = out.beginMessage(0x12);
  out.stringField(0x0a, "nerdctl/name");
  out.stringField(0x12, "db");
  out.endMessage(label);
  out.stringField(0x1a, "docker.io/library/postgres:17");
  out.endMessage(container);
  return out.take();
}

test("Docker gives a container's name and image", async (context) => {
  const path = join(folder(context), "docker.sock");
  const urls: string[] = [];
  const server = createServer((request, response) => {
    urls.push(request.url ?? "");
    response.end(JSON.stringify({ Id: ID, Name: "/web", Config: { Image: "nginx:1.29" } }));
  });
  await listen(context, server, path);
  const { runtimes, found } = asking(path);
  assert.equal(runtimes.find(ID), undefined, "nothing waits");
  assert.deepEqual(await found(), { name: "web", image: "nginx:1.29" });
  assert.deepEqual(urls, [`/containers/${ID}/json`], "asked once");
});

test("the Container Runtime Interface gives name and image", async (context) => {
  const path = join(folder(context), "crio.sock");
  const asked = await grpc(context, path, () => criStatus());
  const { found } = asking(path);
  assert.deepEqual(await found(), {
    name: "checkout",
    image: "registry.example/shop/checkout:2.1",
  });
  assert.deepEqual(asked, ["ContainerStatus"]);
});

test("a containerd without CRI is asked in each of its namespaces", async (context) => {
  const path = join(folder(context), "containerd.sock");
  const asked = await grpc(context, path, (method, namespace) => {
    if (method.includes("ContainerStatus")) return 12;
    return namespace === "default" ? containerdContainer() : 5;
  });
  const { found } = asking(path);
  assert.deepEqual(await found(), { name: "db", image: "docker.io/library/postgres:17" });
  assert.deepEqual(asked, ["ContainerStatus", "Get k8s.io", "Get default"]);
});

test("a container that nobody knows is asked for again after ten seconds, not before", async (context) => {
  const path = join(folder(context), "docker.sock");
  let questions = 0;
  const server = createServer((_, response) => {
    questions++;
    response.writeHead(404).end("{}");
  });
  await listen(context, server, path);
  const { found, setTime, warnings } = asking(path);
  assert.equal(await found(), undefined);
  assert.equal(questions, 1);
  setTime(10_000);
  assert.equal(await found(), undefined);
  assert.equal(questions, 2);
  assert.deepEqual(warnings(), []);
});

test("sockets that are absent, silent or no runtime's are said once, and nothing hangs", async (context) => {
  const at = folder(context);
  const silent = createSocketServer((socket) => socket.on("error", () => undefined).resume());
  await listen(context, silent, join(at, "silent.sock"));
  const babbling = createSocketServer((socket) => {
    socket.on("error", () => undefined).end("neither HTTP/1 nor HTTP/2\r\n");
  });
  await listen(context, babbling, join(at, "babbling.sock"));
  for (const [name, error] of [
    ["docker-absent.sock", /ENOENT/],
    ["silent.sock", /no answer within 300 ms/],
    ["babbling.sock", /./],
  ] as const) {
    const { found, warnings, setTime } = asking(join(at, name));
    assert.equal(await found(), undefined);
    setTime(20_000);
    assert.equal(await found(), undefined);
    assert.equal(warnings().length, 1, name);
    assert.match(warnings()[0] ?? "", error);
  }
});

test("what is no container id is never asked for", async (context) => {
  const path = join(folder(context), "docker.sock");
  let questions = 0;
  const server = createServer((_, response) => {
    questions++;
    response.end("{}");
  });
  await listen(context, server, path);
  const { runtimes } = asking(path);
  for (const id of ["", "../../images", "AB", "a b"]) runtimes.find(id);
  await delay(50);
  assert.equal(questions, 0);
});
