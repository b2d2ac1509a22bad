// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "./config.ts";
import { compileGlob } from "./glob.ts";
import { type Matchable, Matcher } from "./matcher.ts";

const ID = "0123456789ab".padEnd(64, "c");

const WEB: Matchable = {
  pid: 42,
  isInit: false,
  exe: "/usr/sbin/nginx",
  command: "nginx: master process /usr/sbin/nginx -g daemon off;",
  cgroups: ["/system.slice/nginx.service/workers"],
  container: { id: ID, name: "shop-web-1" },
  ports: new Set([80, 9005]),
};

function matcher(targets: unknown, exclude: unknown = []): Matcher {
  const config = configSchema.parse({ targets, exclude });
  return new Matcher(config.targets, config.exclude);
}

function isMatch(target: unknown, process: Partial<Matchable> = {}): boolean {
  return matcher([target]).targetOf({ ...WEB, ...process }) === 1;
}

test("each criterion matches what it should and nothing else", () => {
  const cases: readonly (readonly [unknown, boolean])[] = [
    [{ pids: [41, 42] }, true],
    [{ pids: [4] }, false],
    [{ exe: "/usr/sbin/nginx" }, true],
    [{ exe: "*/nginx" }, true],
    [{ exe: "nginx" }, true],
    [{ exe: "ngin?" }, true],
    [{ exe: "sbin" }, false],
    [{ exe: "/usr/sbin" }, false],
    [{ command: "daemon off" }, true],
    [{ command: "^nginx: master" }, true],
    [{ command: "^master" }, false],
    [{ ports: 80 }, true],
    [{ ports: "9000-9010" }, true],
    [{ ports: "81-9000" }, false],
    [{ cgroup: "/system.slice/nginx.service*" }, true],
    [{ cgroup: "nginx.service" }, true],
    [{ cgroup: "nginx" }, false],
    [{ cgroup: "/system.slice" }, false],
    [{ container: "shop-*" }, true],
    [{ container: "shop" }, false],
    [{ container: ID }, true],
    [{ container: ID.slice(0, 12) }, true],
    [{ container: ID.slice(0, 20) }, true],
    [{ container: ID.slice(0, 6) }, false],
    [{ container: `${ID.slice(0, 6)}*` }, true],
  ];
  for (const [target, expected] of cases) {
    assert.equal(isMatch(target), expected, JSON.stringify(target));
  }
});

test("all criteria of a target must hold, and one target is enough", () => {
  assert.equal(isMatch({ exe: "nginx", ports: 80 }), true);
  assert.equal(isMatch({ exe: "nginx", ports: 81 }), false);
  assert.equal(matcher([{ exe: "node" }, { exe: "nginx" }, { ports: 80 }]).targetOf(WEB), 2);
});

test("no targets match nothing", () => {
  assert.equal(matcher([]).targetOf(WEB), 0);
  assert.equal(matcher([]).isExcluded(WEB), false);
});

test("the host's init, which holds the sockets of others, is selected by its id only", () => {
  const init = { pid: 1, isInit: true };
  assert.equal(isMatch({ ports: 80 }, init), false);
  assert.equal(isMatch({ exe: "*" }, init), false);
  assert.equal(isMatch({ pids: [1] }, init), true);
});

test("facts that are not asked for are not read", () => {
  const unread: Matchable = {
    ...WEB,
    get command(): string {
      throw new Error("read");
    },
  };
  assert.equal(matcher([{ exe: "node", command: "x" }]).targetOf(unread), 0);
});

test("the kernel is asked to report no more than the criteria need", () => {
  const none = { execs: false, cgroups: false, ports: false, forks: false };
  assert.deepEqual(matcher([{ pids: [1] }]).needs, none);
  assert.deepEqual(matcher([{ ports: 80 }]).needs, { ...none, ports: true });
  assert.deepEqual(matcher([{ exe: "x" }]).needs, { ...none, execs: true });
  assert.deepEqual(matcher([{ container: "x" }]).needs, { ...none, execs: true, cgroups: true });
  assert.deepEqual(matcher([{ pids: [1] }], [{ ports: 1 }]).needs, { ...none, ports: true });
  assert.deepEqual(matcher([{ pids: [1] }], [{ pids: [2] }]).needs, { ...none, forks: true });
});

test("globs have sets, alternatives and escapes", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["python3.[0-9]*", "python3.11", true],
    ["python3.[!0-9]*", "python3.11", false],
    ["{node,deno}", "deno", true],
    ["{node,deno}", "bun", false],
    ["a.b", "axb", false],
    ["/opt/**/java", "/opt/jdk/21/bin/java", true],
    ["\\*", "*", true],
    ["\\*", "x", false],
    ["a,b", "a,b", true],
    ["a?c", "a/c", false],
    ["(x)", "(x)", true],
  ];
  for (const [glob, text, expected] of cases) {
    assert.equal(compileGlob(glob).test(text), expected, `${glob} on ${text}`);
  }
  assert.throws(() => compileGlob("{a"), SyntaxError);
});
