// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "./config.ts";

function problems(value: unknown): readonly string[] {
  const result = configSchema.safeParse(value);
  return result.success
    ? []
    : result.error.issues.map((issue) => `${issue.path.join("::")}: ${issue.message}`);
}

test("an empty configuration selects nothing and looks at all processes every 10 s", () => {
  assert.deepEqual(configSchema.parse({}), { targets: [], exclude: [], poll_interval: 10_000 });
});

test("ports are numbers, texts, ranges and lists of them", () => {
  const ports = (value: unknown): unknown =>
    configSchema.parse({ targets: [{ ports: value }] }).targets[0]?.ports;
  assert.deepEqual(ports(8080), [{ from: 8080, to: 8080 }]);
  assert.deepEqual(ports("9000-9010"), [{ from: 9000, to: 9010 }]);
  assert.deepEqual(ports("80, 8000 - 8001"), [
    { from: 80, to: 80 },
    { from: 8000, to: 8001 },
  ]);
  assert.deepEqual(ports([443, "9000-9010"]), [
    { from: 443, to: 443 },
    { from: 9000, to: 9010 },
  ]);
});

test("a single process id stands for a list of one", () => {
  assert.deepEqual(configSchema.parse({ targets: [{ pids: 7 }] }).targets[0]?.pids, [7]);
});

test("what is wrong with a target is said at its place", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{}, /^targets::0: needs at least one of pids, exe, command, ports, cgroup, container/],
    [{ name: "x" }, /^targets::0: needs at least one of/],
    [{ ports: "9010-9000" }, /^targets::0::ports: "9010-9000": the range ends before it starts/],
    [{ ports: 70_000 }, /^targets::0::ports: "70000": ports are 1 to 65535/],
    [{ ports: "http" }, /^targets::0::ports: "http" is not a port\. Write/],
    [{ command: "(" }, /^targets::0::command: Invalid regular expression/],
    [{ exe: "[a" }, /^targets::0::exe: glob "\[a": "\[" without "\]"/],
    [{ exe: "" }, /^targets::0::exe: must not be empty/],
    [{ exe: "x", prots: 1 }, /Unrecognized key: "prots"/],
    [{ pids: [0] }, /^targets::0::pids/],
    [
      { exe: "x", protocol: "reddis" },
      /^targets::0::protocol: there is no protocol "reddis". Known: /,
    ],
    [{ exe: "x", disabled_protocols: ["none"] }, /^targets::0::disabled_protocols::0: there is no/],
  ];
  for (const [target, expected] of cases) {
    assert.match(problems({ targets: [target] })[0] ?? "accepted", expected);
  }
});

test("an exclusion has the same criteria and no name", () => {
  assert.deepEqual(problems({ exclude: [{ exe: "envoy" }] }), []);
  assert.match(problems({ exclude: [{ exe: "envoy", name: "x" }] })[0] ?? "", /"name"/);
  assert.match(problems({ exclude: [{}] })[0] ?? "", /^exclude::0: needs at least one of/);
});
