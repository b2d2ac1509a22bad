// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { type Direction, type Protocol, RECEIVED, SENT } from "../model/protocol.ts";
import { createDetectingParser, type DetectingParser } from "./detection.ts";
import { PROTOCOLS } from "./registry.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "./testing.ts";

/** Every protocol's captures, detected among all protocols: none may be taken for another. */
const goldenSchema = z.object({
  title: z.string(),
  records: z
    .array(
      z.object({
        from: z.enum(["client", "server"]),
        text: z.string().optional(),
        hex: z.string().optional(),
      }),
    )
    .min(1),
});

/** Nobody's. */
const FOREIGN_PORT = 40_001;
const CLIENT_PORT = 50_001;
const OPTIONS = { ...TEST_OPTIONS, pipelinedMax: 256 };

interface Piece {
  readonly direction: Direction;
  readonly position: number;
  readonly bytes: Uint8Array;
}

interface Golden {
  readonly title: string;
  readonly pieces: readonly Piece[];
}

function goldensOf(protocol: Protocol): Golden[] {
  const folder = new URL(`./${protocol.name}/goldens/`, import.meta.url);
  if (!existsSync(folder)) return [];
  const goldens: Golden[] = [];
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    const text = readFileSync(new URL(file, folder), "utf8");
    const parsed = goldenSchema.safeParse(JSON.parse(text));
    if (!parsed.success) continue;
    const positions = [0, 0];
    const pieces = parsed.data.records.map(({ from, text: latin1, hex }): Piece => {
      const bytes =
        hex === undefined ? Buffer.from(latin1 ?? "", "latin1") : Buffer.from(hex, "hex");
      const direction = from === "client" ? RECEIVED : SENT;
      const position = positions[direction] ?? 0;
      positions[direction] = position + bytes.length;
      return { direction, position, bytes };
    });
    goldens.push({ title: parsed.data.title, pieces });
  }
  return goldens;
}

interface Run {
  readonly parser: DetectingParser;
  readonly ended: number;
}

function detect(pieces: readonly Piece[], localPort: number): Run {
  const made: DetectingParser[] = [];
  const observed = new Observed(
    {
      name: "detected",
      detect: () => "no",
      createParser: (options, events) => {
        const endpoint = { localPort, remotePort: CLIENT_PORT, transport: "tcp" } as const;
        const parser = createDetectingParser(options, events, endpoint);
        made.push(parser);
        return parser;
      },
    },
    OPTIONS,
  );
  feed(observed, pieces);
  const [parser] = made;
  assert.ok(parser);
  return { parser, ended: observed.ended.length };
}

function feed({ parser }: Observed, pieces: readonly Piece[]): void {
  let timeNs = 0;
  for (const piece of pieces) {
    timeNs += 1000;
    parser.data(new TestRecord({ ...piece, timeNs }));
  }
  parser.close(timeNs + 1000, 0);
}

for (const protocol of PROTOCOLS) {
  const goldens = goldensOf(protocol);
  if (goldens.length === 0) continue;
  const port = protocol.ports?.[0] ?? FOREIGN_PORT;
  describe(`detection of ${protocol.name}`, () => {
    for (const { title, pieces } of goldens) {
      it(`finds it on its port with every exchange: ${title}`, () => {
        const { parser, ended } = detect(pieces, port);
        assert.equal(parser.protocol?.name, protocol.name);
        const direct = new Observed(protocol, OPTIONS);
        feed(direct, pieces);
        assert.equal(ended, direct.ended.length);
      });

      it(`takes it for nothing else on another port, or from any record on: ${title}`, () => {
        const starts = Math.min(pieces.length, 40);
        for (const at of [port, FOREIGN_PORT]) {
          for (let first = 0; first < starts; first++) {
            const { parser } = detect(pieces.slice(first), at);
            const name = parser.protocol?.name ?? protocol.name;
            assert.equal(name, protocol.name, `from record ${first} on, port ${at}`);
            assert.notEqual(parser.verdict, "tls");
          }
        }
      });
    }
  });
}
