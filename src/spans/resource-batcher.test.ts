// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SelectedProcess } from "../model/process.ts";
import { countItems } from "../pdata/count.ts";
import { ResourceBatcher } from "./resource-batcher.ts";

function processNamed(serviceName: string): SelectedProcess {
  return { pid: 1, serviceName, attributes: new Map() };
}

function add(batcher: ResourceBatcher, process: SelectedProcess, name: string): void {
  const span = batcher.begin(process);
  span.name(name);
  span.end();
  batcher.end();
}

describe("ResourceBatcher", () => {
  it("gives one chunk a process, and nothing when nothing came", () => {
    const batcher = new ResourceBatcher({ version: "1" });
    const [shop, stock] = [processNamed("shop"), processNamed("stock")];
    assert.equal(batcher.take(), undefined);
    add(batcher, shop, "a");
    add(batcher, stock, "b");
    add(batcher, shop, "c");
    assert.equal(batcher.items, 3);
    const batch = batcher.take();
    assert.equal(batch?.items, 3);
    assert.deepEqual(
      batch?.chunks.map((chunk) => countItems("traces", chunk)),
      [2, 1],
    );
    assert.equal(batcher.take(), undefined);
    add(batcher, stock, "d");
    assert.equal(batcher.take()?.items, 1);
  });

  it("leaves out a span that was interrupted", () => {
    const batcher = new ResourceBatcher({ version: "1" });
    const shop = processNamed("shop");
    add(batcher, shop, "a");
    batcher.begin(shop).name("interrupted");
    add(batcher, shop, "b");
    batcher.begin(shop).name("interrupted too");
    const batch = batcher.take();
    assert.equal(countItems("traces", batch?.chunks[0] ?? new Uint8Array()), 2);
    const text = Buffer.from(batch?.chunks[0] ?? new Uint8Array()).toString("latin1");
    assert.ok(!text.includes("interrupted"));
  });

  it("is full at 512 spans or at a mebibyte", () => {
    const batcher = new ResourceBatcher({ version: "1" });
    const shop = processNamed("shop");
    for (let count = 0; count < 511; count++) add(batcher, shop, "a");
    assert.equal(batcher.full, false);
    add(batcher, shop, "a");
    assert.equal(batcher.full, true);
    batcher.take();
    assert.equal(batcher.full, false);
    add(batcher, shop, "x".repeat(1024 * 1024));
    assert.equal(batcher.full, true);
    assert.equal(batcher.take()?.items, 1);
  });

  it("splits the spans of a busy process into chunks", () => {
    const batcher = new ResourceBatcher({ version: "1" });
    const shop = processNamed("shop");
    for (let count = 0; count < 500; count++) add(batcher, shop, "x".repeat(300));
    const batch = batcher.take();
    const counts = batch?.chunks.map((chunk) => countItems("traces", chunk)) ?? [];
    assert.ok(counts.length > 2);
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      500,
    );
    assert.equal(batch?.items, 500);
    for (const chunk of batch?.chunks ?? []) assert.ok(chunk.length < 64 * 1024);
  });

  it("hands out bytes that later spans do not touch", () => {
    const batcher = new ResourceBatcher({ version: "1" });
    const shop = processNamed("shop");
    add(batcher, shop, "first");
    const chunk = batcher.take()?.chunks[0] ?? new Uint8Array();
    const before = Buffer.from(chunk).toString("hex");
    for (let count = 0; count < 100; count++) add(batcher, shop, "later");
    batcher.take();
    assert.equal(Buffer.from(chunk).toString("hex"), before);
  });
});
