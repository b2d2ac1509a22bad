// SPDX-License-Identifier: Apache-2.0
// Rows of the table of hooks that the other tests leave out.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";

import {
  BpfError,
  type BtfValue,
  type LoadedObject,
  openObject,
  pidDescriptor,
  probeAll,
} from "../src/index.ts";
import {
  buildObjects,
  counter,
  GETPPID,
  kernelTest,
  objectPath,
  provoke,
  TargetProcess,
} from "./support.ts";

buildObjects();

/** `TCP_ESTABLISHED` and `TCP_LISTEN` of `net/tcp_states.h`. */
const ESTABLISHED = 1;
const LISTEN = 10;

function loadRows(
  programs: readonly string[],
  knobs: Readonly<Record<string, number>> = {},
): LoadedObject {
  const object = openObject(objectPath("rows"));
  for (const name of programs) {
    object.program(name).setAutoload(true);
  }
  object.rodata.set({ target_pid: process.pid, target_syscall: GETPPID, ...knobs });
  return object.load();
}

/** A field of a record as a number. */
function field(record: BtfValue, name: string): number {
  assert.ok(typeof record === "object" && record !== null && name in record);
  return Number(Object.entries(record).find(([key]) => key === name)?.[1]);
}

async function connection(): Promise<{
  readonly server: Server;
  readonly client: Socket;
  readonly port: number;
}> {
  const server = createServer((socket) => socket.on("data", (data) => socket.write(data)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const client = connect(port, "127.0.0.1");
  await once(client, "connect");
  return { server, client, port };
}

kernelTest("iter/task_file gives the open files of this process as typed records", () => {
  using loaded = loadRows(["list_files"]);
  const fd = openSync(process.execPath, "r");
  const inode = fstatSync(fd).ino;
  try {
    const records = loaded.iteratorRecords("list_files", "struct open_file", { pid: process.pid });
    const mine = records.filter((each) => field(each, "fd") === fd);
    assert.deepEqual(mine, [{ inode: BigInt(inode), fd, unused: 0 }]);
  } finally {
    closeSync(fd);
  }
});

kernelTest("iter/task_vma gives the mappings of another process as typed records", async () => {
  await using target = new TargetProcess();
  await target.work();
  using loaded = loadRows(["list_code"], { target_pid: target.pid });
  const records = loaded.iteratorRecords("list_code", "struct mapping", { pid: target.pid });
  const expected = readFileSync(`/proc/${target.pid}/maps`, "utf8")
    .split("\n")
    .flatMap((line) => /^(\w+)-(\w+) ..x. .*(?<!\[vsyscall\])$/.exec(line)?.slice(1, 3) ?? [])
    .map((text) => BigInt(`0x${text}`));
  assert.ok(records.length >= 3, "the program, libc, the dynamic linker");
  assert.deepEqual(
    records.flatMap((each) => [field(each, "start"), field(each, "end")]),
    expected.map(Number),
  );
});

kernelTest("iter/tcp gives the sockets of one port as typed records", async () => {
  const { server, client, port } = await connection();
  try {
    using loaded = loadRows(["list_sockets"], { target_port: port });
    const records = loaded.iteratorRecords("list_sockets", "struct endpoint");
    const states = records.map((each) => field(each, "state")).sort((a, b) => a - b);
    assert.deepEqual(states, [ESTABLISHED, LISTEN]);
  } finally {
    client.destroy();
    server.close();
  }
});

kernelTest("programs keep values with a task and its cgroup, and JavaScript reads them", () => {
  using loaded = loadRows(["count_in_storage"]);
  loaded.attach("count_in_storage");
  provoke(6);
  using task = pidDescriptor(process.pid);
  assert.equal(loaded.typedMap<number, bigint>("of_task").get(task.fd), 6n);
  const path = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "/";
  const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/self/mounts", "utf8"))?.[1];
  assert.ok(root !== undefined, "a cgroup2 mount");
  const cgroup = openSync(`${root}${path}`, "r");
  try {
    assert.equal(loaded.typedMap<number, bigint>("of_cgroup").get(cgroup), 6n);
  } finally {
    closeSync(cgroup);
  }
});

kernelTest("programs keep values with a socket", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  using loaded = loadRows(["on_state"], { target_port: port });
  loaded.attach("on_state");
  const accepted = once(server, "connection");
  const client = connect(port, "127.0.0.1");
  try {
    const [socket] = await accepted;
    // The kernel makes the socket in SYN_RECV, and it goes on to ESTABLISHED.
    assert.equal(loaded.typedMap<number, bigint>("of_socket").get(unsafeDescriptor(socket)), 2n);
  } finally {
    client.destroy();
    server.close();
  }
});

kernelTest("a kernel function makes a pointer readable", () => {
  using loaded = loadRows(["cast_task"]);
  loaded.attach("cast_task");
  provoke(1);
  assert.equal(counter(loaded, "cast_pid"), process.pid);
});

kernelTest("tracepoints of sched, signal, skb, net and tcp see what this test does", async () => {
  const { server, client, port } = await connection();
  try {
    using loaded = loadRows(["on_skb", "on_net", "on_tcp"], { target_port: port });
    loaded.attachAll();
    client.write("hello");
    await once(client, "data");
    for (const name of ["skb_hits", "net_hits", "tcp_hits"]) {
      assert.ok(counter(loaded, name) >= 2, `${name}: there and back`);
    }
  } finally {
    client.destroy();
    server.close();
  }
  const child = spawn("bash", [
    "-c",
    "trap 'exit 3' USR1; echo ready; while :; do sleep 0.01; done",
  ]);
  await once(child.stdout, "data");
  using loaded = loadRows(["on_sched", "on_signal"], { target_pid: child.pid ?? 0 });
  loaded.attachAll();
  child.kill("SIGUSR1");
  assert.deepEqual(await once(child, "exit"), [3, null]);
  assert.ok(counter(loaded, "signal_hits") >= 1);
  assert.ok(counter(loaded, "sched_hits") >= 1);
});

kernelTest("tracepoints of block and exceptions see this process write and touch memory", () => {
  using loaded = loadRows(["on_block", "on_exception"]);
  loaded.attachAll();
  assert.equal(Buffer.alloc(1 << 24, 1).at(-1), 1);
  assert.ok(counter(loaded, "exception_hits") >= 1);
  // Beside the objects: a temporary folder may be in memory.
  const folder = mkdtempSync(join(dirname(objectPath("rows")), "block-"));
  try {
    const file = openSync(join(folder, "written"), "w");
    writeSync(file, Buffer.alloc(1 << 16, 1));
    fsyncSync(file);
    // Major number 0: memory, or a file system that does not say where it writes.
    const isOnDevice = fstatSync(file).dev >> 8 !== 0;
    closeSync(file);
    assert.ok(!isOnDevice || counter(loaded, "block_hits") >= 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

kernelTest("a function of another program is replaced, or the kernel refuses it by name", () => {
  using replaced = openObject(objectPath("replaced")).load();
  const asks = replaced.program("asks");
  const packet = { data: new Uint8Array(64) };
  assert.equal(asks.run(packet).returnValue, 1);
  const object = openObject(objectPath("replacing"));
  object.program("answers_otherwise").setAttachTarget("answer", { programFd: asks.fd });
  const { freplace } = probeAll().attachKinds;
  if (freplace?.isSupported !== true) {
    assert.equal(freplace?.errno, "EPERM");
    assert.throws(
      () => object.load(),
      (error) =>
        error instanceof BpfError &&
        error.code === "LOAD" &&
        error.errno === "EPERM" &&
        error.program === "answers_otherwise" &&
        /This process has CAP_BPF and CAP_PERFMON: the kernel forbids it/.test(error.message),
    );
    return;
  }
  using loaded = object.load();
  const link = loaded.attach("answers_otherwise");
  assert.equal(asks.run(packet).returnValue, 42);
  link.detach();
  assert.equal(asks.run(packet).returnValue, 1);
});

/** Relies on: Node keeps the descriptor of a socket in `_handle.fd`. */
function unsafeDescriptor(socket: Socket): number {
  return (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}
