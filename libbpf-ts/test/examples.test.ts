// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { generateTypes } from "../src/index.ts";
import { buildObjects, kernelTest } from "./support.ts";

buildObjects();

const FOLDER = fileURLToPath(new URL("../examples/", import.meta.url));
const LINES_MAX = 50;
const HEADER = "// SPDX-License-Identifier: Apache-2.0";

type Example = ChildProcessByStdio<null, Readable, null>;

function start(name: string, words: readonly (string | number)[]): Example {
  const all = [`${FOLDER}${name}.ts`, ...words.map(String)];
  return spawn(process.execPath, all, { stdio: ["ignore", "pipe", "inherit"] });
}

function linesOf(child: Example): AsyncIterator<string> {
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

async function stop(child: Example): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGINT");
  await ended;
}

async function allOutput(child: Example): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout) {
    text += String(chunk);
  }
  return text;
}

test(`each example has fewer than ${LINES_MAX} lines, and its types are up to date`, () => {
  for (const file of readdirSync(FOLDER)) {
    if (/\.bpf\.c$|\.ts$/.test(file)) {
      const lines = readFileSync(FOLDER + file, "utf8").split("\n").length - 1;
      assert.ok(lines < LINES_MAX, `${file} has ${lines}`);
    }
    if (file.endsWith(".bpf.o")) {
      const name = file.replace(".bpf.o", "");
      const object = readFileSync(FOLDER + file);
      const text = generateTypes(object, { name: file, header: HEADER });
      const path = `${FOLDER}generated/${name}.ts`;
      if (process.env["UPDATE_GOLDENS"] === "1") {
        writeFileSync(path, text);
      }
      assert.equal(text, readFileSync(path, "utf8"), `${name}: run with UPDATE_GOLDENS=1`);
    }
  }
});

kernelTest("exec-snoop prints what this process starts", async () => {
  const child = start("exec-snoop", [process.pid]);
  try {
    const lines = linesOf(child);
    await lines.next();
    spawnSync("/bin/true");
    const { value } = await lines.next();
    assert.match(String(value), new RegExp(`^\\d+ ${process.pid} true /bin/true$`));
  } finally {
    await stop(child);
  }
});

kernelTest("cpu-profile finds the function that burns", async () => {
  const code = "function burn(){let n=0;for(;;)n+=Math.sqrt(n+1)} burn()";
  // V8 opens its log with this flag, one for each isolate in the working directory.
  const quiet = ["--no-logfile-per-isolate", "--logfile=/dev/null"];
  const words = ["--perf-basic-prof", "--interpreted-frames-native-stack", ...quiet, "-e", code];
  const busy = spawn(process.execPath, words, { stdio: "ignore" });
  try {
    const text = await allOutput(start("cpu-profile", [busy.pid ?? 0, 1]));
    assert.match(text, /burn/);
    assert.match(text, /;.* \d+$/m);
  } finally {
    busy.kill();
    await once(busy, "exit");
    rmSync(`/tmp/perf-${busy.pid}.map`, { force: true });
  }
});

kernelTest("socket-latency sees how long this process waits for an answer", async () => {
  const server = createServer((socket) => {
    // The client is killed in mid-sentence.
    socket.on("error", () => socket.destroy());
    socket.on("data", (data) => setTimeout(() => socket.write(data), 20));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const client = spawn("bash", [
    "-c",
    `exec 3<>/dev/tcp/127.0.0.1/${port}; for ((;;)); do echo x >&3; read -u 3 line; done`,
  ]);
  try {
    const text = await allOutput(start("socket-latency", [client.pid ?? 0, 1]));
    const slots = [...text.matchAll(/^ *(\d+) +(\d+) #+$/gm)].map((match) => match.map(Number));
    const counted = slots.filter(([, from = 0]) => from >= 8192 && from <= 65_536);
    assert.ok(counted.length > 0, `20 ms are between 16,384 and 32,767 µs:\n${text}`);
  } finally {
    client.kill();
    server.close();
    server.unref();
  }
});

kernelTest("tcp-retransmits sees a connection attempt that nobody answers", async () => {
  const script =
    "ip link add veth0 type veth peer name veth1 && ip addr add 10.9.9.1/24 dev veth0 && " +
    "ip link set veth0 up && ip link set veth1 up && " +
    "ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev veth0 && " +
    "stat -Lc %i /proc/self/ns/net && read go && exec 3<>/dev/tcp/10.9.9.2/80";
  const holder = spawn("unshare", ["--net", "bash", "-c", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [inode] = await once(holder.stdout, "data");
  const child = start("tcp-retransmits", [String(inode).trim()]);
  try {
    const lines = linesOf(child);
    await lines.next();
    holder.stdin.write("go\n");
    const { value } = await lines.next();
    assert.match(String(value), /^10\.9\.9\.2:80 [1-9]/);
  } finally {
    await stop(child);
    holder.kill("SIGKILL");
  }
});
