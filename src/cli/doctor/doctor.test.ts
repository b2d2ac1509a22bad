// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FeatureReport, ProbeResult } from "libbpf-ts";
import type { ObjectFacts } from "./bpf-objects.ts";
import { judge } from "./checks.ts";
import { formatFindings } from "./doctor.ts";
import { type Finding, isSound } from "./finding.ts";
import type { HostFacts } from "./host.ts";
import { EVERYTHING, type Needs } from "./needs.ts";

const MIB = 1024 * 1024;
const WORKS: ProbeResult = { isSupported: true, errno: undefined, advice: "" };
const REFUSED: ProbeResult = { isSupported: false, errno: "EPERM", advice: "Run as root." };

const KERNEL: FeatureReport = {
  release: "6.8.0",
  btf: WORKS,
  tracing: WORKS,
  ringBuffer: WORKS,
  taskStorage: WORKS,
  capabilities: {
    bpf: true,
    perfmon: true,
    netAdmin: true,
    sysAdmin: false,
    sysResource: false,
    sysPtrace: true,
  },
  lockdown: "integrity",
  possibleCpus: 4,
  attachKinds: {},
  programTypes: {},
  mapTypes: {},
  helpers: {},
  kfuncs: {},
  mounts: { bpffs: WORKS, tracefs: WORKS },
  memlockBytes: 8 * MIB,
  libbpf: "v1.7",
};

function loads(name: string, missing: ObjectFacts["missing"] = []): ObjectFacts {
  return { name, missing, refusal: undefined };
}

function hook(program: string, tracepoint: string): ObjectFacts["missing"][number] {
  const why = `this kernel has no tracepoint ${tracepoint}`;
  return { program, section: `tp_btf/${tracepoint}`, why };
}

const GOOD: HostFacts = {
  kernel: KERNEL,
  userId: 0,
  objects: [loads("selection"), loads("socket_messages"), loads("socket_syscalls")],
  runtimeFolders: [{ path: "/run/containerd/x", isReadable: true }],
  proc: { processes: 50, refused: 0, isWholeHost: true },
  memory: { availableBytes: 4096 * MIB, limitBytes: Number.POSITIVE_INFINITY },
  listens: EVERYTHING.listens.map((place) => ({ place, failure: undefined })),
  connects: [],
};

function withObjects(...changed: readonly ObjectFacts[]): HostFacts {
  const names = new Set(changed.map((each) => each.name));
  return {
    ...GOOD,
    objects: [...GOOD.objects.filter((each) => !names.has(each.name)), ...changed],
  };
}

function finding(findings: readonly Finding[], id: string): Finding {
  const found = findings.find((each) => each.id === id);
  assert.ok(found !== undefined, `${id} among ${findings.map((each) => each.id).join(", ")}`);
  return found;
}

function find(host: HostFacts, id: string, needs: Needs = EVERYTHING): Finding {
  return finding(judge(host, needs), id);
}

test("on a host that has it all everything works, and nothing is advised", () => {
  const findings = judge(GOOD, EVERYTHING);
  assert.deepEqual(
    findings.filter((each) => each.verdict !== "works" || each.advice !== ""),
    [],
  );
  assert.equal(isSound(findings), true);
  assert.match(formatFindings("here", findings), /\n\nBackstitch works here\.\n$/);
});

test("before Linux 6.3 capture falls back to system calls, and io_uring is not seen", () => {
  const missing = [hook("socket_sent", "sock_send_length"), hook("socket_received", "x")];
  const findings = judge(withObjects(loads("socket_messages", missing)), EVERYTHING);
  const hooks = finding(findings, "hooks");
  assert.equal(hooks.verdict, "falls_back");
  assert.match(hooks.why, /syscalls.*no tracepoint sock_send_length/);
  assert.equal(finding(findings, "io_uring").verdict, "missing");
  assert.equal(isSound(findings), true, "it works, with less");
  assert.match(formatFindings("here", findings), /works here, with 2 limitations\.\n$/);
});

test("hooks: sock on a kernel without them is missing, hooks: syscalls is not touched", () => {
  const host = withObjects(loads("socket_messages", [hook("socket_sent", "sock_send_length")]));
  const sock = find(host, "hooks", { ...EVERYTHING, hooks: "sock" });
  assert.deepEqual([sock.verdict, sock.isEssential], ["missing", true]);
  assert.match(sock.advice, /Or set hooks: auto\./);
  const syscalls = find(host, "hooks", { ...EVERYTHING, hooks: "syscalls" });
  assert.equal(syscalls.verdict, "works");
  assert.equal(find(GOOD, "io_uring", { ...EVERYTHING, hooks: "syscalls" }).verdict, "missing");
});

test("optional hooks that are missing leave the capture as it is", () => {
  const missing = [
    hook("uring_waits", "io_uring_poll_arm"),
    hook("thread_switched", "sched_switch"),
  ];
  const host = withObjects(
    loads("socket_messages", missing),
    loads("selection", [hook("process_moved", "cgroup_attach_task")]),
  );
  assert.equal(find(host, "hooks").verdict, "works");
  for (const id of ["io_uring", "sleeps", "discovery"]) {
    assert.equal(find(host, id).verdict, "falls_back", id);
  }
});

test("uprobes that the kernel does not take leave the capture as it is", () => {
  const refusal = { errno: "EINVAL", message: "load: EINVAL" };
  const host: HostFacts = {
    ...GOOD,
    objects: [...GOOD.objects, { ...loads("tls"), refusal }],
  };
  const needs = { ...EVERYTHING, isConfigured: true };
  const tls = find(host, "programs:tls", needs);
  assert.deepEqual([tls.verdict, tls.isEssential], ["missing", false]);
  assert.equal(find(withObjects(loads("tls")), "programs:tls", needs).verdict, "works");
});

test("without privileges it says which capabilities, and ends unsound", () => {
  const capabilities = { ...KERNEL.capabilities, bpf: false, perfmon: false, sysPtrace: false };
  const refusal = { errno: "EPERM", message: "load: EPERM" };
  const host: HostFacts = {
    ...GOOD,
    userId: 65534,
    kernel: { ...KERNEL, capabilities, tracing: REFUSED, ringBuffer: REFUSED },
    objects: GOOD.objects.map((each) => ({ ...each, refusal })),
    proc: { processes: 50, refused: 48, isWholeHost: true },
  };
  const findings = judge(host, EVERYTHING);
  const privileges = finding(findings, "privileges");
  assert.match(privileges.why, /user 65534 has neither of CAP_BPF and CAP_PERFMON/);
  assert.match(finding(findings, "hooks").advice, /See Privileges/);
  assert.match(finding(findings, "proc").why, /48 of 50/);
  assert.equal(isSound(findings), false);
  assert.match(formatFindings("here", findings), /cannot do its work here\. Missing: Privileges;/);
});

test("CAP_SYS_ADMIN stands for both capabilities", () => {
  const capabilities = { ...KERNEL.capabilities, bpf: false, perfmon: false, sysAdmin: true };
  const host = { ...GOOD, kernel: { ...KERNEL, capabilities } };
  assert.equal(find(host, "privileges").verdict, "works");
});

test("no type information, lockdown and missing objects are essential, each with advice", () => {
  const noBtf: ProbeResult = { isSupported: false, errno: "ENOENT", advice: "Needs BTF." };
  const cases: readonly (readonly [HostFacts, string])[] = [
    [{ ...GOOD, kernel: { ...KERNEL, btf: noBtf } }, "btf"],
    [{ ...GOOD, kernel: { ...KERNEL, lockdown: "confidentiality" } }, "lockdown"],
    [{ ...GOOD, objects: [] }, "discovery"],
    [{ ...GOOD, objects: [] }, "hooks"],
  ];
  for (const [host, id] of cases) {
    const found = find(host, id);
    assert.deepEqual([found.verdict, found.isEssential], ["missing", true], id);
    assert.notEqual(found.advice, "", id);
  }
});

test("locked memory counts on kernels before 5.11 only", () => {
  const old = { ...GOOD, kernel: { ...KERNEL, release: "5.10.0-28-amd64" } };
  assert.equal(find(old, "locked_memory").verdict, "missing");
  assert.match(find(old, "locked_memory").advice, /LimitMEMLOCK/);
  const raised = { ...old.kernel, memlockBytes: Number.POSITIVE_INFINITY };
  assert.equal(find({ ...old, kernel: raised }, "locked_memory").verdict, "works");
  assert.equal(find(GOOD, "locked_memory").verdict, "works");
});

test("memory is what is available under the tightest limit", () => {
  const memory = (availableBytes: number, limitBytes: number): Finding =>
    find({ ...GOOD, memory: { availableBytes, limitBytes } }, "memory");
  assert.equal(memory(4096 * MIB, 64 * MIB).verdict, "missing");
  assert.match(memory(4096 * MIB, 256 * MIB).why, /control group allows 256 MiB/);
  assert.equal(memory(4096 * MIB, 256 * MIB).verdict, "falls_back");
  assert.equal(memory(100 * MIB, Number.POSITIVE_INFINITY).verdict, "missing");
  const wantsMore = { ...EVERYTHING, ringBytes: 1024 * MIB };
  const host = { ...GOOD, memory: { availableBytes: 1024 * MIB, limitBytes: 2048 * MIB } };
  assert.equal(find(host, "memory", wantsMore).verdict, "missing");
});

test("a port that is taken is essential only to a configuration that asks for it", () => {
  const [place] = EVERYTHING.listens;
  assert.ok(place !== undefined);
  const host = { ...GOOD, listens: [{ place, failure: "EADDRINUSE" }] };
  const id = "listen:receivers::otlp:4317";
  assert.deepEqual([find(host, id).verdict, find(host, id).isEssential], ["missing", false]);
  const configured = { ...EVERYTHING, isConfigured: true };
  assert.equal(find(host, id, configured).isEssential, true);
  assert.match(find(host, id).advice, /another endpoint/);
});

test("a destination that does not answer is a fallback: data waits", () => {
  const place = { owner: "exporters::otlp", host: "backend", port: 4317 };
  const host = { ...GOOD, connects: [{ place, failure: "ECONNREFUSED" }] };
  const found = find(host, "connect:exporters::otlp");
  assert.equal(found.verdict, "falls_back");
  assert.match(found.why, /ECONNREFUSED/);
});

test("containers: a pid namespace of its own, folders that are hidden or not there", () => {
  const inside = { ...GOOD, proc: { processes: 3, refused: 0, isWholeHost: false } };
  assert.match(find(inside, "proc").advice, /hostPID/);
  const hidden = { ...GOOD, runtimeFolders: [{ path: "/run/x", isReadable: false }] };
  assert.match(find(hidden, "containers").why, /^\/run\/x cannot be read/);
  const none = { ...GOOD, runtimeFolders: [] };
  assert.equal(find(none, "containers").verdict, "works", "nobody asked for containers");
  const configured = { ...EVERYTHING, isConfigured: true };
  assert.equal(find(none, "containers", configured).verdict, "falls_back");
});

test("what a configuration does not use is not judged", () => {
  const needs = { ...EVERYTHING, isConfigured: true, types: new Set(["otlp"]) };
  const host: HostFacts = {
    ...GOOD,
    kernel: { ...KERNEL, tracing: REFUSED, ringBuffer: REFUSED },
    objects: [...GOOD.objects, loads("ebpf_other", [hook("a", "b")])],
  };
  const findings = judge(host, needs);
  assert.equal(isSound(findings), true);
  for (const id of ["kernel", "discovery", "hooks", "io_uring", "proc", "programs:ebpf_other"]) {
    assert.equal(finding(findings, id).verdict, "unused", id);
  }
});

test("objects of further receivers are judged by themselves", () => {
  const uprobes = { program: "tls", section: "uprobe.multi", why: "uprobe.multi: EINVAL." };
  const refusal = { errno: "EINVAL", message: "load program x: EINVAL" };
  const host = withObjects(loads("ebpf_tls", [uprobes]), { name: "broken", missing: [], refusal });
  assert.match(find(host, "programs:ebpf_tls").why, /uprobe\.multi: EINVAL.*left out: tls/);
  const configured = {
    ...EVERYTHING,
    isConfigured: true,
    types: new Set(["ebpf_tls", "ebpf_tcp"]),
  };
  for (const name of ["tcp", "tcp_metrics", "ebpf_tcp"]) {
    const used = find(withObjects({ name, missing: [], refusal }), `programs:${name}`, configured);
    assert.deepEqual([used.verdict, used.isEssential], ["missing", true], name);
  }
  const broken = find(host, "programs:broken");
  assert.deepEqual([broken.verdict, broken.isEssential], ["missing", false]);
});
