// SPDX-License-Identifier: Apache-2.0
// TLS libraries where they are not a distribution's libssl: NSS, OpenSSL inside of a program without
// symbols, in memory, behind its extended functions, and in a root of its own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, copyFileSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { startTestAgent } from "../support/agent.ts";
import { buildWithOpenssl } from "../support/c-app.ts";
import { makeCertificate, type TestCertificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

const NSS_CLIENT = join(import.meta.dirname, "../apps/nss-client.py");
const REQUESTS = 20;

interface Client {
  readonly name: string;
  readonly kind: "openssl" | "nss";
  /** Files in which the clear text is found. */
  readonly libraries: number;
  readonly command: (setting: {
    readonly tls: TestCertificate;
    readonly port: number;
    readonly orders: string;
  }) => Promise<readonly string[]>;
  readonly line: (url: URL) => string;
}

const CLIENTS: readonly Client[] = [
  {
    name: "NSS, in libcurl",
    kind: "nss",
    libraries: 2,
    command: async ({ orders }) => ["/usr/bin/python3", NSS_CLIENT, orders],
    line: (url) => url.href,
  },
  ...(["plain", "ex", "memory"] as const).map(
    (mode): Client => ({
      name: `OpenSSL inside of a program without symbols, ${mode}`,
      kind: "openssl",
      libraries: 1,
      command: async ({ port, orders }) => [
        ...[await buildWithOpenssl("tls-client", true), String(port), mode, orders],
      ],
      line: ({ pathname }) => pathname,
    }),
  ),
  {
    name: "OpenSSL in a mount namespace and root of its own",
    kind: "openssl",
    libraries: 1,
    command: async ({ tls, port }) => {
      const program = await buildWithOpenssl("tls-client", false);
      const root = makeRoot(tls.folder, program);
      const inside = ["unshare", "--mount", "chroot", root, "/client"];
      return [...inside, String(port), "plain", "/orders"];
    },
    line: ({ pathname }) => pathname,
  },
];

/** A root that holds the program, what it is linked with, at other places, and the pipe. */
function makeRoot(folder: string, program: string): string {
  const root = join(folder, "root");
  const libraries = join(root, "opt/libraries");
  mkdirSync(libraries, { recursive: true });
  copyFileSync(program, join(root, "client"));
  for (const line of execFileSync("ldd", [program], { encoding: "utf8" }).split("\n")) {
    const [, name, path] = /^\s(\S+) => (\/\S+)/.exec(line) ?? [];
    if (name !== undefined && path !== undefined) copyFileSync(path, join(libraries, name));
    const loader = /^\s(\/\S+) \(/.exec(line)?.[1];
    if (loader === undefined) continue;
    mkdirSync(join(root, dirname(loader)), { recursive: true });
    copyFileSync(loader, join(root, loader));
  }
  execFileSync("mkfifo", [join(root, "orders")]);
  return root;
}

for (const { name, kind, libraries, command, line } of CLIENTS) {
  test(`${name}: each request's two spans, linked`, async () => {
    using tls = makeCertificate();
    const [port = 0] = await freePorts(1);
    const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
    await using server = await startProcess({ ...nginx, readyPort: port });
    const pipe = join(tls.folder, "orders");
    execFileSync("mkfifo", [pipe]);
    const [program = "", ...args] = await command({ tls, port, orders: pipe });
    await using client = await startProcess({
      ...{ command: program, args, readyOutput: /waiting/ },
      env: { LD_LIBRARY_PATH: "/opt/libraries" },
    });
    await using agent = await startTestAgent({
      targets: `[{pids: [${server.pid}], name: web}, {pids: [${client.pid}], name: app}]`,
    });
    const followed = new RegExp(`TLS followed.*"pid":${client.pid},.*"kind":"${kind}"`, "g");
    await eventually(
      async () => agent.process.output(),
      (text) =>
        (text.match(followed)?.length ?? 0) >= libraries &&
        (text.match(/TLS followed.*libssl\.so\.3/g)?.length ?? 0) >= 2,
    );
    const urls = Array.from(
      { length: REQUESTS },
      (_, index) => new URL(`https://127.0.0.1:${port}/orders/${index}`),
    );
    const orders = openSync(
      args.at(-1) === "/orders" ? join(tls.folder, "root/orders") : pipe,
      "w",
    );
    for (const url of urls) writeSync(orders, `${line(url)}\n`);
    closeSync(orders);
    assert.equal((await client.ended).code, 0, client.output());
    const spans = await agent.spansWhen(2 * REQUESTS);
    const paths = new Map(
      spans
        .filter(({ service }) => service === "app")
        .map((span) => [span.spanId, new URL(String(span.attributes.get("url.full"))).pathname]),
    );
    assert.deepEqual([...paths.values()].sort(), urls.map(({ pathname }) => pathname).sort());
    const served = spans.filter(({ service }) => service === "web");
    assert.equal(served.length, REQUESTS);
    for (const { parentSpanId, attributes } of served) {
      assert.equal(paths.get(parentSpanId), attributes.get("url.path"));
    }
  });
}
