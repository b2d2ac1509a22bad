// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ParserOptions, Protocol } from "../../src/model/protocol.ts";
import { RECEIVED, SENT } from "../../src/model/protocol.ts";
import { messagingLine } from "../../src/protocols/messaging-testing.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "../../src/protocols/testing.ts";
import type { RecordedConnection, RecordingProxy } from "./recording-proxy.ts";

const OPTIONS: ParserOptions = { ...TEST_OPTIONS, pipelinedMax: 256 };

function observe(
  protocol: Protocol,
  connection: RecordedConnection,
  role: "client" | "server",
  options: ParserOptions,
): Observed {
  const observed = new Observed(protocol, options);
  const positions = [0, 0];
  connection.parts.forEach(({ from, bytes }, index) => {
    const direction = from === role ? SENT : RECEIVED;
    const position = positions[direction] ?? 0;
    positions[direction] = position + bytes.length;
    observed.parser.data(
      new TestRecord({ direction, position, bytes, timeNs: 1000 * (index + 1) }),
    );
  });
  observed.parser.close(1e9, 0);
  return observed;
}

/** What the parser makes of all connections at that end, as one service. */
export function observeAll(
  protocol: Protocol,
  proxy: RecordingProxy,
  role: "client" | "server",
): readonly Observed[] {
  const options = { ...OPTIONS };
  return proxy.connections.map((connection) => observe(protocol, connection, role, options));
}

/**
 * With UPDATE_GOLDENS=1 writes each connection as a golden of the protocol, with the lines of its
 * spans as they are now: review the difference.
 */
export function updateGoldens(protocol: Protocol, proxy: RecordingProxy, title: string): void {
  if (process.env["UPDATE_GOLDENS"] !== "1") return;
  const folder = join(import.meta.dirname, `../../src/protocols/${protocol.name}/goldens`);
  mkdirSync(folder, { recursive: true });
  proxy.connections.forEach((connection, index) => {
    const golden = {
      title: `${title}, connection ${index}`,
      records: connection.parts.map(({ from, bytes }) => ({ from, hex: bytes.toString("hex") })),
      close: 0,
      spans: observe(protocol, connection, "client", { ...OPTIONS }).ended.map(messagingLine),
    };
    const name = `${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}-${index}.json`;
    writeFileSync(join(folder, name), `${JSON.stringify(golden, undefined, 2)}\n`);
  });
}
