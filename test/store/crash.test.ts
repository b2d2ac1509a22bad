// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { QueryClock } from "../../src/store/query-clock.ts";
import { StoreReader } from "../../src/store/store-reader.ts";
import {
  body,
  hex,
  openStore,
  temporaryDirectory,
  testSpan,
} from "../../src/store/test-support.ts";
import { traceIdBytes, visitTrace } from "../../src/store/trace.ts";
import { eventually } from "../support/eventually.ts";
import { type SmallDisk, smallDisk } from "./small-disk.ts";

const ROUNDS = 8;

/** Numbers of the last spans that were said to be in a file, after a kill at a random moment. */
async function writeUntilKilled(directory: string, first: number): Promise<number> {
  const main = join(import.meta.dirname, "crash-main.ts");
  const child = spawn(process.execPath, [main, directory, String(first)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (some: string) => {
    text += some;
  });
  while (!text.includes("\n")) await once(child.stdout, "data");
  await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 150));
  child.kill("SIGKILL");
  await once(child, "close");
  assert.ok(!text.includes("dropped"), text);
  return Number(text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1));
}

test("a writer killed again and again loses nothing that it has written", async (context) => {
  const directory = await temporaryDirectory(context);
  let acknowledged = 0;
  for (let round = 0; round < ROUNDS; round++) {
    acknowledged = Math.max(acknowledged, await writeUntilKilled(directory, acknowledged));
    const reader = new StoreReader(directory, Date.now);
    const seen = new Set<string>();
    for (let trace = 0; trace * 10 < acknowledged; trace++) {
      const traceId = traceIdBytes(hex(1 + trace, 32)) ?? Buffer.alloc(16);
      await visitTrace(reader, { traceId, clock: new QueryClock(10_000) }, (span) => {
        seen.add(span.spanId);
        return true;
      });
    }
    const missing = Array.from({ length: acknowledged }, (_, at) => hex(1 + at, 16)).filter(
      (id) => !seen.has(id),
    );
    assert.deepEqual(missing, [], `round ${round}`);
    assert.deepEqual(reader.facts()?.setAside, []);
    reader.close();
  }
  assert.ok(acknowledged >= 50 * ROUNDS, `only ${acknowledged} spans were written`);
});

test("another process reads what is being written, all that is said to be in a file", async (context) => {
  const directory = await temporaryDirectory(context);
  const main = join(import.meta.dirname, "crash-main.ts");
  const child = spawn(process.execPath, [main, directory, "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const reader = new StoreReader(directory, Date.now);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (some: string) => {
    text += some;
  });
  try {
    let written = 0;
    for (let round = 0; round < 20; round++) {
      const before = text.length;
      while (text.length === before || !text.includes("\n")) await once(child.stdout, "data");
      written = Number(text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1));
      // The reader looks at the directory anew after 200 ms; nothing that was there is missing then.
      const traceId = traceIdBytes(hex(written / 10, 32)) ?? Buffer.alloc(16);
      const clock = new QueryClock(60_000);
      const seen = await eventually(
        async () => (await visitTrace(reader, { traceId, clock }, () => true)).found,
        (found) => found === 10,
        30_000,
      );
      assert.equal(seen, 10, `the trace of span ${written - 1}`);
    }
    assert.deepEqual(reader.facts()?.setAside, []);
    await assert.rejects(openStore(context, directory), /writes there\. Stop it/);
  } finally {
    reader.close();
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  }
});

test("a full disk costs what does not fit, counted, and writing goes on when there is room", async (context) => {
  const directory = await temporaryDirectory(context);
  await mkdir(join(directory, "mount"));
  const mounted = join(directory, "mount");
  const disk = await smallDisk(mounted);
  try {
    await fillAndGoOn(context, { mounted, disk });
  } finally {
    await disk.remove();
  }
});

async function fillAndGoOn(
  context: TestContext,
  { mounted, disk }: { readonly mounted: string; readonly disk: SmallDisk },
): Promise<void> {
  const { writer, dropped, lines } = await openStore(context, mounted);
  let sent = 0;
  const send = async (): Promise<void> => {
    const noise = Array.from({ length: 200 }, (_, at) =>
      testSpan(sent + at, {
        attributes: [{ key: "k", value: { stringValue: Math.random().toString(36).repeat(20) } }],
      }),
    );
    await writer.append({ chunks: [body("full", noise)] });
    await writer.flush();
    sent += 200;
  };
  while ((dropped.get("disk_full") ?? 0) === 0 && sent < 200_000) await send();
  assert.ok((dropped.get("disk_full") ?? 0) > 0, "the disk never filled");
  assert.match(lines.join("\n"), /ENOSPC/);
  assert.equal(writer.failing, "disk_full");
  await disk.enlarge();
  await send();
  assert.equal(writer.failing, undefined);
  await writer.close();
  const reader = new StoreReader(mounted, Date.now);
  assert.equal(reader.facts()?.spans, sent - (dropped.get("disk_full") ?? 0));
  assert.equal(reader.facts()?.spans, writer.written);
  reader.close();
}
