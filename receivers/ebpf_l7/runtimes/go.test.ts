// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { RUNTIME_GO } from "../../../bpf/generated/wire.ts";
import { buildGo } from "../../../test/support/go-app.ts";
import { planGo, returnOnX86, stackCheckEnd } from "./go.ts";

const BODY = [0x90, 0x90];
/** As go tool objdump shows runtime.newproc1 of Go 1.26 and of Go 1.20. */
const PROLOGUE = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x50];
const EPILOGUE = [0x48, 0x83, 0xc4, 0x50, 0x5d, 0xc3];
const OLD_PROLOGUE = [0x48, 0x83, 0xec, 0x48, 0x48, 0x89, 0x6c, 0x24, 0x40];
const OLD_EPILOGUE = [0x48, 0x8b, 0x6c, 0x24, 0x40, 0x48, 0x83, 0xc4, 0x48, 0xc3];

test("the return is found by the whole epilogue that belongs to the prologue", () => {
  for (const [prologue, epilogue] of [
    [PROLOGUE, EPILOGUE],
    [OLD_PROLOGUE, OLD_EPILOGUE],
  ] as const) {
    const code = Buffer.from([...prologue, ...BODY, ...epilogue]);
    assert.equal(returnOnX86(code), code.length - 1);
  }
});

test("what is not certain is not probed", () => {
  const other = [0x48, 0x83, 0xc4, 0x58, 0x5d, 0xc3];
  assert.equal(returnOnX86(Buffer.from([...PROLOGUE, ...BODY, ...other])), undefined);
  assert.equal(returnOnX86(Buffer.from([...PROLOGUE, ...EPILOGUE, ...EPILOGUE])), undefined);
  assert.equal(returnOnX86(Buffer.from([0xc3])), undefined);
  assert.equal(returnOnX86(Buffer.alloc(0)), undefined);
});

test("the probe at a start goes behind the stack check, to an instruction that is emulated", () => {
  // As go tool objdump shows net/http.(*persistConn).roundTrip of Go 1.26.
  const large = "4c8da42458feffff4d3b66100f86680e000055";
  assert.equal(stackCheckEnd(Buffer.from(large, "hex")), 18);
  assert.equal(stackCheckEnd(Buffer.from("493b6610762055", "hex")), 6);
  assert.equal(stackCheckEnd(Buffer.from("493b66107620ff", "hex")), 0);
  assert.equal(stackCheckEnd(Buffer.from("c3", "hex")), 0);
});

test("a Go program with an HTTP client has two places to probe", async () => {
  const plan = planGo(await buildGo("truth/go"));
  assert.ok(plan !== undefined && "probes" in plan);
  assert.equal(plan.kind, RUNTIME_GO);
  assert.match(plan.version, /^go1\.\d+/);
  assert.deepEqual(
    plan.probes.map((probe) => probe.program),
    ["go_round_trip", "go_created"],
  );
  const fewer = planGo(await buildGo("truth/go"), false);
  assert.ok(fewer !== undefined && "probes" in fewer);
  assert.equal(fewer.probes.length, 1);
});

test("what is no Go program has no plan", () => {
  assert.equal(planGo(process.execPath), undefined);
  assert.equal(planGo(import.meta.filename), undefined);
  assert.equal(planGo("/nowhere"), undefined);
});
