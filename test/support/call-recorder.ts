// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Protocol } from "../../src/model/protocol.ts";
import { callLine } from "../../src/protocols/calls-testing.ts";
import { observeAll } from "./message-recorder.ts";
import type { RecordingProxy } from "./recording-proxy.ts";

/** The lines of all spans at that end, by connection; throws when anything was lost. */
export function callLines(
  protocol: Protocol,
  proxy: RecordingProxy,
  role: "client" | "server",
): readonly (readonly string[])[] {
  return observeAll(protocol, proxy, role).map(({ ended, losses }, index) => {
    if (losses.length > 0) throw new Error(`Connection ${index} lost: ${losses.join(", ")}`);
    return ended.map(callLine);
  });
}

/** With UPDATE_GOLDENS=1 writes each connection as a golden, for calls.golden.test.ts. */
export function updateCallGoldens(protocol: Protocol, proxy: RecordingProxy, title: string): void {
  if (process.env["UPDATE_GOLDENS"] !== "1") return;
  const folder = join(import.meta.dirname, `../../src/protocols/${protocol.name}/goldens`);
  mkdirSync(folder, { recursive: true });
  const lines = callLines(protocol, proxy, "client");
  const served = callLines(protocol, proxy, "server");
  proxy.connections.forEach(({ parts }, index) => {
    const isSame = JSON.stringify(served[index]) === JSON.stringify(lines[index]);
    const golden = {
      title: `${title}, connection ${index}`,
      records: parts.map(({ from, bytes }) => ({ from, text: bytes.toString("latin1") })),
      close: 0,
      spans: lines[index],
      ...(isSame ? {} : { served: served[index] }),
    };
    const name = `${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}-${index}.json`;
    writeFileSync(join(folder, name), `${JSON.stringify(golden, undefined, 2)}\n`);
  });
}
