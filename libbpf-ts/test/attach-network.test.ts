// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { BpfError, type LoadedObject, openObject } from "../src/index.ts";
import { buildObjects, counter, isInOwnNetwork, loadAttach, objectPath } from "./support.ts";

buildObjects();

/** `BPF_TCX_EGRESS` of `linux/bpf.h`. */
const TCX_EGRESS = 47;

async function listen(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on("data", (data) => socket.end(data)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return { server, port: typeof address === "object" && address !== null ? address.port : 0 };
}

/** One connection to a port of this network namespace, that says a word and hears it back. */
async function talk(port: number): Promise<string> {
  const socket: Socket = connect(port, "127.0.0.1");
  socket.write("hello");
  let said = "";
  for await (const chunk of socket) {
    said += String(chunk);
  }
  return said;
}

async function whileTalking(body: (port: number) => Promise<void>): Promise<void> {
  const { server, port } = await listen();
  try {
    await body(port);
  } finally {
    server.close();
  }
}

/** The cgroup2 mount, where there is one. */
function cgroupRoot(): string {
  const mounts = readFileSync("/proc/self/mounts", "utf8");
  return /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1] ?? "";
}

/** Connects from a process inside a cgroup; the process is this one's child. */
async function connectInside(cgroup: string, port: number): Promise<void> {
  const script = `echo $$ > ${cgroup}/cgroup.procs; exec 3<>/dev/tcp/127.0.0.1/${port}; echo hi >&3; cat <&3`;
  const child = spawn("bash", ["-c", script], { stdio: "ignore" });
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
}

async function inCgroup(body: (cgroup: string) => Promise<void>): Promise<void> {
  const cgroup = `${cgroupRoot()}/libbpf-ts-test-${process.pid}`;
  mkdirSync(cgroup);
  try {
    await body(cgroup);
  } finally {
    rmdirSync(cgroup);
  }
}

function assertCounts(loaded: LoadedObject, name: string): void {
  assert.ok(counter(loaded, name) > 0, name);
}

if (isInOwnNetwork(fileURLToPath(import.meta.url))) {
  execFileSync("ip", ["link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]);

  test("cgroup programs see a process of that cgroup connect, and no other", async () => {
    await whileTalking((port) =>
      inCgroup(async (path) => {
        using loaded = loadAttach(["on_connect", "on_sockops", "on_skb"], { target_port: port });
        loaded.attach("on_connect", { kind: "cgroup", path });
        loaded.attach("on_sockops", { kind: "cgroup", path });
        loaded.attach("on_skb", { kind: "cgroup", path });
        await talk(port);
        assert.equal(counter(loaded, "connect_hits"), 0);
        await connectInside(path, port);
        assert.equal(counter(loaded, "connect_hits"), 1);
        assert.equal(counter(loaded, "sockops_hits"), 1);
        assertCounts(loaded, "skb_hits");
      }),
    );
  });

  test("tcx runs programs in the order that was asked for, and one can be replaced", async () => {
    await whileTalking(async (port) => {
      using loaded = loadAttach(["on_tcx", "on_tcx_again"]);
      const link = loaded.attach("on_tcx", { kind: "tcx", interface: "lo", order: "first" });
      assert.equal(await talk(port), "hello");
      const before = counter(loaded, "tcx_hits");
      assert.ok(before > 0 && before < 1000);
      link.update(loaded.program("on_tcx_again"));
      await talk(port);
      assert.ok(counter(loaded, "tcx_hits") >= before + 1000);
      link.detach();
      const after = counter(loaded, "tcx_hits");
      await talk(port);
      assert.equal(counter(loaded, "tcx_hits"), after);
    });
  });

  test("an attach type set before load is the one that counts, and force detach ends a pinned link", async () => {
    await whileTalking(async (port) => {
      const object = openObject(objectPath("attach"));
      object.program("on_tcx").setAutoload(true);
      object.program("on_tcx").setType({ attachType: TCX_EGRESS });
      using loaded = object.load();
      const link = loaded.attach("on_tcx", { kind: "tcx", interface: "lo" });
      await talk(port);
      const seen = counter(loaded, "tcx_hits");
      assert.ok(seen > 0);
      const path = `/sys/fs/bpf/libbpf-ts-tcx-${process.pid}`;
      try {
        link.pin(path);
        link.forceDetach();
        await talk(port);
        assert.equal(counter(loaded, "tcx_hits"), seen, "although it is pinned");
      } finally {
        rmSync(path, { force: true });
      }
    });
  });

  test("a tc classifier runs until it is detached, and makes its qdisc", async () => {
    await whileTalking(async (port) => {
      using loaded = loadAttach(["on_tc"]);
      const link = loaded.attach("on_tc", { kind: "tc", interface: "lo", direction: "egress" });
      await talk(port);
      const seen = counter(loaded, "tc_hits");
      assert.ok(seen > 0);
      assert.throws(
        () => link.info,
        (error) => error instanceof BpfError && error.code === "ARGUMENT",
      );
      link.detach();
      await talk(port);
      assert.equal(counter(loaded, "tc_hits"), seen);
    });
  });

  test("xdp runs on loopback in generic mode and on a veth in its driver", async () => {
    await whileTalking(async (port) => {
      using loaded = loadAttach(["on_xdp"]);
      const link = loaded.attach("on_xdp", { kind: "xdp", interface: "lo", mode: "generic" });
      await talk(port);
      assertCounts(loaded, "xdp_hits");
      assert.throws(
        () => loaded.attach("on_xdp", { kind: "xdp", interface: "lo", mode: "generic" }),
        (error) => error instanceof BpfError && error.errno === "EBUSY",
      );
      link.detach();
      loaded.attach("on_xdp", { kind: "xdp", interface: "veth0", mode: "driver" });
    });
  });

  test("a netfilter program sees packets leave", async () => {
    await whileTalking(async (port) => {
      using loaded = loadAttach(["on_netfilter"]);
      loaded.attach("on_netfilter", {
        kind: "netfilter",
        family: "ipv4",
        hook: "local_out",
        priority: -100,
      });
      assert.equal(await talk(port), "hello");
      assertCounts(loaded, "netfilter_hits");
    });
  });

  test("sk_lookup is asked for each new connection of this namespace", async () => {
    await whileTalking(async (port) => {
      using loaded = loadAttach(["on_lookup"], { target_port: port });
      const link = loaded.attach("on_lookup", { kind: "netns" });
      await talk(port);
      assert.equal(counter(loaded, "lookup_hits"), 1);
      link.detach();
      await talk(port);
      assert.equal(counter(loaded, "lookup_hits"), 1);
    });
  });

  test("a sock map's programs see what its sockets send and receive", async () => {
    await whileTalking((port) =>
      inCgroup(async (path) => {
        const programs = ["collect_sockets", "on_message", "on_stream"];
        using loaded = loadAttach(programs, { target_port: port });
        const map = loaded.map("sockets");
        loaded.attach("collect_sockets", { kind: "cgroup", path });
        loaded.attach("on_message", { kind: "sockmap", map });
        loaded.attach("on_stream", { kind: "sockmap", map });
        await connectInside(path, port);
        assertCounts(loaded, "message_hits");
        assertCounts(loaded, "stream_hits");
      }),
    );
  });

  test("a struct_ops congestion control runs for this namespace until it is detached", async () => {
    const chosen = "/proc/sys/net/ipv4/tcp_congestion_control";
    const before = readFileSync(chosen, "utf8").trim();
    await whileTalking(async (port) => {
      using loaded = openObject(objectPath("congestion")).load();
      const link = loaded.attachStructOps("control");
      writeFileSync(chosen, "libbpf_ts");
      await talk(port);
      const seen = counter(loaded, "acked_hits");
      assert.ok(seen > 0);
      writeFileSync(chosen, before);
      link.detach();
      assert.throws(() => writeFileSync(chosen, "libbpf_ts"), /ENOENT/);
      await talk(port);
      assert.equal(counter(loaded, "acked_hits"), seen);
      const fails = (error: unknown) => error instanceof BpfError && error.code === "ARGUMENT";
      assert.throws(() => loaded.attachStructOps("congesti.bss"), fails);
    });
  });

  test("netkit runs a program on a device of its kind, or is refused with its errno", async () => {
    using loaded = loadAttach(["on_netkit"]);
    const link = ["link", "add", "nk0", "type", "netkit", "peer", "name", "nk1"];
    const { status } = spawnSync("ip", link, { stdio: "ignore" });
    if (status !== 0) {
      assert.throws(
        () => loaded.attach("on_netkit", { kind: "netkit", interface: "lo" }),
        (error) => error instanceof BpfError && error.code === "ATTACH" && error.errno === "EINVAL",
      );
      return;
    }
    loaded.attach("on_netkit", { kind: "netkit", interface: "nk0" });
    for (const name of ["nk0", "nk1"]) {
      execFileSync("ip", ["link", "set", name, "up"]);
    }
    execFileSync("ip", ["addr", "add", "10.9.8.1/24", "dev", "nk0"]);
    spawnSync("bash", ["-c", "echo hello > /dev/udp/10.9.8.2/9"]);
    assertCounts(loaded, "netkit_hits");
  });

  test("a socket filter sees what one socket receives", async () => {
    const { server, port } = await listen();
    try {
      using loaded = loadAttach(["on_filter"]);
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      const link = loaded.attach("on_filter", { kind: "socket", fd: unsafeDescriptor(socket) });
      socket.write("hello");
      const [data] = await once(socket, "data");
      assert.equal(String(data), "hello");
      assertCounts(loaded, "filter_hits");
      link.detach();
      socket.destroy();
    } finally {
      server.close();
    }
  });
}

/** Relies on: Node keeps the descriptor of a socket in `_handle.fd`. */
function unsafeDescriptor(socket: Socket): number {
  return (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}
