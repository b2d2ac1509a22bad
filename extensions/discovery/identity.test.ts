// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeProc, type FakeProcess } from "./fake-host.ts";
import { identify, parseResourceAttributes } from "./identity.ts";
import { type ProcessFacts, ProcFs, parseCgroups, parseStat } from "./process-facts.ts";

const ID = "c".repeat(64);
const NO_PORTS: ReadonlySet<number> = new Set();

/** Runs `judge` on the facts of one process. */
function withFacts<T>(process: Omit<FakeProcess, "pid">, judge: (facts: ProcessFacts) => T): T {
  using proc = new FakeProc();
  proc.add({ pid: 7, ...process });
  const procFs = new ProcFs(proc.path, { nameOf: (id) => (id === ID ? "cart" : undefined) });
  const stat = procFs.stat(7);
  assert.ok(stat);
  return judge(procFs.facts(7, stat, NO_PORTS));
}

function serviceName(process: Omit<FakeProcess, "pid">, targetName?: string): string {
  return withFacts(process, (facts) => identify(facts, { targetName, hostName: "h" }).serviceName);
}

test("the service's name is the first that is known, in the documented order", () => {
  const python = { exe: "/usr/bin/python3", args: ["python3", "prices.py"] };
  const inContainer = { ...python, cgroup: `/docker/${ID}` };
  const attributes = { OTEL_RESOURCE_ATTRIBUTES: "service.name=fromattributes,team=blue" };
  const both = { ...attributes, OTEL_SERVICE_NAME: "fromname" };
  assert.equal(serviceName({ ...inContainer, environment: both }, "target"), "fromname");
  assert.equal(
    serviceName({ ...inContainer, environment: attributes }, "target"),
    "fromattributes",
  );
  assert.equal(serviceName({ ...inContainer, environment: { OTEL_SERVICE_NAME: " " } }, "t"), "t");
  assert.equal(serviceName(inContainer), "cart");
  assert.equal(serviceName({ ...python, cgroup: `/docker/${"d".repeat(64)}` }), "prices");
  assert.equal(serviceName(python), "prices");
  assert.equal(serviceName({ exe: "/usr/sbin/nginx (deleted)" }), "nginx");
});

test("a process in a pod has the pod's uid", () => {
  const uid = "0f4e2d6a-1111-2222-3333-444455556666";
  const cgroup = `/kubepods/burstable/pod${uid}/${ID}`;
  const { attributes } = withFacts({ exe: "/bin/app", cgroup }, (facts) =>
    identify(facts, { targetName: undefined, hostName: "h" }),
  );
  assert.equal(attributes.get("k8s.pod.uid"), uid);
  assert.equal(attributes.get("container.id"), ID);
});

test("a process is described without its arguments", () => {
  const given = {
    exe: "/usr/bin/node",
    args: ["node", "shop.js", "--password=x"],
    cgroup: `/docker/${ID}`,
    environment: { OTEL_RESOURCE_ATTRIBUTES: "team=blue,process.pid=1", SECRET: "x" },
  };
  const { attributes } = withFacts(given, (facts) =>
    identify(facts, { targetName: undefined, hostName: "here" }),
  );
  assert.deepEqual(Object.fromEntries(attributes), {
    "host.name": "here",
    "process.executable.name": "node",
    "process.runtime.name": "nodejs",
    "container.id": ID,
    "container.name": "cart",
    team: "blue",
    "process.pid": 7,
  });
});

test("resource attributes are decoded, and a faulty text is discarded as a whole", () => {
  assert.deepEqual(Object.fromEntries(parseResourceAttributes("a=1, b=x%2Cy ,")), {
    a: "1",
    b: "x,y",
  });
  for (const text of ["", "a", "=1", "a=1,b", "a=%zz"]) {
    assert.equal(parseResourceAttributes(text).size, 0, text);
  }
});

test("resource attributes are bounded in number and length", () => {
  const many = Array.from({ length: 100 }, (_, at) => `k${at}=${"v".repeat(5000)}`).join();
  const attributes = parseResourceAttributes(many);
  assert.equal(attributes.size, 32);
  assert.equal(attributes.get("k0")?.length, 1024);
});

test("a variable is found by its whole name", () => {
  const environment = { XOTEL_SERVICE_NAME: "no", A: "OTEL_SERVICE_NAME=no", B: "" };
  assert.equal(
    withFacts({ environment }, (f) => f.environment.OTEL_SERVICE_NAME),
    undefined,
  );
  const later = { ...environment, OTEL_SERVICE_NAME: "yes" };
  assert.equal(
    withFacts({ environment: later }, (f) => f.environment.OTEL_SERVICE_NAME),
    "yes",
  );
});

test("a name with blanks and parentheses does not shift the fields of stat", () => {
  const text = `7 (a) b (c) S 3 ${Array.from({ length: 17 }, () => "0").join(" ")} 812 0`;
  assert.deepEqual(parseStat(text), { name: "a) b (c", startTicks: 812 });
  assert.equal(parseStat(""), undefined);
  assert.equal(parseStat("7 (x) S"), undefined);
});

test("cgroup paths of both versions are read, the unified one first and each once", () => {
  const text = "5:devices:/a\n4:memory:/b:c\n1:name=systemd:/a\n0::/u\n";
  assert.deepEqual(parseCgroups(text), ["/u", "/a", "/b:c"]);
});
