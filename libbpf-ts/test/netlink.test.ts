// SPDX-License-Identifier: Apache-2.0
// Against the kernel itself: links by NETLINK_ROUTE, connection tracking by NETLINK_NETFILTER.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BpfError, NETLINK_RECEIVE_BYTES_MIN, NetlinkSocket } from "../src/index.ts";

const ROUTE = 0;
const NETFILTER = 12;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLMSG_DONE = 3;
const IFLA_IFNAME = 3;
/** RTMGRP_LINK of linux/rtnetlink.h. */
const GROUP_LINK = 1;

/** `struct nlmsghdr` with a `struct ifinfomsg` that asks for all links. */
function linkDump(): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setUint32(0, 32, true);
  view.setUint16(4, RTM_GETLINK, true);
  view.setUint16(6, 0x301, true);
  return new Uint8Array(view.buffer);
}

interface Links {
  readonly names: readonly string[];
  readonly isDone: boolean;
}

function linksIn(bytes: Uint8Array): Links {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const names: string[] = [];
  let isDone = false;
  for (let at = 0; at + 16 <= bytes.length; at += (view.getUint32(at, true) + 3) & ~3) {
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE) isDone = true;
    if (type !== RTM_NEWLINK) continue;
    const end = at + view.getUint32(at, true);
    for (let field = at + 32; field + 4 <= end; ) {
      const length = view.getUint16(field, true);
      if (view.getUint16(field + 2, true) === IFLA_IFNAME) {
        names.push(Buffer.from(bytes.subarray(field + 4, field + length - 1)).toString());
      }
      field += (length + 3) & ~3;
    }
  }
  return { names, isDone };
}

function links(namespacePath?: string): readonly string[] {
  using socket = NetlinkSocket.open({
    family: ROUTE,
    ...(namespacePath === undefined ? {} : { namespacePath }),
  });
  socket.send(linkDump());
  const buffer = new Uint8Array(1 << 20);
  const names: string[] = [];
  for (let tries = 0; tries < 100; tries++) {
    const { bytes, hasLost } = socket.receive(buffer);
    assert.equal(hasLost, false);
    const some = linksIn(buffer.subarray(0, bytes));
    names.push(...some.names);
    if (some.isDone) return names;
  }
  return assert.fail("the dump has no end");
}

/** A namespace that is taken down at the end. */
function namespace(): { readonly name: string; readonly path: string } & Disposable {
  const name = `bsnetlink-${process.pid}`;
  execFileSync("ip", ["netns", "add", name]);
  return {
    name,
    path: `/run/netns/${name}`,
    [Symbol.dispose]: () => execFileSync("ip", ["netns", "delete", name]),
  };
}

test("a dump of the links is what /proc/net/dev says", () => {
  const expected = readFileSync("/proc/net/dev", "utf8").match(/^\s*[^\s|:]+(?=:)/gm) ?? [];
  assert.deepEqual([...links()].sort(), expected.map((name) => name.trim()).sort());
});

test("a socket in another namespace sees that namespace, and ours stays ours", () => {
  using other = namespace();
  execFileSync("ip", ["-n", other.name, "link", "add", "bsprobe0", "type", "bridge"]);
  assert.ok(links(other.path).includes("bsprobe0"));
  assert.ok(!links().includes("bsprobe0"));
});

test("a reader is called when an event of its group comes", async () => {
  using other = namespace();
  using socket = NetlinkSocket.open({
    ...{ family: ROUTE, groups: GROUP_LINK, namespacePath: other.path },
  });
  const called = Promise.withResolvers<void>();
  using _waiting = socket.onReadable(called.resolve);
  execFileSync("ip", ["-n", other.name, "link", "add", "bsprobe1", "type", "bridge"]);
  await called.promise;
  const buffer = new Uint8Array(1 << 16);
  const { bytes } = socket.receive(buffer);
  assert.ok(linksIn(buffer.subarray(0, bytes)).names.includes("bsprobe1"));
  assert.deepEqual(socket.receive(buffer), { bytes: 0, hasLost: false });
});

test("messages that did not fit into the queue are told once", () => {
  using other = namespace();
  using socket = NetlinkSocket.open({
    ...{ family: ROUTE, groups: GROUP_LINK, namespacePath: other.path, queueBytes: 1 },
  });
  const changes = Array.from({ length: 40 }, (_, index) => [
    `link add bsp${index} type bridge`,
    `link del bsp${index}`,
  ]).flat();
  execFileSync("ip", ["-n", other.name, "-batch", "-"], { input: `${changes.join("\n")}\n` });
  const buffer = new Uint8Array(1 << 20);
  assert.equal(socket.receive(buffer).hasLost, true);
  assert.equal(socket.receive(buffer).hasLost, false);
});

test("errors say what was tried and where", () => {
  assert.throws(
    () => NetlinkSocket.open({ family: ROUTE, namespacePath: "/run/netns/none-of-this-name" }),
    (error) =>
      error instanceof BpfError && error.errno === "ENOENT" && /none-of/.test(error.message),
  );
  const socket = NetlinkSocket.open({ family: ROUTE });
  assert.throws(() => socket.receive(new Uint8Array(NETLINK_RECEIVE_BYTES_MIN - 1)), {
    code: "ARGUMENT",
  });
  socket.close();
  socket.close();
  assert.throws(() => socket.send(linkDump()), { code: "CLOSED" });
});

test("without CAP_NET_ADMIN the kernel refuses conntrack's groups", () => {
  const script = `
    import { NetlinkSocket } from ${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)};
    try { NetlinkSocket.open({ family: ${NETFILTER}, groups: 1 }).close(); console.log("open"); }
    catch (error) { console.log(error.code, error.errno); }`;
  const { stdout, stderr } = spawnSync(
    "setpriv",
    ["--bounding-set=-net_admin", "--inh-caps=-net_admin", "--ambient-caps=-all", "--"].concat(
      ...[[process.execPath, "--input-type=module", "-e", script]],
    ),
    { encoding: "utf8" },
  );
  assert.equal(stdout.trim(), "KERNEL EPERM", stderr);
});
