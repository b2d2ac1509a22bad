// SPDX-License-Identifier: Apache-2.0
/**
 * What every component must do, as tests: for those of the registry, and for yours
 * (docs/components-of-your-own.md).
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import { of } from "rxjs";
import type { Component, Factory } from "../../src/component/component.ts";
import { decodeAt } from "../../src/config/decode.ts";
import { optionPaths } from "../../src/config/schema-keys.ts";
import { parseYaml } from "../../src/config/yaml-source.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import {
  activeResources,
  drainSignal,
  endAll,
  freePort,
  Harness,
  leavesNothing,
  poisonBatches,
  spansOf,
} from "./harness.ts";

export interface ContractSubject {
  readonly factory: Factory;
  /** Its body in a configuration, YAML in flow style; `port` is one that it may listen on. */
  readonly body: (port: number) => string;
  /** Pages that together name every option. */
  readonly readmes: readonly (string | URL)[];
  /** False: it needs more than a test can give to start. */
  readonly starts?: boolean;
}

/** Registers the tests. Call it at the top of a test file, once a component. */
export function testComponent(subject: ContractSubject): void {
  testConfig(subject);
  testUnstarted(subject);
  if (subject.starts === false) return;
  const { kind } = subject.factory;
  if (kind === "processor") testProcessor(subject);
  if (kind === "exporter") testExporter(subject);
  if (kind === "receiver") testReceiver(subject);
}

/** After each test what it has left is ended, so that one that failed does not keep the process. */
export function endAfterEach(): void {
  afterEach(endAll);
}

function nameOf({ factory }: ContractSubject): string {
  return `${factory.kind} ${factory.type}`;
}

function testConfig(subject: ContractSubject): void {
  const { factory, readmes } = subject;
  const name = nameOf(subject);

  test(`${name}: its name is in snake case`, () => {
    assert.match(factory.type, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
  });

  test(`${name}: an empty body gives defaults or says what is required`, () => {
    const result = factory.configSchema.safeParse({});
    if (result.success) return;
    assert.ok(result.error.issues.length > 0);
    for (const issue of result.error.issues) assert.notEqual(issue.message, "");
  });

  test(`${name}: an unknown key is refused`, () => {
    const result = factory.configSchema.safeParse({ no_such_key: 1 });
    const codes = result.error?.issues.map((issue) => issue.code) ?? [];
    assert.ok(codes.includes("unrecognized_keys"), codes.join());
  });

  test(`${name}: its README, or the page on shared options, names every option`, () => {
    const readme = readmes.map((page) => readFileSync(page, "utf8")).join();
    const missing = optionPaths(factory.configSchema)
      .filter((path) => !new RegExp(`\\b${path.at(-1)}\\b`).test(readme))
      .map((path) => path.join("::"));
    assert.deepEqual(missing, []);
  });
}

function testUnstarted(subject: ContractSubject): void {
  test(`${nameOf(subject)}: created and shut down twice without a start, it leaves nothing behind`, async () => {
    const port = await freePort();
    const before = activeResources();
    const component = create(subject, port);
    await component.shutdown(drainSignal());
    await component.shutdown(drainSignal());
    await leavesNothing(before);
  });
}

function create({ factory, body }: ContractSubject, port: number): Component {
  const source = { name: "body", text: body(port), order: 0 };
  const result = decodeAt(factory.configSchema, { root: parseYaml(source, []), path: [] });
  assert.ok("value" in result, `the body of ${factory.type} is right`);
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: factory.type, telemetry, buildInfo: { version: "0" } };
  switch (factory.kind) {
    case "receiver":
      return factory.create(
        { ...settings, signals: new Set(factory.signals), demand: of(true) },
        result.value,
      );
    case "processor":
      return factory.create({ ...settings, signal: "traces", pipelineId: "traces" }, result.value);
    case "exporter":
      return factory.create({ ...settings, signal: factory.signals[0] ?? "traces" }, result.value);
    case "connector": {
      const [pair] = factory.pairs;
      assert.ok(pair !== undefined);
      return factory.create({ ...settings, ...pair }, result.value);
    }
    case "extension":
      return factory.create(settings, result.value);
  }
}

function partOf({ factory, body }: ContractSubject, port: number): string {
  return `${factory.type}: ${body(port)}`;
}

function testProcessor(subject: ContractSubject): void {
  const { factory } = subject;
  if (!factory.kind.startsWith("processor") || !carriesTraces(factory)) return;

  test(`processor ${factory.type}: what goes in comes out, also what it held at shutdown`, async () => {
    const part = partOf(subject, await freePort());
    const before = activeResources();
    const harness = new Harness({ processor: part, factories: [factory] });
    await harness.topology.start();
    for (let at = 0; at < 20; at++) harness.emit(spansOf(5, at));
    await harness.topology.shutdown(drainSignal());
    assert.equal(harness.itemsDelivered, 100);
    assert.deepEqual(harness.tally, { emitted: 20, settled: 20, refused: 0 });
    assert.deepEqual(harness.broken, []);
    await leavesNothing(before);
  });

  test(`processor ${factory.type}: a poison batch costs itself only`, async () => {
    const part = partOf(subject, await freePort());
    const harness = new Harness({ processor: part, factories: [factory] });
    await harness.topology.start();
    for (const batch of poisonBatches()) harness.emit(batch);
    harness.emit(spansOf(5, 1));
    await harness.topology.shutdown(drainSignal());
    assert.deepEqual(harness.broken, []);
    assert.ok(harness.itemsDelivered >= 5);
    assert.equal(harness.tally.settled, harness.tally.emitted);
  });
}

function carriesTraces(factory: Factory): boolean {
  return "signals" in factory && factory.signals.includes("traces");
}

function testExporter(subject: ContractSubject): void {
  const { factory } = subject;
  if (!carriesTraces(factory)) return;

  test(`exporter ${factory.type}: a poison batch does not stop it`, async () => {
    const exporter = partOf(subject, await freePort());
    const harness = new Harness({ exporter, factories: [factory] });
    await harness.topology.start();
    for (const batch of poisonBatches()) harness.emit(batch);
    harness.emit(spansOf(5, 1));
    await harness.topology.shutdown(AbortSignal.timeout(300));
    assert.deepEqual(harness.broken, []);
    assert.equal(harness.tally.settled, harness.tally.emitted);
  });
}

function testReceiver(subject: ContractSubject): void {
  const { factory } = subject;
  if (factory.kind !== "receiver") return;

  test(`receiver ${factory.type}: started and shut down twice, it leaves nothing behind`, async () => {
    const receiver = partOf(subject, await freePort());
    const before = activeResources();
    const signal = factory.signals.includes("traces") ? undefined : factory.signals[0];
    const harness = new Harness({ receiver, signal, factories: [factory] });
    await harness.topology.start();
    await harness.topology.shutdown(drainSignal());
    await harness.topology.shutdown(drainSignal());
    await leavesNothing(before);
  });
}
