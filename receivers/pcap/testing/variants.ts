// SPDX-License-Identifier: Apache-2.0
/** Recorded conversations of all protocols as captures, and what goes wrong with captures, for tests. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import type { Protocol } from "../../../src/model/protocol.ts";
import { type CapturedPacket, TcpTalk } from "./captures.ts";

const goldenSchema = z.looseObject({
  title: z.string(),
  records: z
    .array(
      z.looseObject({
        from: z.enum(["client", "server"]),
        text: z.string().optional(),
        hex: z.string().optional(),
      }),
    )
    .min(1),
});

export interface Recorded {
  readonly title: string;
  readonly parts: readonly { readonly from: "client" | "server"; readonly text: string }[];
}

/** A protocol's goldens that are conversations over TCP. */
export function recordedOf({ name }: Protocol): readonly Recorded[] {
  const folder = new URL(`../../../src/protocols/${name}/goldens/`, import.meta.url);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.flatMap((file) => {
    const golden = goldenSchema.safeParse(
      JSON.parse(readFileSync(new URL(file, folder), "utf8")),
    ).data;
    if (golden === undefined) return [];
    const parts = golden.records.map(({ from, text, hex }) => ({
      from,
      text: hex === undefined ? (text ?? "") : Buffer.from(hex, "hex").toString("latin1"),
    }));
    return [{ title: golden.title, parts }];
  });
}

export interface Packets {
  readonly opening: readonly CapturedPacket[];
  readonly data: readonly CapturedPacket[];
  /** By packet of `data`. */
  readonly fromClient: readonly boolean[];
  readonly closing: readonly CapturedPacket[];
}

export interface Shape {
  readonly port: number;
  /** So that conversations of one capture are told apart. */
  readonly clientPort?: number;
  readonly segmentBytes?: number;
  readonly wrap?: (packet: Uint8Array) => Uint8Array;
}

/** A conversation as packets of one connection. */
export function packetsOf({ parts }: Recorded, shape: Shape): Packets {
  const { port, clientPort = 40_001, segmentBytes = 1400, wrap } = shape;
  const client = { address: "10.0.0.1", port: clientPort };
  const server = { address: "10.0.0.2", port };
  const talk = new TcpTalk({ client, server, ...(wrap === undefined ? {} : { wrap }) }).open();
  const opening = talk.packets.slice();
  const fromClient: boolean[] = [];
  for (const { from, text } of parts) {
    const isClient = from === "client";
    if (isClient) talk.request(text, segmentBytes);
    else talk.response(text, segmentBytes);
    while (fromClient.length < talk.packets.length - opening.length) fromClient.push(isClient);
  }
  const data = talk.packets.slice(opening.length);
  const before = talk.packets.length;
  return { opening, data, fromClient, closing: talk.close().packets.slice(before) };
}
