// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { findContainer, findPodUid, RuntimeFiles } from "./container.ts";

const ID = "e0f1".repeat(16);
const POD = "pod0f4e2d6a-1111-2222-3333-444455556666";
const NAMELESS = { nameOf: () => undefined };

test("the id is found under each runtime and cgroup driver", () => {
  const paths = [
    `/docker/${ID}`,
    `/system.slice/docker-${ID}.scope`,
    `/system.slice/docker-${ID}.scope/init.scope`,
    `/kubepods/burstable/${POD}/${ID}`,
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-${POD}.slice/cri-containerd-${ID}.scope`,
    `/kubepods.slice/kubepods-${POD}.slice/crio-${ID}.scope/container`,
    `/system.slice/containerd.service/kubepods-burstable-${POD}.slice:cri-containerd:${ID}`,
    `/machine.slice/libpod-${ID}.scope/container`,
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope`,
    `/default/${ID}`,
    `/docker/${"a".repeat(64)}/docker/${ID}`,
  ];
  for (const path of paths) assert.equal(findContainer([path], NAMELESS)?.id, ID, path);
});

test("what is no container is none", () => {
  const paths = [
    "/",
    "/system.slice/ssh.service",
    `/machine.slice/libpod-conmon-${ID}.scope`,
    `/kubepods.slice/crio-conmon-${ID}.scope`,
    `/process_api/${ID.slice(0, 32)}`,
    `/system.slice/job-${ID}.service`,
  ];
  for (const path of paths) assert.equal(findContainer([path], NAMELESS), undefined, path);
});

test("a pod's uid is found under each cgroup driver, and none for a static pod", () => {
  const uid = POD.slice("pod".length);
  const escaped = POD.replaceAll("-", "_");
  for (const path of [
    `/kubepods/burstable/${POD}/${ID}`,
    `/kubepods/${POD}`,
    `/../../kubepods-besteffort-${escaped}.slice/cri-containerd-${ID}.scope`,
    `/kubepods.slice/kubepods-${escaped}.slice/crio-${ID}.scope/container`,
    `/system.slice/containerd.service/kubepods-burstable-${escaped}.slice:cri-containerd:${ID}`,
  ]) {
    assert.equal(findPodUid(["/", path]), uid, path);
  }
  for (const path of [
    `/docker/${ID}`,
    `/kubepods/burstable/pod${"a".repeat(32)}/${ID}`,
    `/x${POD}/${ID}`,
    `/${POD}x`,
  ]) {
    assert.equal(findPodUid([path]), undefined, path);
  }
});

test("system containers have names", () => {
  const cases = [
    ["/lxc.payload.web/system.slice/x.service", "web"],
    ["/lxc/web", "web"],
    ["/machine.slice/machine-web\\x2d1.scope/payload", "web-1"],
    ["/machine.slice/systemd-nspawn@web.service", "web"],
  ] as const;
  for (const [path, name] of cases) {
    assert.deepEqual(findContainer([path], NAMELESS), { id: undefined, name }, path);
  }
});

test("cgroup v1's named hierarchies are looked through", () => {
  assert.equal(findContainer(["/", `/docker/${ID}`], NAMELESS)?.id, ID);
});

test("names come from the files of the runtimes", () => {
  const root = mkdtempSync(join(tmpdir(), "runtime-"));
  const ids = ["a", "b", "c", "d", "e"].map((letter) => letter.repeat(64));
  const [docker, cri, nerdctl, crio, podman] = ids;
  const write = (path: string, value: unknown): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), JSON.stringify(value));
  };
  const tasks = "/run/containerd/io.containerd.runtime.v2.task";
  const storage = "/run/containers/storage/overlay-containers";
  write(`/var/lib/docker/containers/${docker}/config.v2.json`, { Name: "/shop-web-1" });
  write(`${tasks}/k8s.io/${cri}/config.json`, {
    annotations: { "io.kubernetes.cri.container-name": "cart" },
  });
  write(`${tasks}/default/${nerdctl}/config.json`, { annotations: { "nerdctl/name": "ship" } });
  write(`${storage}/${crio}/userdata/config.json`, {
    annotations: { "io.kubernetes.container.name": "pay" },
  });
  write("/var/lib/containers/storage/overlay-containers/containers.json", [
    { id: podman, names: ["mail"] },
  ]);
  try {
    const files = new RuntimeFiles(root);
    const names = [...ids, "f".repeat(64)].map((id) => files.nameOf(id));
    assert.deepEqual(names, ["shop-web-1", "cart", "ship", "pay", "mail", undefined]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("a runtime's file that is not what it should be names nothing", () => {
  const root = mkdtempSync(join(tmpdir(), "runtime-"));
  const folder = join(root, "var/lib/docker/containers", ID);
  mkdirSync(folder, { recursive: true });
  try {
    for (const text of ["", "null", "[]", '{"Name":7}', "{"]) {
      writeFileSync(join(folder, "config.v2.json"), text);
      assert.equal(new RuntimeFiles(root).nameOf(ID), undefined, text);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});
